"""Flips of one kind of thing: images and masks, boxes, or coordinates.

Contracts (each finds out by itself whether it flips x or y):
    flip_image    fn(image) -> image, (H, W)
    flip_boxes    fn(boxes, (h, w)) -> boxes, (N, 4) XYXY, pixels
    flip_coords   fn(coords, (h, w)) -> coords, (N, 2) x, y, pixels: polygons or keypoints

Whether a project's flips agree with each other is the business of the kind ``transform``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from d2align.audit.guard import Guarded, ProbeFailure
from d2align.audit.probes.naming import conclude
from d2align.audit.record import Finding

_SIZE = (37, 52)
_NAMED_PX = 0.005

_INDEX = (
    "flips by {side} - 1 - {axis}, the rule for pixel indices: coordinates land {error:.2f} px to "
    "the {way}. Fix: {side} - {axis}; if these are indices (COCO keypoints, inclusive boxes), add "
    "0.5 to them on loading instead"
)
_WORDS = {
    "coordinate": "flips by {side} - {axis}, as d2align",
    "index": _INDEX,
    "inclusive": (
        "flips by {side} + 1 - {axis}: {error:.2f} px too far to the other side. Fix: "
        "{side} - {axis}"
    ),
    "none": "leaves everything where it is: it does not flip",
    "unknown": (
        "follows no known rule: {residual:.2f} px from the nearest ({nearest}), {error:.2f} px off "
        "a flip by {side} - {axis}"
    ),
}
# Sums of a coordinate and its flip, less the image's side.
_RULES = {"coordinate": 0.0, "index": -1.0, "inclusive": 1.0}


def probe_flip_coords(fn: Any, subject: str) -> Finding:
    """Measure fn(coords, (h, w)); see the contract above.

    Args:
        fn: the flip.
        subject: its name.

    Returns:
        The finding.

    Raises:
        ProbeFailure: the function cannot be measured.
    """
    h, w = _SIZE
    rng = np.random.default_rng(0)
    coords = rng.uniform(1, (w - 1, h - 1), (20, 2))
    out = Guarded(fn)(coords, _SIZE, shape=coords.shape)
    return _conclude("flip_coords", subject, coords, out)


def probe_flip_boxes(fn: Any, subject: str) -> Finding:
    """Measure fn(boxes, (h, w)); as probe_flip_coords."""
    h, w = _SIZE
    rng = np.random.default_rng(0)
    low = rng.uniform(1, (w / 2, h / 2), (20, 2))
    boxes = np.concatenate([low, low + rng.uniform(2, (w / 2 - 2, h / 2 - 2), (20, 2))], axis=1)
    out = Guarded(fn)(boxes, _SIZE, shape=boxes.shape)
    if (out[:, 2:] < out[:, :2]).any():
        raise ProbeFailure("it returns boxes whose x2 is below x1: swap the edges when flipping")
    # The flipped left edge is the old right one.
    ends = np.concatenate([boxes[:, :2], boxes[:, 2:]])
    flipped = np.concatenate([out[:, :2], out[:, 2:]])
    swapped = np.concatenate([out[:, 2:], out[:, :2]])
    moved = np.abs(flipped - ends).max(axis=0) > 1e-6
    return _conclude("flip_boxes", subject, ends, np.where(moved, swapped, flipped))


def probe_flip_image(fn: Any, subject: str) -> Finding:
    """Measure fn(image); as probe_flip_coords. Every pixel's centre is followed."""
    h, w = _SIZE
    guarded = Guarded(fn)
    ys, xs = np.mgrid[0:h, 0:w]
    # 52 columns and 37 rows in steps that survive a rounding to uint8.
    out_x = guarded(xs * 5.0, shape=(h, w)) / 5
    out_y = guarded(ys * 5.0, shape=(h, w)) / 5
    inner = (slice(4, -4), slice(4, -4))
    before = np.stack([out_x[inner].ravel(), out_y[inner].ravel()], axis=1) + 0.5
    after = np.stack([xs[inner].ravel(), ys[inner].ravel()], axis=1) + 0.5
    return _conclude("flip_image", subject, before, after)


def _conclude(kind: str, subject: str, before: np.ndarray, after: np.ndarray) -> Finding:
    """Name the rule by which points moved, (N, 2) x, y each."""
    centred = (before - before.mean(axis=0)) * (after - after.mean(axis=0))
    flips = centred.sum(axis=0) < 0
    names = " and ".join(n for n, flipped in zip("xy", flips, strict=True) if flipped)
    sides = np.array(_SIZE[::-1], dtype=np.float64)
    wanted = np.where(flips, sides - before, before)
    away = after - wanted
    residuals = {
        name: float(np.abs(away - np.where(flips, extra, 0.0)).max())
        for name, extra in _RULES.items()
    }
    error = residuals["coordinate"]
    if not any(flips):
        residuals = {"none": error}
        error = float((sides / 2).max())
    axis = names or "x"
    mean = float(away[:, flips].mean()) if any(flips) else 0.0
    return conclude(
        kind,
        subject,
        residuals,
        error,
        _WORDS,
        tolerance=_NAMED_PX,
        parameters={
            "axis": axis if names else "none",
            "side": {"x": "W", "y": "H"}.get(axis, "size"),
            "shift_px": mean,
            "way": "left" if axis == "x" else "top",
        },
        evidence={"before": before[:5].tolist(), "after": after[:5].tolist()},
    )
