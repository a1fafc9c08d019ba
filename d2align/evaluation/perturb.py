"""Move the edges of finished detections by whole or fractional pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def shift_boxes(
    results: Sequence[Mapping[str, Any]],
    left: float = 0.0,
    top: float = 0.0,
    right: float = 0.0,
    bottom: float = 0.0,
) -> list[dict[str, Any]]:
    """Return copies of COCO results whose box edges are moved.

    Convention:
        Float coordinates in original pixels, x to the right and y down; edges are x1, y1
        (left, top) and x2 = x + w, y2 = y + h (right, bottom). XYWH in, XYWH out.

    Args:
        results: COCO result dicts with ``bbox`` [x, y, w, h]; left untouched.
        left: pixels added to x1.
        top: pixels added to y1.
        right: pixels added to x2.
        bottom: pixels added to y2.

    Returns:
        New result dicts, same order; nothing is clipped to the image.

    Raises:
        ValueError: if a result has no bbox of 4 numbers.
    """
    shifted = []
    for index, result in enumerate(results):
        bbox = result.get("bbox")
        if bbox is None or len(bbox) != 4:
            raise ValueError(f"results[{index}]: got bbox {bbox!r}, expected [x, y, w, h]")
        x, y, w, h = (float(value) for value in bbox)
        moved = [x + left, y + top, w + right - left, h + bottom - top]
        shifted.append({**result, "bbox": moved})
    return shifted
