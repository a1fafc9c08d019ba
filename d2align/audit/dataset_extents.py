"""Boxes against the outlines and masks of the same objects: a shift, a pixel more, rounding."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from d2align.audit.dataset_borders import REJECT_BELOW
from d2align.audit.dataset_read import CocoArrays, Floats

# Edges agree within this many pixels (files keep one or two decimals).
_TOLERANCE = 0.05
# Differences farther apart than this are drawn, not computed.
_FARTHEST = 1.5
# This share of the objects must show one relation.
_SHARE = 0.85


@dataclass(frozen=True)
class Relation:
    """How boxes lie to the extents of their objects' outlines.

    Attributes:
        name: "same", "offset" (by ``low`` and ``high``), "rounded_corner" (x, y rounded, w, h
            kept), "rounded" (both edges within a pixel), "unrelated" or "undecided".
        low: box edge less outline's, left and top, pixels; the mean of "rounded" ones.
        high: the same, right and bottom.
        share: of object sides that show it.
        count: object sides compared.
        p: how probable such a share is if not even half of the data set shows it.
    """

    name: str
    low: float
    high: float
    share: float
    count: int
    p: float


def relate(boxes: Floats, outlines: Floats) -> Relation:
    """Return how boxes lie to their objects' extents.

    Args:
        boxes: (N, 4) XYXY, as written in the file.
        outlines: (N, 4) XYXY extents of the polygons or masks of the same objects.

    Returns:
        The relation that most share.
    """
    difference = boxes - outlines
    low, high = difference[:, :2].ravel(), difference[:, 2:].ravel()
    if len(low) == 0:
        return Relation("undecided", 0.0, 0.0, 0.0, 0, 1.0)
    (a, b), share = _commonest_offset(low, high)
    if share >= _SHARE:
        return _decided("offset" if a or b else "same", a, b, share, len(low))
    whole = np.abs(boxes[:, :2] - np.round(boxes[:, :2])).ravel() < 1e-6
    kept = whole & (np.abs(low) <= 0.5 + _TOLERANCE) & (np.abs(high - low) <= _TOLERANCE)
    if kept.mean() >= _SHARE:
        size = float(np.abs(low).mean())
        return _decided("rounded_corner", size, size, float(kept.mean()), len(low))
    whole = np.abs(boxes - np.round(boxes)).max(axis=1) < 1e-6
    near = np.repeat(whole, 2) & (np.abs(low) < 1) & (np.abs(high) < 1)
    if near.mean() >= _SHARE:
        return _decided("rounded", low.mean(), high.mean(), float(near.mean()), len(low))
    apart = float(np.median(np.abs(np.concatenate([low, high]))))
    return Relation("unrelated", apart, apart, float(share), len(low), 0.0)


def _decided(name: str, low: float, high: float, share: float, count: int) -> Relation:
    # Chernoff's bound on such a share of ``count`` fair coins.
    entropy = sum(s * math.log(2 * s) for s in (share, 1 - share) if s > 0)
    p = math.exp(-count * entropy)
    if p >= REJECT_BELOW:
        name = "undecided"
    return Relation(name, float(low), float(high), float(share), count, p)


def _commonest_offset(low: Floats, high: Floats) -> tuple[tuple[float, float], float]:
    """The commonest pair of offsets in half pixels, and its share."""
    near = np.round(np.stack([low, high]) * 2) / 2
    apart = np.abs(np.stack([low, high]) - near).max(axis=0)
    exact = (apart <= _TOLERANCE) & (np.abs(near).max(axis=0) <= _FARTHEST)
    pairs = Counter(zip(near[0, exact].tolist(), near[1, exact].tolist(), strict=True))
    if not pairs:
        return (0.0, 0.0), 0.0
    (a, b), count = pairs.most_common(1)[0]
    return (a + 0.0, b + 0.0), count / len(low)


def box_edges(arrays: CocoArrays) -> Floats:
    """Return (N, 4) x, y, x + w, y + h; NaN where an annotation has no box."""
    edges = arrays.boxes.copy()
    edges[:, 2:] += edges[:, :2]
    return edges


def relate_polygons(arrays: CocoArrays) -> Relation:
    """Return how boxes lie to polygons, over the annotations that have both."""
    extents, owners = arrays.polygon_extents()
    return _relate_owned(arrays, extents, owners)


def relate_masks(arrays: CocoArrays) -> Relation:
    """Return how boxes lie to the pixel edges around RLE masks."""
    return _relate_owned(arrays, arrays.mask_edges, arrays.mask_owners)


def _relate_owned(arrays: CocoArrays, extents: Floats, owners: NDArray[np.int64]) -> Relation:
    boxes = box_edges(arrays)[owners]
    both = ~np.isnan(boxes[:, 0])
    rows = np.unique(np.concatenate([boxes[both], extents[both]], axis=1), axis=0)
    return relate(rows[:, :4], rows[:, 4:])


def outline_votes(arrays: CocoArrays) -> tuple[int, int]:
    """Count polygons of whole numbers that run through pixel centres, or along pixel edges.

    By Pick's theorem an outline through the centres of the border pixels encloses fewer square
    pixels than it has pixels: area + boundary points / 2 + 1. The `area` field tells which.

    Args:
        arrays: the data set.

    Returns:
        Annotations of one polygon whose `area` is the number of pixels, and whose it is the
        enclosed area.
    """
    if len(arrays.polygon_owners) == 0:
        return 0, 0
    single = np.bincount(arrays.polygon_owners, minlength=len(arrays.sizes)) == 1
    whole = np.logical_and.reduceat((arrays.points % 1 == 0).all(axis=1), arrays.polygon_starts)
    known = single & ~np.isnan(arrays.areas)
    bounds = np.append(arrays.polygon_starts, len(arrays.points))
    pixels = enclosed = 0
    for i in np.flatnonzero(whole & known[arrays.polygon_owners]):
        polygon = arrays.points[bounds[i] : bounds[i + 1]]
        area = arrays.areas[arrays.polygon_owners[i]]
        step = np.roll(polygon, -1, axis=0) - polygon
        inside = abs((polygon[:, 0] * step[:, 1] - polygon[:, 1] * step[:, 0]).sum()) / 2
        boundary = np.gcd(*np.abs(step).astype(np.int64).T).sum()
        pixels += bool(abs(area - (inside + boundary / 2 + 1)) < 0.01)
        enclosed += bool(abs(area - inside) < 0.01)
    return pixels, enclosed
