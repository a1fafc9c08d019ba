"""RoIAlign and other crops that resize a box: by how much are they shifted and scaled?

Contract: fn(image, box, (h, w)) -> (h, w), with an (H, W) float64 image of 0..255 and a (4,)
XYXY box in pixels, integer corners.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from d2align.audit.guard import Guarded, ProbeFailure
from d2align.audit.probes.crops import SIDE, Crop, measure_crop
from d2align.audit.probes.naming import conclude, name_rule
from d2align.audit.record import Finding

# (x1, y1, x2, y2): whole and fractional edges, wide and narrow, none near the image's border.
_BOXES = (
    (12.0, 10.0, 40.0, 31.0),
    (10.3, 14.7, 31.9, 40.2),
    (14.25, 9.5, 22.75, 38.5),
    (17.6, 20.1, 24.9, 26.3),
    (11.8, 11.2, 39.5, 40.9),
)
_SMALL_BOXES = ((20.3, 24.6, 20.7, 25.0), (25.1, 19.9, 25.7, 20.6))
# Outputs along a side: many, to fit a line through; very many for copied pixels; and as many as a
# box head pools, for which errors are told.
_SAMPLES, _LONG_SAMPLES, _POOLED = 61, 5001, 7
_NAMED_PX = 0.01

Rule = Callable[[float, float, int], np.ndarray]

_WORDS = {
    "aligned": "crops the box that it is given, sampled at the centres of its cells, as d2align",
    "unaligned": (
        "omits the -0.5 of RoIAlign: what it crops lies {error:.2f} px right of and below the box. "
        "Fix: aligned=True (ROIAlignV2), or shift the box by -0.5"
    ),
    "align_corners": (
        "puts its first and last sample on the box's edges, taken for indices: off by up to "
        "{error:.2f} px. Fix: sample at the centres of the cells, as roi_align(aligned=True)"
    ),
    "tf_crop_and_resize": (
        "scales the box from [0, 1] to [0, size - 1] and samples its edges: off by up to "
        "{error:.2f} px. Fix: give it the box ((x1 + s/2 - 0.5) / (W - 1), ...), where s is a cell"
    ),
    "inclusive": (
        "takes x2, y2 for the last pixel: what it crops is 1 px too long. Fix: no + 1 on the width"
    ),
    "rounded_box": (
        "rounds the box to whole pixels: off by up to {error:.2f} px. Fix: crop by sampling, as "
        "roi_align(aligned=True)"
    ),
    "floor_box": (
        "cuts the box down to whole pixels: off by up to {error:.2f} px. Fix: crop by sampling, as "
        "roi_align(aligned=True)"
    ),
    "outward_box": (
        "widens the box to whole pixels: off by up to {error:.2f} px. Fix: crop by sampling, as "
        "roi_align(aligned=True)"
    ),
    "unknown": (
        "follows no known rule: {residual:.2f} px from the nearest ({nearest}), {error:.2f} px off "
        "the box; shifted by {shift_px:.2f} px on average, scaled by {scale:.3f}"
    ),
}


def probe_roi_align(fn: Any, subject: str) -> Finding:
    """Measure fn(image, box, (h, w)); see the contract above.

    Args:
        fn: the crop.
        subject: its name.

    Returns:
        The finding; its error is in pixels of the image.

    Raises:
        ProbeFailure: the function cannot be measured.
    """
    guarded = Guarded(fn)
    crops = [c for box in _BOXES for c in _both_axes(guarded, box, _SAMPLES)]
    if all(c.nearest for c in crops):
        crops = [c for box in _BOXES for c in _both_axes(guarded, box, _LONG_SAMPLES)]
    residuals = {name: _distance(crops, rule) for name, rule in RULES.items()}
    scatter = max(c.line.scatter for c in crops)
    gain = max(c.gain for c in crops)
    if gain > 0.02 or scatter > 0.15:
        residuals = {name: max(r, gain, scatter) for name, r in residuals.items()}
    name, _ = name_rule(residuals, _NAMED_PX)
    error, shift, scale = _told(crops, RULES.get(name))
    first = _both_axes(guarded, _BOXES[1], 5)[0]
    return conclude(
        "roi_align",
        subject,
        residuals,
        error,
        _WORDS,
        tolerance=_NAMED_PX,
        parameters={
            "shift_px": shift,
            "scale": scale,
            "kernel": "nearest" if crops[0].nearest else "interpolated",
            "beyond_the_box": _beyond(crops),
            "small_box_error_px": _small_box_error(guarded),
        },
        evidence={
            "box": [first.low, first.high],
            "positions": first.positions.tolist(),
            "edges": [[c.low, c.high, *c.edges] for c in crops],
        },
    )


def _both_axes(fn: Guarded, box: tuple[float, ...], k: int) -> list[Crop]:
    def along_x(signal: np.ndarray) -> np.ndarray:
        return fn(np.tile(signal, (SIDE, 1)), np.array(box), (3, k), shape=(3, k))[1]

    def along_y(signal: np.ndarray) -> np.ndarray:
        image = np.tile(signal[:, None], (1, SIDE))
        return fn(image, np.array(box), (k, 3), shape=(k, 3))[:, 1]

    x1, y1, x2, y2 = box
    return [
        measure_crop(along_x, x1, x2, fn.name),
        measure_crop(along_y, y1, y2, fn.name),
    ]


def _distance(crops: list[Crop], rule: Rule) -> float:
    """The largest distance between what was sampled and what a rule samples, pixels."""
    worst = 0.0
    for c in crops:
        k = len(c.positions)
        worst = max(worst, float(np.abs(c.line.at(np.arange(k)) - rule(c.low, c.high, k)).max()))
    return worst


def _told(crops: list[Crop], rule: Rule | None) -> tuple[float, float, float]:
    """What is told of a box head's samples: their largest error, mean shift and mean scale."""
    pooled = [(_pooled(c, rule), c) for c in crops]
    away = [got - _cells(c.low, c.high, _POOLED) for got, c in pooled]
    scales = [np.ptp(got) * _POOLED / (_POOLED - 1) / (c.high - c.low) for got, c in pooled]
    worst = max(float(np.abs(a).max()) for a in away)
    return worst, float(np.mean(away)), float(np.mean(scales))


