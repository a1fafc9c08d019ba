"""One probe a kind of function. Each file states the contract of the functions it measures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from d2align.audit.probes.anchors import probe_anchors
from d2align.audit.probes.box_pair import probe_box_pair
from d2align.audit.probes.boxes import probe_box_area, probe_box_iou, probe_nms
from d2align.audit.probes.crop_pad import probe_crop, probe_pad
from d2align.audit.probes.flip import probe_flip_boxes, probe_flip_coords, probe_flip_image
from d2align.audit.probes.mask_to_box import probe_mask_to_box
from d2align.audit.probes.outlines import probe_find_contours, probe_rasterize_polygon
from d2align.audit.probes.paste_mask import probe_paste_mask
from d2align.audit.probes.resize import probe_resize, probe_resize_by_scale
from d2align.audit.probes.roi_align import probe_roi_align
from d2align.audit.probes.sample_points import probe_sample_points
from d2align.audit.probes.transform import TransformSet, probe_transform
from d2align.audit.probes.warp import probe_rotate, probe_warp_affine
from d2align.audit.record import Finding

__all__ = ["CONTRACTS", "KINDS", "TransformSet"]

# In the order in which tables show them.
KINDS: dict[str, Callable[[Any, str], Finding]] = {
    "resize": probe_resize,
    "resize_by_scale": probe_resize_by_scale,
    "roi_align": probe_roi_align,
    "paste_mask": probe_paste_mask,
    "sample_points": probe_sample_points,
    "warp_affine": probe_warp_affine,
    "rotate": probe_rotate,
    "transform": probe_transform,
    "flip_image": probe_flip_image,
    "flip_boxes": probe_flip_boxes,
    "flip_coords": probe_flip_coords,
    "crop": probe_crop,
    "pad": probe_pad,
    "box_pair": probe_box_pair,
    "anchors": probe_anchors,
    "box_area": probe_box_area,
    "box_iou": probe_box_iou,
    "nms": probe_nms,
    "mask_to_box": probe_mask_to_box,
    "find_contours": probe_find_contours,
    "rasterize_polygon": probe_rasterize_polygon,
}

# How a function of each kind is called. Images are (H, W) float64 of 0..255, boxes XYXY.
CONTRACTS: dict[str, str] = {
    "resize": "fn(image, (h, w)) -> image",
    "resize_by_scale": "fn(image, scale) -> image",
    "roi_align": "fn(image, box, (h, w)) -> image",
    "paste_mask": "fn(mask, box, (h, w)) -> mask of that size; the mask given is (28, 28), 0..1",
    "sample_points": "fn(image, (N, 2) points) -> (N,) values",
    "warp_affine": "fn(image, (2, 3) matrix, (h, w)) -> image",
    "rotate": "fn(image, degrees) -> image of the same size",
    "transform": "a dict or TransformSet of functions of image, mask, boxes, polygons, keypoints",
    "flip_image": "fn(image) -> image",
    "flip_boxes": "fn((N, 4) boxes, (h, w)) -> boxes",
    "flip_coords": "fn((N, 2) coords, (h, w)) -> coords",
    "crop": "fn(image, box) -> image",
    "pad": "fn(image, (left, top, right, bottom)) -> image",
    "box_pair": "(encode, decode), or an object with get_deltas and apply_deltas",
    "anchors": "fn((h, w), stride, sizes, aspect_ratios) -> (N, 4) boxes",
    "box_area": "fn((N, 4) boxes) -> (N,)",
    "box_iou": "fn((N, 4) boxes, (M, 4) boxes) -> (N, M)",
    "nms": "fn((N, 4) boxes, (N,) scores, threshold) -> indices of those that stay",
    "mask_to_box": "fn(mask) -> (4,) box",
    "find_contours": "fn(mask) -> a list of (P, 2) contours",
    "rasterize_polygon": "fn((P, 2) polygon, (h, w)) -> mask",
}
