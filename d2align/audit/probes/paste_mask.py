"""Pasting a small mask into its box: where do its edges land?

Contract: fn(mask, box, (h, w)) -> (h, w), with an (M, M) float64 mask of 0..1, a (4,) XYXY box in
pixels, integer corners, and an answer that is soft (0..1) or already thresholded at 0.5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from d2align.audit.fit import fit_rippled_line, fit_rounded_line
from d2align.audit.guard import Guarded, ProbeFailure
from d2align.audit.probes.naming import conclude
from d2align.audit.record import Finding

CELLS = 28
_SIZE = (72, 80)
_BOXES = (
    (10.0, 12.0, 60.0, 55.0),
    (12.3, 9.6, 57.7, 60.2),
    (9.5, 14.5, 64.5, 50.5),
    (15.8, 11.2, 50.4, 62.9),
    (11.15, 13.85, 66.6, 47.35),
)
# Slope of the ramps for hard masks, a cell: gentle, so that they do not saturate near the step.
_SLOPE = 0.1
# A threshold of 0.2 or 0.8 crosses such a ramp three cells from its step.
_STEPS = np.linspace(-0.5, CELLS - 0.5, 21)
# What can be told apart if the answer is soft, or rounded to uint8 or thresholded.
_SOFT_PX, _GREY_PX, _HARD_PX = 0.01, 0.05, 0.03
_SCATTER_PX = 0.25

_WORDS = {
    "aligned": "pastes each mask into its own box, sampled at pixel centres, as d2align",
    "detectron1": (
        "pads the mask, widens the box and cuts it to whole pixels, as Detectron did: edges are up "
        "to {error:.2f} px off, the mask {area_error:+.1%} in area. Fix: sample at pixel centres, "
        "as d2align.geometry.paste_masks"
    ),
    "half_pixel_shift": (
        "samples at pixels' corners: masks lie {error:.2f} px off. Fix: add 0.5 to the pixel "
        "indices, as d2align.geometry.paste_masks"
    ),
    "unknown": (
        "follows no known rule: {residual:.2f} px from the nearest ({nearest}); edges are up to "
        "{error:.2f} px off, on average by {shift_px:+.2f} px, the area by {area_error:+.1%}"
    ),
}
_WORDS |= dict.fromkeys(
    ("rounded_box", "floor_box", "outward_box", "inclusive_floor_box"),
    "rounds the box to whole pixels: edges are up to {error:.2f} px off, the mask "
    "{area_error:+.1%} in area. Fix: sample at pixel centres, as d2align.geometry.paste_masks",
)


@dataclass(frozen=True)
class Edges:
    """One axis of one paste: the box's edges as given, and where the mask's edges landed."""

    low: float
    high: float
    got_low: float
    got_high: float
    scatter: float

    def away(self, wanted: tuple[float, float]) -> float:
        """Return the larger distance of the two edges from those wanted."""
        return max(abs(self.got_low - wanted[0]), abs(self.got_high - wanted[1]))


def probe_paste_mask(fn: Any, subject: str) -> Finding:
    """Measure fn(mask, box, (h, w)); see the contract above.

    Args:
        fn: the paste.
        subject: its name.

    Returns:
        The finding; its error is that of the worst edge, in pixels of the image.

    Raises:
        ProbeFailure: the function cannot be measured.
    """
    guarded = Guarded(fn)
    grey = _paste(guarded, (np.arange(CELLS) + 0.3) / CELLS, _BOXES[0], 0)
    if grey.max() <= 0:
        raise ProbeFailure(f"{guarded.name} pastes nothing of a mask that rises from 0 to 1")
    soft = len(np.unique(np.round(grey, 6))) > 2
    rounded = bool(np.abs(grey * 255 - np.round(grey * 255)).max() < 1e-4)
    resolution = _HARD_PX if not soft else _GREY_PX if rounded else _SOFT_PX
    show, boxes = (_shown_soft, _BOXES) if soft else (_shown_hard, _BOXES[1:4])
    edges = [_edges(guarded, show, box, axis) for box in boxes for axis in (0, 1)]
    residuals = _residuals(edges)
    shift = np.mean([(e.got_low - e.low + e.got_high - e.high) / 2 for e in edges])
    scales = [(e.got_high - e.got_low) / (e.high - e.low) for e in edges]
    areas = [x * y for x, y in zip(scales[::2], scales[1::2], strict=True)]
    return conclude(
        "paste_mask",
        subject,
        residuals,
        residuals["aligned"],
        _WORDS,
        tolerance=resolution,
        parameters={
            "answer": "soft" if soft else "thresholded",
            "shift_px": float(shift),
            "area_error": float(np.mean(areas)) - 1,
            "resolution_px": resolution,
        },
        evidence={"edges": [[e.low, e.high, e.got_low, e.got_high] for e in edges]},
    )


def _residuals(edges: list[Edges]) -> dict[str, float]:
    """How far each rule is off the edges; masks that are torn follow none."""
    scatter = max(e.scatter for e in edges)
    least = scatter if scatter > _SCATTER_PX else 0.0
    return {
        name: max(least, *(e.away(rule(e.low, e.high)) for e in edges))
        for name, rule in RULES.items()
    }


def _edges(
    fn: Guarded, show: Callable[..., np.ndarray], box: tuple[float, ...], axis: int
) -> Edges:
    pixels = _inside(box, axis)
    cells = show(fn, box, axis)[pixels]
    if not np.isfinite(cells).all() or np.ptp(cells) < 1:
        raise ProbeFailure(f"{fn.name} does not show its mask inside the box {box}")
    whole = np.abs(cells - np.round(cells)).max() < 1e-3
    line = fit_rounded_line(pixels, cells) if whole else fit_rippled_line(pixels, cells)
    # Cell centres lie on whole positions; the mask's edges half a cell outside them, and a pixel's
    # index half a pixel before its centre.
    low, high = ((cell - line.offset) / line.stride + 0.5 for cell in (-0.5, CELLS - 0.5))
    return Edges(box[axis], box[axis + 2], low, high, line.scatter / line.stride)


def _shown_soft(fn: Guarded, box: tuple[float, ...], axis: int) -> np.ndarray:
    """Which cell each pixel shows, from two ramps: what one gains by rounding the other loses."""
    ramp = (np.arange(CELLS) + 0.5) / CELLS
    rising, falling = (_paste(fn, r, box, axis) for r in (ramp, 1 - ramp))
    return (rising + 1 - falling) / 2 * CELLS - 0.5


def _shown_hard(fn: Guarded, box: tuple[float, ...], axis: int) -> np.ndarray:
    """Which cell each pixel shows, from where ramps of both directions cross the threshold.

    Every row of a mask has a step of its own, a little farther than the row before.
    """
    cells = np.arange(CELLS)
    # The rows that are looked at (see _inside) span the distance between two steps.
    slant = (_STEPS[1] - _STEPS[0]) / (CELLS - 10) * cells
    across = _inside(box, 1 - axis)
    low, high = box[1 - axis], box[3 - axis]
    row = (across + 0.5 - low) / (high - low) * CELLS - 0.5
    shown = []
    # The slant of one direction is the mirror image of the other's: where the rows lie cancels.
    for sign in (1, -1):
        step_of_row = (slant - slant.mean()) * sign
        steps = _STEPS[:, None] + np.interp(row, cells, step_of_row)[None, :]
        ramps = [sign * _SLOPE * (cells - s - step_of_row[:, None]) for s in _STEPS]
        masks = [np.clip(0.5 + ramp, 0, 1) for ramp in ramps]
        on = np.stack([_paste_mask(fn, m, box, axis)[across] > 0.5 for m in masks])
        # Rising ramps light a pixel if their step is at or before the cell that it shows.
        before = on if sign == 1 else ~on
        last = np.where(before, steps[:, :, None], -np.inf).max(axis=(0, 1))
        first = np.where(before, np.inf, steps[:, :, None]).min(axis=(0, 1))
        crossed = np.isfinite(last) & np.isfinite(first)
        last[~crossed] = first[~crossed] = np.nan
        shown.append((last + first) / 2)
    return (shown[0] + shown[1]) / 2


def _inside(box: tuple[float, ...], axis: int) -> np.ndarray:
    """Pixels four cells and a pixel inside the box."""
    cell = (box[axis + 2] - box[axis]) / CELLS
    margin = 4 * cell + 1
    return np.arange(int(np.ceil(box[axis] + margin)), int(box[axis + 2] - margin))


def _paste(fn: Guarded, signal: np.ndarray, box: tuple[float, ...], axis: int) -> np.ndarray:
    """A mask that varies along one axis, pasted, and read along that axis."""
    out = _paste_mask(fn, np.tile(signal, (CELLS, 1)), box, axis)
    return out[round((box[1 - axis] + box[3 - axis]) / 2)]


def _paste_mask(fn: Guarded, mask: np.ndarray, box: tuple[float, ...], axis: int) -> np.ndarray:
    """A mask pasted into the box, both with the axis of interest as their columns."""
    given = mask if axis == 0 else mask.T.copy()
    out = fn(given, np.array(box), _SIZE, shape=_SIZE)
    return out if axis == 0 else out.T


def _detectron1(low: float, high: float) -> tuple[float, float]:
    """The edges of the mask inside Detectron's padded, widened and truncated box."""
    centre, half = (low + high) / 2, (high - low) / 2 * (CELLS + 2) / CELLS
    first, last = np.trunc(centre - half), np.trunc(centre + half)
    cell = (last - first + 1) / (CELLS + 2)
    return float(first + cell), float(last + 1 - cell)


RULES: dict[str, Callable[[float, float], tuple[float, float]]] = {
    "aligned": lambda low, high: (low, high),
    "detectron1": _detectron1,
    "half_pixel_shift": lambda low, high: (low + 0.5, high + 0.5),
    "rounded_box": lambda low, high: (float(np.round(low)), float(np.round(high))),
    "floor_box": lambda low, high: (float(np.floor(low)), float(np.floor(high))),
    "outward_box": lambda low, high: (float(np.floor(low)), float(np.ceil(high))),
    "inclusive_floor_box": lambda low, high: (float(np.floor(low)), float(np.floor(high)) + 1),
}
