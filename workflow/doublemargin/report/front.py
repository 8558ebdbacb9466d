"""Points that trade one thing for another, the more the better of both: their front, and the area below it."""

from __future__ import annotations

from collections.abc import Sequence

Point = tuple[float, float]


def on_front(points: Sequence[Point]) -> list[bool]:
    """Whether each point is dominated by none: no other is at least as good in both and better in one."""
    return [not any(a >= x and b >= y and (a, b) != (x, y) for a, b in points) for x, y in points]


def hypervolume(points: Sequence[Point]) -> float:
    """The area between (0, 0) and the front, of points with coordinates ≥ 0: all that some point dominates."""
    area = top = 0.0
    for x, y in sorted(points, reverse=True):
        area += x * max(y - top, 0)
        top = max(y, top)
    return area
