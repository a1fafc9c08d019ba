"""Keypoints against their objects' outlines: a limb's keypoint lies in its middle on average."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from d2align.audit.dataset_read import CocoArrays, Floats, Ints

_MOST_OBJECTS = 20_000
# Fewer say nothing about their own scatter.
_FEWEST_OBJECTS = 30
# Keypoints farther outside their outline than this are hidden or wrong.
_NEAR = 1.5
# Objects are not quite symmetric, nor is the selection above: an error beyond the scatter.
_SYSTEMATIC_OF_POLYGONS, _SYSTEMATIC_OF_BOXES = 0.06, 0.1


@dataclass(frozen=True)
class Shift:
    """How far keypoints lie to the right of the middle of their outlines, on average.

    Attributes:
        pixels: the estimate.
        error: its standard error, the systematic part included.
        objects: how many objects it comes from.
    """

    pixels: float
    error: float
    objects: int


def shift_in_polygons(arrays: CocoArrays) -> Shift | None:
    """Estimate how far keypoints are shifted against polygons, along x.

    Left and right have no preference, so the keypoints of many objects lie in the middle of the
    row of the outline that they are in; indices lie half a pixel to the left of it.

    Args:
        arrays: the data set.

    Returns:
        The shift, or None with too few objects that have both.
    """
    bounds = np.append(arrays.polygon_starts, len(arrays.points))
    outlines = {}
    for owner in _some(np.intersect1d(arrays.keypoint_owners, arrays.polygon_owners)):
        part = _part(arrays.polygon_owners, owner)
        outlines[owner] = [
            arrays.points[bounds[i] : bounds[i + 1]] for i in range(part.start, part.stop)
        ]
    return _shift(arrays, outlines, _SYSTEMATIC_OF_POLYGONS)


def shift_in_boxes(arrays: CocoArrays) -> Shift | None:
    """Estimate how far keypoints are shifted against boxes, along x; needs many more objects.

    Args:
        arrays: the data set.

    Returns:
        The shift, or None with too few objects that have both.
    """
    boxed = np.flatnonzero(~np.isnan(arrays.boxes[:, 0]))
    outlines = {}
    for owner in _some(np.intersect1d(arrays.keypoint_owners, boxed)):
        x, y, w, h = arrays.boxes[owner]
        outlines[owner] = [np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])]
    return _shift(arrays, outlines, _SYSTEMATIC_OF_BOXES)


def _shift(
    arrays: CocoArrays, outlines: dict[int, list[Floats]], systematic: float
) -> Shift | None:
    sums = []
    for owner, polygons in outlines.items():
        points = arrays.keypoints[_part(arrays.keypoint_owners, owner)]
        offsets, widths = row_offsets(points, polygons)
        if len(offsets):
            weights = 1 / (widths + 2) ** 2  # the scatter grows with the width
            sums.append((weights.sum(), (weights * offsets).sum()))
    if len(sums) < _FEWEST_OBJECTS:
        return None
    weight, weighted = np.array(sums).T
    mean = weighted.sum() / weight.sum()
    # Keypoints of one object are not independent: the error is that of objects.
    scatter = np.sqrt(((weighted - mean * weight) ** 2).sum()) / weight.sum()
    return Shift(float(mean), float(np.hypot(scatter, systematic)), len(sums))


def row_offsets(points: Floats, polygons: list[Floats]) -> tuple[Floats, Floats]:
    """Return how far points lie from the middle of the run of outline that they are in.

    Args:
        points: (K, 2) x, y.
        polygons: (n, 2) vertices of each part.

    Returns:
        Offsets along x and widths of the runs, for the points in a run or near one.
    """
    edges = np.concatenate([np.hstack([p, np.roll(p, -1, axis=0)]) for p in polygons])
    offsets, widths = [], []
    for x, y in points:
        crossed = edges[(edges[:, 1] <= y) != (edges[:, 3] <= y)]
        slope = (crossed[:, 2] - crossed[:, 0]) / (crossed[:, 3] - crossed[:, 1])
        xs = np.sort(crossed[:, 0] + (y - crossed[:, 1]) * slope).reshape(-1, 2)
        outside = np.maximum(xs[:, 0] - x, x - xs[:, 1])
        if len(xs) and outside.min() <= _NEAR:
            left, right = xs[outside.argmin()]
            offsets.append(x - (left + right) / 2)
            widths.append(right - left)
    return np.array(offsets), np.array(widths)


def _some(owners: Ints) -> list[int]:
    return [int(owner) for owner in owners[:: max(1, -(-len(owners) // _MOST_OBJECTS))]]


def _part(owners: Ints, owner: int) -> slice:
    return slice(*np.searchsorted(owners, [owner, owner + 1]).tolist())
