"""Where objects lie to each other, said only where a person would agree.

A relation is true, false, or neither (``None``): near the border between the
two nothing is claimed and nothing is asked.
"""

import numpy as np

from .scene import Scene, Thing

# Axis of the centre (0 = x, 1 = y) and the sign of the difference to the reference.
DIRECTIONS = {'left': (0, -1), 'right': (0, 1), 'above': (1, -1), 'below': (1, 1)}
OPPOSITE = {'left': 'right', 'right': 'left', 'above': 'below', 'below': 'above'}

# Shares of the picture's short side.
_CLEAR = 0.10
_NOT_AT_ALL = 0.04
_TOUCHING = 0.05
_APART = 0.22


def lies(scene: Scene, thing: Thing, direction: str, reference: Thing) -> bool | None:
    """Whether ``thing`` lies in a direction from ``reference``.

    True needs a clear distance that way and not much more sideways; False
    needs the thing to be on the other side.
    """
    axis, sign = DIRECTIONS[direction]
    ahead = sign * (thing.centre[axis] - reference.centre[axis]) / scene.short_side
    sideways = abs(thing.centre[1 - axis] - reference.centre[1 - axis]) / scene.short_side
    if ahead >= _CLEAR and sideways <= 1.5 * ahead:
        return True
    if ahead <= -_NOT_AT_ALL:
        return False
    return None


def only_one(scene: Scene, direction: str, reference: Thing) -> Thing | None:
    """The one object in a direction from ``reference``; None unless all others clearly are not."""
    found = None
    for thing in scene.things:
        if thing is reference:
            continue
        truth = lies(scene, thing, direction, reference)
        if truth is None or (truth and found is not None):
            return None
        if truth:
            found = thing
    return found


def none_at_all(scene: Scene, direction: str, reference: Thing) -> bool:
    """Whether there are other objects, all clearly on the other side of ``reference``."""
    return len(scene.things) > 1 and all(
        lies(scene, thing, direction, reference) is False for thing in scene.things if thing is not reference
    )


def outermost(scene: Scene, direction: str) -> Thing | None:
    """The leftmost (rightmost, highest, lowest) object; None where two compete for it or there is but one."""
    if len(scene.things) < 2:
        return None
    axis, sign = DIRECTIONS[direction]
    ordered = sorted(scene.things, key=lambda thing: -sign * thing.centre[axis])
    gap = abs(ordered[0].centre[axis] - ordered[1].centre[axis]) / scene.short_side
    return ordered[0] if gap >= _CLEAR / 2 else None


def _gap(scene: Scene, one: Thing, other: Thing) -> float:
    distance = np.hypot(one.centre[0] - other.centre[0], one.centre[1] - other.centre[1])
    return float(distance - 0.5 * (one.diameter + other.diameter)) / scene.short_side


def next_to(scene: Scene, one: Thing, other: Thing) -> bool | None:
    """Whether two objects (nearly) touch."""
    gap = _gap(scene, one, other)
    return True if gap <= _TOUCHING else False if gap >= _APART else None


def between(thing: Thing, one: Thing, other: Thing) -> bool:
    """Whether ``thing`` lies near the middle of the way from ``one`` to ``other``."""
    a, b, c = (np.array(t.centre) for t in (one, other, thing))
    way = b - a
    length = float(np.hypot(*way))
    along = float((c - a) @ way) / length**2
    aside = abs(float(way[0] * (c - a)[1] - way[1] * (c - a)[0])) / length
    return 0.25 <= along <= 0.75 and aside <= 0.15 * length


def area_of_picture(scene: Scene, thing: Thing) -> str | None:
    """'left', 'right', 'top', 'bottom' or 'middle'; None in the corners and between."""
    x = thing.centre[0] / scene.width - 0.5
    y = thing.centre[1] / scene.height - 0.5
    if abs(x) <= 0.13 and abs(y) <= 0.13:
        return 'middle'
    if abs(x) >= 0.2 and abs(y) <= 0.13:
        return 'left' if x < 0 else 'right'
    if abs(y) >= 0.2 and abs(x) <= 0.13:
        return 'top' if y < 0 else 'bottom'
    return None
