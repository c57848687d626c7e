"""Spatial relations between objects.

A relation is true, false, or neither (``None``): captions and questions do not use
relations that are close to the border between true and false.
"""

import numpy as np

from .scene import Scene, SceneObject

# Axis of the centre (0 = x, 1 = y) and the sign of the difference to the reference.
DIRECTIONS = {'left': (0, -1), 'right': (0, 1), 'above': (1, -1), 'below': (1, 1)}
OPPOSITE = {'left': 'right', 'right': 'left', 'above': 'below', 'below': 'above'}

# Shares of the picture's short side.
_CLEAR = 0.10
_NOT_AT_ALL = 0.04
_TOUCHING = 0.05
_APART = 0.22


def lies_in_direction(scene: Scene, obj: SceneObject, direction: str, reference: SceneObject) -> bool | None:
    """Return whether ``obj`` lies in a direction from ``reference``.

    True needs a clear distance that way and not much more sideways; False
    needs the obj to be on the other side.
    """
    axis, sign = DIRECTIONS[direction]
    ahead = sign * (obj.center[axis] - reference.center[axis]) / scene.short_side
    sideways = abs(obj.center[1 - axis] - reference.center[1 - axis]) / scene.short_side
    if ahead >= _CLEAR and sideways <= 1.5 * ahead:
        return True
    if ahead <= -_NOT_AT_ALL:
        return False
    return None


def single_object(scene: Scene, direction: str, reference: SceneObject) -> SceneObject | None:
    """Return the only object in a direction from ``reference``; None if there is none, or another may be there too."""
    found = None
    for obj in scene.objects:
        if obj is reference:
            continue
        truth = lies_in_direction(scene, obj, direction, reference)
        if truth is None or (truth and found is not None):
            return None
        if truth:
            found = obj
    return found


def nothing_in_direction(scene: Scene, direction: str, reference: SceneObject) -> bool:
    """Return whether there are other objects, all clearly on the other side of ``reference``."""
    return len(scene.objects) > 1 and all(
        lies_in_direction(scene, obj, direction, reference) is False for obj in scene.objects if obj is not reference
    )


def outermost(scene: Scene, direction: str) -> SceneObject | None:
    """Return the leftmost (rightmost, highest, lowest) object; None where two are close or there is only one."""
    if len(scene.objects) < 2:
        return None
    axis, sign = DIRECTIONS[direction]
    ordered = sorted(scene.objects, key=lambda obj: -sign * obj.center[axis])
    gap = abs(ordered[0].center[axis] - ordered[1].center[axis]) / scene.short_side
    return ordered[0] if gap >= _CLEAR / 2 else None


def _gap(scene: Scene, one: SceneObject, other: SceneObject) -> float:
    distance = np.hypot(one.center[0] - other.center[0], one.center[1] - other.center[1])
    return float(distance - 0.5 * (one.diameter + other.diameter)) / scene.short_side


def next_to(scene: Scene, one: SceneObject, other: SceneObject) -> bool | None:
    """Whether two objects (nearly) touch."""
    gap = _gap(scene, one, other)
    return True if gap <= _TOUCHING else False if gap >= _APART else None


def between(obj: SceneObject, one: SceneObject, other: SceneObject) -> bool:
    """Whether ``obj`` lies near the middle of the way from ``one`` to ``other``."""
    a, b, c = (np.array(t.center) for t in (one, other, obj))
    way = b - a
    length = float(np.hypot(*way))
    along = float((c - a) @ way) / length**2
    aside = abs(float(way[0] * (c - a)[1] - way[1] * (c - a)[0])) / length
    return 0.25 <= along <= 0.75 and aside <= 0.15 * length


def area_of_picture(scene: Scene, obj: SceneObject) -> str | None:
    """'left', 'right', 'top', 'bottom' or 'middle'; None in the corners and between."""
    x = obj.center[0] / scene.width - 0.5
    y = obj.center[1] / scene.height - 0.5
    if abs(x) <= 0.13 and abs(y) <= 0.13:
        return 'middle'
    if abs(x) >= 0.2 and abs(y) <= 0.13:
        return 'left' if x < 0 else 'right'
    if abs(y) >= 0.2 and abs(x) <= 0.13:
        return 'top' if y < 0 else 'bottom'
    return None
