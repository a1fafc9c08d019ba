"""Exact arithmetic on float polygons: area, centroid, extents, clipping, keyholes.

Convention: coordinates are float (x, y) with x right and y down, pixel ``i`` covers
``[i, i + 1]``, and an image of size (h, w) spans ``[0, w] x [0, h]``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Coords = NDArray[np.float64]

DECIMALS = 3  # annotations are stored, and drawn, with coordinates rounded to these decimals


def _cross_terms(polygon: Coords) -> tuple[Coords, Coords]:
    following = np.roll(polygon, -1, axis=0)
    return polygon[:, 0] * following[:, 1] - following[:, 0] * polygon[:, 1], following


def signed_area(polygon: Coords) -> float:
    """Return the shoelace area, positive when the outline runs clockwise on the screen.

    Convention: float (x, y), y down.

    Args:
        polygon: (N, 2) coords in pixels, not closed.

    Returns:
        The signed area in square pixels; a keyhole polygon gives its net area.
    """
    if len(polygon) < 3:
        return 0.0
    centred = polygon - polygon[0]  # far from the origin the products would cancel badly
    return float(_cross_terms(centred)[0].sum() / 2)


def polygons_area(polygons: Sequence[Coords]) -> float:
    """Return the exact area of disjoint polygons.

    Convention: float (x, y); orientation does not matter.

    Args:
        polygons: (N, 2) coords in pixels, one array for each part.

    Returns:
        The area in square pixels.
    """
    return float(sum(abs(signed_area(polygon)) for polygon in polygons))


def polygons_centroid(polygons: Sequence[Coords]) -> Coords:
    """Return the exact centroid of disjoint polygons.

    Convention: float (x, y); orientation does not matter.

    Args:
        polygons: (N, 2) coords in pixels, one array for each part.

    Returns:
        (2,) coords of the centroid in pixels.

    Raises:
        ValueError: if the polygons have no area.
    """
    moment, total = np.zeros(2), 0.0
    for polygon in polygons:
        if len(polygon) < 3:
            continue
        centred = polygon - polygon[0]
        cross, following = _cross_terms(centred)
        area = cross.sum() / 2
        first = ((centred + following) * cross[:, None]).sum(axis=0) / 6 + polygon[0] * area
        moment += first * np.sign(area)
        total += abs(area)
    if total == 0:
        raise ValueError("polygons of zero area have no centroid")
    return moment / total


def polygons_box(polygons: Sequence[Coords]) -> Coords:
    """Return the extents of all vertices.

    Convention: XYXY float box with width ``x2 - x1``.

    Args:
        polygons: (N, 2) coords in pixels, one array for each part.

    Returns:
        (4,) XYXY box in pixels.
    """
    points = np.concatenate(polygons)
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def oriented(polygon: Coords) -> Coords:
    """Return the same outline running clockwise on the screen.

    Convention: float (x, y), y down.

    Args:
        polygon: (N, 2) coords in pixels.

    Returns:
        (N, 2) coords whose :func:`signed_area` is not negative.
    """
    return polygon[::-1] if signed_area(polygon) < 0 else polygon


def _clip_below(polygon: Coords, axis: int, bound: float, sign: int) -> Coords:
    """Keep the half plane ``sign * coordinate <= sign * bound`` (Sutherland-Hodgman)."""
    if len(polygon) == 0:
        return polygon
    kept: list[Coords] = []
    previous = polygon[-1]
    for point in polygon:
        inside = sign * point[axis] <= sign * bound
        if inside != (sign * previous[axis] <= sign * bound):
            fraction = (bound - previous[axis]) / (point[axis] - previous[axis])
            crossing = previous + fraction * (point - previous)
            crossing[axis] = bound
            kept.append(crossing)
        if inside:
            kept.append(point)
        previous = point
    return np.array(kept, dtype=np.float64).reshape(-1, 2)


def _is_spike(before: list[float], point: list[float], after: list[float]) -> bool:
    """Whether ``point`` repeats a neighbour, or an axis-parallel outline turns back at it."""
    if point in (before, after):
        return True
    for axis in (0, 1):
        if before[axis] == point[axis] == after[axis]:
            other = 1 - axis
            return (point[other] - before[other]) * (after[other] - point[other]) < 0
    return False


def _without_spikes(polygon: Coords) -> Coords:
    points = polygon.tolist()
    index = 0
    while len(points) >= 3 and index < len(points):
        if _is_spike(points[index - 1], points[index], points[(index + 1) % len(points)]):
            del points[index]
            index = max(index - 2, 0)
        else:
            index += 1
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def clip_polygon(polygon: Coords, size: tuple[int, int]) -> Coords:
    """Clip an outline to the image, exactly.

    A concave outline that leaves and re-enters keeps zero-width joints along the border; they
    have no area, and those that lead nowhere are removed, so that the extents stay exact.

    Convention: float (x, y); the image spans ``[0, w] x [0, h]``.

    Args:
        polygon: (N, 2) coords in pixels.
        size: (h, w) of the image in pixels.

    Returns:
        (M, 2) coords in pixels, rounded to ``DECIMALS`` decimals; (0, 2) when nothing is left.
    """
    height, width = size
    if (polygon >= 0).all() and (polygon <= np.array([width, height])).all():
        return np.round(polygon, DECIMALS)
    for axis, bound, sign in ((0, 0, -1), (0, width, 1), (1, 0, -1), (1, height, 1)):
        polygon = _clip_below(polygon, axis, float(bound), sign)
    polygon = _without_spikes(np.round(polygon, DECIMALS) + 0.0)
    return polygon if abs(signed_area(polygon)) > 0 else np.zeros((0, 2))


def _bridge_start(hole: Coords, inner_x: tuple[float, float]) -> int | None:
    """The highest vertex of the hole's upper chain that is not at the outer's left or right."""
    before, after = np.roll(hole[:, 0], 1), np.roll(hole[:, 0], -1)
    upper = (before < hole[:, 0]) | (after > hole[:, 0])
    allowed = upper & (hole[:, 0] > inner_x[0]) & (hole[:, 0] < inner_x[1])
    if not allowed.any():
        return None
    return int(np.where(allowed, hole[:, 1], np.inf).argmin())


def _edge_above(outer: Coords, point: Coords) -> tuple[int, float] | None:
    """The outer edge straight above ``point``: (index of its first vertex, its y there)."""
    best: tuple[int, float] | None = None
    for index, (first, second) in enumerate(zip(outer, np.roll(outer, -1, axis=0), strict=True)):
        if (first[0] <= point[0]) == (second[0] <= point[0]):
            continue
        fraction = (point[0] - first[0]) / (second[0] - first[0])
        y = float(np.round(first[1] + fraction * (second[1] - first[1]), DECIMALS))
        if y <= point[1] and (best is None or y > best[1]):
            best = (index, y)
    return best


def keyhole(outer: Coords, hole: Coords) -> Coords:
    """Join an outline and a convex hole into one polygon by a vertical bridge of no width.

    COCO polygons cannot state a hole. The bridge is vertical because pycocotools traces the
    crossings of an outline with pixel columns: a vertical line has none, so no slit is drawn.

    Convention: float (x, y).

    Args:
        outer: (N, 2) coords of the outline in pixels.
        hole: (M, 2) coords of a convex hole inside it, in pixels.

    Returns:
        (N + M + 3, 2) coords of one polygon, in pixels.

    Raises:
        ValueError: if no vertical bridge exists (the hole is not inside the outline).
    """
    outer, hole = oriented(outer), oriented(hole)
    start = _bridge_start(hole, (outer[:, 0].min(), outer[:, 0].max()))
    above = None if start is None else _edge_above(outer, hole[start])
    if start is None or above is None:
        raise ValueError("no vertical bridge: the hole does not lie inside the outline")
    index, y = above
    bridge = np.array([[hole[start, 0], y]])
    around = np.roll(hole, -start, axis=0)[::-1]  # the other way round, ending at the start
    return np.concatenate(
        [outer[: index + 1], bridge, around[-1:], around, bridge, outer[index + 1 :]]
    )
