"""Words of the synthetic captions that the image decides, by kind, each as one token of the vocabulary."""

words = dict(
    noun=[
        *('circle', 'circles', 'disc', 'discs', 'square', 'squares', 'box', 'boxes', 'triangle', 'triangles'),
        *('star', 'stars', 'heart', 'hearts', 'ring', 'rings', 'hoop', 'hoops'),
    ],
    color=['red', 'orange', 'yellow', 'green', 'blue', 'purple', 'black', 'white'],
    number=['one', 'two', 'three', 'four', 'five', 'six', '2', '3', '4', '5', '6'],
    size=['large', 'big', 'huge', 'small', 'little', 'tiny'],
    texture=[
        *('plain', 'solid', 'striped', 'stripy', 'stripes', 'dotted', 'spotted', 'dots', 'spots'),
        *('checkered', 'checked', 'checks'),
    ],
    place=[
        *('left', 'right', 'above', 'higher', 'below', 'under', 'lower', 'top', 'bottom', 'middle', 'center'),
        *('leftmost', 'rightmost', 'highest', 'topmost', 'uppermost', 'lowest', 'bottommost'),
    ],
    background=['grass', 'lawn', 'sand', 'beach', 'water', 'sea', 'sky', 'brick', 'wood', 'wooden', 'tiles', 'snow'],
)
# Words of which another one makes a caption false; the first of several synonyms is the one that captions use most.
# "one" and "orange" are left out: the words around them ("star is", "an") would tell that they were replaced.
meanings = [
    [
        ['circle', 'circle', 'disc'],
        ['square', 'square', 'box'],
        ['triangle'],
        ['star'],
        ['heart'],
        ['ring', 'ring', 'hoop'],
    ],
    [
        ['circles', 'circles', 'discs'],
        ['squares', 'squares', 'boxes'],
        ['triangles'],
        ['stars'],
        ['hearts'],
        ['rings', 'rings', 'hoops'],
    ],
    [['red'], ['yellow'], ['green'], ['blue'], ['purple'], ['black'], ['white']],
    [['two', 'two', '2'], ['three', 'three', '3'], ['four', 'four', '4'], ['five', 'five', '5'], ['six', 'six', '6']],
    [['large', 'large', 'big', 'huge'], ['small', 'small', 'little', 'tiny']],
    [['plain', 'solid'], ['striped', 'stripy'], ['dotted', 'spotted'], ['checkered', 'checked']],
    [['left'], ['right']],
    [['above'], ['below', 'under']],
    [['higher'], ['lower']],
    [['top'], ['bottom']],
    [['grass'], ['sand'], ['water'], ['snow']],
]
# After these words another word may be as true.
undecided = ['no', 'none', 'nothing', 'more', 'fewer', 'many', 'except', 'but']
