"""The box around a mask: does it reach the far edge of the last pixel?

Contract: fn(mask) -> (4,) XYXY box, pixels, of an (H, W) float64 mask of 0 and 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from d2align.audit.guard import Guarded
from d2align.audit.probes.naming import conclude
from d2align.audit.record import Finding

_SIZE = (40, 48)
_RECTANGLES = ((9, 12, 30, 27), (5, 6, 41, 35), (17, 11, 18, 31))
_WORDS = {
    "coordinates": "the box ends on the far edge of the last pixel, as d2align",
    "inclusive": (
        "x2 and y2 are the last pixel's indices: as coordinates the box is 1 px too small. Fix: "
        "add 1 to x2 and y2 (d2align.geometry.inclusive_to_float)"
    ),
    "centre": (
        "the box ends half a pixel inside the mask on every side: through the pixels' centres. "
        "Fix: widen it by 0.5 on every side"
    ),
    "unknown": (
        "follows no known rule: {residual:.2f} px from the nearest ({nearest}), up to {error:.2f} "
        "px from the mask's edges"
    ),
}
_RULES = {"coordinates": (0.0, 0.0), "inclusive": (0.0, -1.0), "centre": (0.5, -0.5)}


def probe_mask_to_box(fn: Any, subject: str) -> Finding:
    """Measure fn(mask); see the contract above.

    Args:
        fn: the function.
        subject: its name.

    Returns:
        The finding.

    Raises:
        ProbeFailure: the function cannot be measured.
    """
    guarded = Guarded(fn)
    boxes = []
    for x1, y1, x2, y2 in _RECTANGLES:
        mask = np.zeros(_SIZE)
        mask[y1:y2, x1:x2] = 1
        boxes.append(guarded(mask, shape=(4,)))
    away = np.array(boxes) - np.array(_RECTANGLES)
    residuals = {
        name: float(np.abs(away - [low, low, high, high]).max())
        for name, (low, high) in _RULES.items()
    }
    return conclude(
        "mask_to_box",
        subject,
        residuals,
        residuals["coordinates"],
        _WORDS,
        evidence={"boxes": [b.tolist() for b in boxes], "edges": [list(r) for r in _RECTANGLES]},
    )
