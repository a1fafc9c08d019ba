"""All fuzzed functions of d2align.geometry, by their public names."""

from __future__ import annotations

import functools

import geometry_anchors
import geometry_boxes
import geometry_coords
import geometry_deltas
import geometry_flips
import geometry_grids
import geometry_masks
import geometry_sampling
import torch
from fuzz_target import Target

from d2align.geometry import paste_masks, paste_masks_detectron1_to_rle

AREAS = (
    geometry_anchors,
    geometry_boxes,
    geometry_coords,
    geometry_deltas,
    geometry_flips,
    geometry_grids,
    geometry_masks,
    geometry_sampling,
)
TARGETS: dict[str, Target] = {
    name: target for area in AREAS for name, target in area.TARGETS.items()
}


@functools.cache
def warm_up() -> None:
    """Compile what the first paste compiles, so that no call is blamed for it."""
    for mask_dtype in (torch.float32, torch.float64):
        for box_dtype in (torch.float32, torch.float64):
            masks = torch.ones(1, 2, 2, dtype=mask_dtype)
            boxes = torch.tensor([[0, 0, 4, 4]], dtype=box_dtype)
            paste_masks(masks, boxes, (5, 5))
            paste_masks_detectron1_to_rle(masks, boxes, (5, 5))