def _pooled(crop: Crop, rule: Rule | None) -> np.ndarray:
    """The positions of a box head's samples: by the rule that the crop obeys, or as measured."""
    if rule is not None:
        return rule(crop.low, crop.high, _POOLED)
    return _cells(*crop.edges, _POOLED)


def _beyond(crops: list[Crop]) -> str:
    """Whether samples near the box's edges see the image outside of it."""
    ends = [abs(c.positions[j] - c.line.at(j)) for c in crops for j in (0, -1 % len(c.positions))]
    return "sees the image" if max(ends) < 0.12 else "repeats the box's edge"


def _small_box_error(fn: Guarded) -> float | None:
    """The largest error for boxes below a pixel; None if the function fails on them."""
    worst = 0.0
    try:
        for box in _SMALL_BOXES:
            for c in _both_axes(fn, box, 3):
                worst = max(worst, float(np.abs(c.positions - _cells(c.low, c.high, 3)).max()))
    except ProbeFailure:
        return None
    return worst


def _cells(low: float, high: float, k: int) -> np.ndarray:
    """Index positions of the centres of k cells."""
    return low + (np.arange(k) + 0.5) * ((high - low) / k) - 0.5


def _corners(low: float, high: float, k: int) -> np.ndarray:
    return low + np.arange(k) * ((high - low) / max(k - 1, 1))


def _shrunk(low: float, high: float, k: int) -> np.ndarray:
    ratio = (SIDE - 1) / SIDE
    return _corners(low * ratio, high * ratio, k)


RULES: dict[str, Rule] = {
    "aligned": _cells,
    "unaligned": lambda low, high, k: _cells(low, max(high, low + 1), k) + 0.5,
    "align_corners": _corners,
    "tf_crop_and_resize": _shrunk,
    "inclusive": lambda low, high, k: _cells(low, high + 1, k),
    "rounded_box": lambda low, high, k: _cells(round(low), round(high), k),
    "floor_box": lambda low, high, k: _cells(np.floor(low), np.floor(high), k),
    "outward_box": lambda low, high, k: _cells(np.floor(low), np.ceil(high), k),
}
