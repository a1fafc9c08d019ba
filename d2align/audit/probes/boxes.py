"""Areas, overlaps and suppression of boxes: is there a + 1, and which way do equals go?

Contracts (boxes are (N, 4) XYXY, pixels):
    box_area   fn(boxes) -> (N,) square pixels
    box_iou    fn(boxes1, boxes2) -> (N, M) in [0, 1]
    nms        fn(boxes, scores, threshold) -> indices of the boxes that stay
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from d2align.audit.guard import Guarded, ProbeFailure
from d2align.audit.probes.naming import conclude
from d2align.audit.record import Finding

_OFFSETS = np.round(np.linspace(-1.5, 1.5, 3001), 3)
_NAMED_PX = 0.01

_WORDS = {
    "float": "width is x2 - x1, as d2align",
    "detectron1": (
        "width is x2 - x1 + 1, for inclusive indices: 1 px too wide and high for float boxes. Fix: "
        "drop the + 1, or convert with d2align.geometry.float_to_inclusive"
    ),
    "unknown": (
        "widths are x2 - x1 {width_offset_px:+.2f}, and that leaves {residual:.3f} unexplained: it "
        "is neither the float rule nor the inclusive one"
    ),
}
_NMS_WORDS = {
    name: text + ". A box whose overlap equals the threshold is {at_threshold}"
    for name, text in _WORDS.items()
}


def probe_box_area(fn: Any, subject: str) -> Finding:
    """Measure fn(boxes); see the contract above.

    Args:
        fn: the function.
        subject: its name.

    Returns:
        The finding; its error is in pixels of width.

    Raises:
        ProbeFailure: the function cannot be measured.
    """
    boxes = _boxes()
    got = Guarded(fn)(boxes, shape=(len(boxes),))
    sides = boxes[:, 2:] - boxes[:, :2]
    # In pixels of side, so that small and large boxes count alike.
    away = [
        np.abs(np.sqrt(np.maximum(got, 0)) - np.sqrt((sides + p).prod(axis=1))).max()
        for p in _OFFSETS
    ]
    return _conclude("box_area", subject, np.array(away), _WORDS, {})


def probe_box_iou(fn: Any, subject: str) -> Finding:
    """Measure fn(boxes1, boxes2); as probe_box_area."""
    boxes = _boxes()
    got = Guarded(fn)(boxes[:10], boxes[10:], shape=(10, len(boxes) - 10))
    # An IoU that is off by d shifts an edge of a 40-pixel box by about 40 d.
    away = [40 * np.abs(got - _iou(boxes[:10], boxes[10:], p)).max() for p in _OFFSETS]
    return _conclude("box_iou", subject, np.array(away), _WORDS, {})


def probe_nms(fn: Any, subject: str) -> Finding:
    """Measure fn(boxes, scores, threshold); as probe_box_area."""
    guarded = Guarded(fn)
    # The second box leaves at the overlap's own value: found by halving.
    first = np.array([10.0, 10.0, 20.0, 20.0])
    seconds = [first + [0, 0, 0, d] for d in (2.0, 5.0, 9.0)]
    limits = np.array([_limit(guarded, np.stack([first, s])) for s in seconds])
    wanted = [_iou(first[None], np.stack(seconds), p)[0] for p in _OFFSETS]
    away = np.array([40 * np.abs(limits - w).max() for w in wanted])
    offset = float(_OFFSETS[int(np.argmin(away))])
    return _conclude("nms", subject, away, _NMS_WORDS, {"at_threshold": _at(guarded, offset)})


def _conclude(
    kind: str, subject: str, away: np.ndarray, words: dict[str, str], extra: dict[str, Any]
) -> Finding:
    """Name the offset on widths, from the distance that each offset leaves."""
    best = int(np.argmin(away))
    offset, left = float(_OFFSETS[best]), float(away[best])
    residuals = {"float": max(abs(offset), left), "detectron1": max(abs(offset - 1), left)}
    return conclude(
        kind,
        subject,
        residuals,
        abs(offset) if left <= _NAMED_PX else max(abs(offset), left),
        words,
        tolerance=_NAMED_PX,
        parameters={"width_offset_px": offset, **extra},
    )


def _boxes() -> np.ndarray:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 30, (24, 2))
    return np.concatenate([low, low + rng.uniform(4, 40, (24, 2))], axis=1)


def _iou(boxes1: np.ndarray, boxes2: np.ndarray, extra: float) -> np.ndarray:
    low = np.maximum(boxes1[:, None, :2], boxes2[None, :, :2])
    high = np.minimum(boxes1[:, None, 2:], boxes2[None, :, 2:])
    shared = np.maximum(high - low + extra, 0).prod(axis=2)
    areas = [(b[:, 2:] - b[:, :2] + extra).prod(axis=1) for b in (boxes1, boxes2)]
    return shared / (areas[0][:, None] + areas[1][None, :] - shared)


def _keeps_both(fn: Guarded, boxes: np.ndarray, threshold: float) -> bool:
    kept = fn(boxes, np.array([0.9, 0.8]), threshold, shape=(None,))
    if sorted(kept.tolist()) not in ([0.0], [0.0, 1.0]):
        raise ProbeFailure(
            f"{fn.name} returned {kept.tolist()[:5]} for two boxes, expected the indices that stay"
        )
    return len(kept) == 2


def _limit(fn: Guarded, boxes: np.ndarray) -> float:
    """The threshold from which on two boxes both stay."""
    low, high = 0.0, 1.0
    halve: Callable[[], float] = lambda: (low + high) / 2  # noqa: E731
    for _ in range(24):
        if _keeps_both(fn, boxes, halve()):
            high = halve()
        else:
            low = halve()
    return halve()


def _at(fn: Guarded, offset: float) -> str:
    """What becomes of a box whose overlap is the threshold itself, 1/2 exactly."""
    p = round(offset)
    boxes = np.array([[0.0, 0, 16 - p, 16 - p], [0.0, 0, 16 - p, 8 - p]])
    return "kept (overlaps above it are removed)" if _keeps_both(fn, boxes, 0.5) else "removed"
