"""Anchor generators: centred on their cells, of the right area, at the right stride?

Contract: fn((h, w), stride, sizes, aspect_ratios) -> (h * w * A, 4) XYXY boxes, pixels, in any
order. (h, w) is the feature map, a size is the square root of an area, a ratio is height / width.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from d2align.audit.guard import Guarded, ProbeFailure
from d2align.audit.probes.naming import conclude
from d2align.audit.record import Finding

_GRID = (5, 7)
_SETTINGS = ((16, (48.0,), (0.5, 1.0, 2.0)), (4, (20.0,), (0.5, 1.0, 2.0)), (8, (37.0,), (1.0,)))
_NAMED_PX = 0.01

_WORDS = {
    "centred": "anchors are centred on their cells, with exact areas and ratios, as d2align",
    "corner": (
        "anchors are centred on the corners of their cells, {cells:.2f} of a stride up and left of "
        "the middle. Boxes are still right, since the offset is learnt. Fix: an offset of 0.5 "
        "(Detectron2: MODEL.ANCHOR_GENERATOR.OFFSET); trained weights need the one they had"
    ),
    "index_centre": (
        "anchors are centred on (stride - 1) / 2, the middle of a cell in indices: right for "
        "inclusive boxes, half a pixel off for float ones. Fix: centre them on stride / 2; trained "
        "weights need the one they had"
    ),
    "unknown": (
        "anchors are centred {error:.2f} px from the middle of their cells, {residual:.2f} px from "
        "the nearest rule ({nearest})"
    ),
}


def probe_anchors(fn: Any, subject: str) -> Finding:
    """Measure fn((h, w), stride, sizes, aspect_ratios); see the contract above.

    Args:
        fn: the generator.
        subject: its name.

    Returns:
        The finding; its error is how far centres lie from those of the cells, or edges from those
        of exact anchors, pixels.

    Raises:
        ProbeFailure: the function cannot be measured.
    """
    guarded = Guarded(fn)
    found = [_measure(guarded, *setting) for setting in _SETTINGS]
    residuals = {
        name: max(float(np.abs(f["centre"] - rule(f["stride"])).max()) for f in found)
        for name, rule in _RULES.items()
    }
    side_error = max(f["side_error"] for f in found)
    whole = all(f["whole"] for f in found)
    area_error = max((f["area_error"] for f in found), key=abs)
    words = {name: text + _shape_words(whole, area_error) for name, text in _WORDS.items()}
    return conclude(
        "anchors",
        subject,
        residuals,
        max(residuals["centred"], side_error / 2),
        words,
        tolerance=_NAMED_PX,
        parameters={
            "centre_px": float(found[0]["centre"][0]),
            "stride": found[0]["stride"],
            "cells": 0.5 - float(found[0]["centre"].mean()) / found[0]["stride"],
            "whole_numbers": whole,
            "side_error_px": side_error,
            "area_error": area_error,
        },
        evidence={"cell_anchors": found[0]["cell"].tolist()},
    )


_RULES = {
    "centred": lambda stride: stride / 2,
    "corner": lambda stride: 0.0,
    "index_centre": lambda stride: (stride - 1) / 2,
}


def _measure(
    fn: Guarded, stride: int, sizes: tuple[float, ...], ratios: tuple[float, ...]
) -> dict[str, Any]:
    """One setting: the first cell's anchors, their centre, and how far their sides are off."""
    h, w = _GRID
    count = len(sizes) * len(ratios)
    boxes = fn(_GRID, stride, list(sizes), list(ratios), shape=(h * w * count, 4))
    # Every shape appears once a cell: the first cell's are those farthest to the top left.
    corner = boxes.sum(axis=1)
    shapes = np.round(boxes[:, 2:] - boxes[:, :2], 3)
    cell = []
    for shape in np.unique(shapes, axis=0):
        same = np.flatnonzero((shapes == shape).all(axis=1))
        if len(same) != h * w:
            raise ProbeFailure(
                f"{fn.name} made {len(same)} anchors of shape {shape.tolist()} for {h * w} cells"
            )
        cell.append(boxes[same[np.argmin(corner[same])]])
        steps = np.unique(np.round(boxes[same, 0], 3))
        if len(steps) != w or np.abs(np.diff(steps) - stride).max() > 0.01:
            raise ProbeFailure(f"{fn.name} does not place anchors every {stride} px")
    first = np.stack(cell)
    centre = (first[:, :2] + first[:, 2:]).mean(axis=0) / 2
    return {
        "stride": stride,
        "cell": first,
        "centre": centre,
        "whole": bool(np.abs(boxes - np.round(boxes)).max() < 1e-4),
        **_sides(first, sizes, ratios, inclusive=np.abs(centre - (stride - 1) / 2).max() < 0.01),
    }


def _sides(
    cell: np.ndarray, sizes: tuple[float, ...], ratios: tuple[float, ...], inclusive: bool
) -> dict[str, float]:
    """How far the sides and areas of one cell's anchors are off; inclusive boxes with + 1."""
    sides = cell[:, 2:] - cell[:, :2] + float(inclusive)
    wanted = np.array([(s / np.sqrt(r), s * np.sqrt(r)) for s in sizes for r in ratios])
    order = [np.argsort(x[:, 1] / x[:, 0]) for x in (sides, wanted)]
    sides, wanted = sides[order[0]], wanted[order[1]]
    areas = sides.prod(axis=1) / wanted.prod(axis=1) - 1
    return {
        "side_error": float(np.abs(sides - wanted).max()),
        "area_error": float(areas[np.argmax(np.abs(areas))]),
    }


def _shape_words(whole: bool, area_error: float) -> str:
    if abs(area_error) < 0.001:
        return ""
    why = "coordinates are rounded to whole pixels" if whole else "sides are not exact"
    return f"; {why}, which changes areas by up to {area_error:+.1%}"
