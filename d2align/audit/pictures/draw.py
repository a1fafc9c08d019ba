"""The picture of one finding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from d2align.audit.pictures import lines, planes
from d2align.audit.pictures.style import svg
from d2align.audit.record import Finding

# What is not here is told in words only.
_DRAW: dict[str, Callable[[Finding], Any]] = {
    "resize": lines.draw_resize,
    "resize_by_scale": lines.draw_resize,
    "roi_align": lines.draw_roi_align,
    "paste_mask": planes.draw_paste_mask,
    "sample_points": lines.draw_sample_points,
    "warp_affine": planes.draw_warp_affine,
    "rotate": planes.draw_rotate,
    "transform": lines.draw_drifts,
    "flip_image": lines.draw_flip,
    "flip_boxes": lines.draw_flip,
    "flip_coords": lines.draw_flip,
    "crop": planes.draw_crop,
    "pad": lines.draw_pad,
    "box_pair": planes.draw_box_pair,
    "anchors": planes.draw_anchors,
    "box_area": lines.draw_width,
    "box_iou": lines.draw_width,
    "nms": lines.draw_width,
    "mask_to_box": planes.draw_mask_to_box,
    "find_contours": planes.draw_find_contours,
    "rasterize_polygon": planes.draw_rasterize_polygon,
    # Of pipelines, with the evidence of the function's kind.
    "box coding": planes.draw_box_pair,
    "paste": planes.draw_paste_mask,
}


def draw(finding: Finding) -> bytes | None:
    """Return the picture of a finding, drawn from its own measurements.

    Args:
        finding: of any kind; one that failed has no measurements.

    Returns:
        An SVG file's bytes, or None if there is nothing to draw.
    """
    if finding.status == "failed":
        return None
    # Stages of a pipeline, some of which are called as functions are, measure a drift.
    if "x_px" in finding.parameters:
        return svg(planes.draw_drift(finding))
    if finding.kind not in _DRAW:
        return None
    return svg(_DRAW[finding.kind](finding))
