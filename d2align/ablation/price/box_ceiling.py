"""Part (a), boxes: ground truth through the boxes and the coder of each convention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from d2align.ablation.price.arms import Arm, Results
from d2align.ablation.price.inputs import Inputs
from d2align.evaluation.perturb import truncate_boxes
from d2align.geometry import (
    apply_deltas,
    apply_deltas_detectron1,
    apply_deltas_py_faster_rcnn,
    clip_boxes_detectron1,
    get_deltas,
    get_deltas_detectron1,
    get_deltas_py_faster_rcnn,
    xywh_to_xyxy,
    xywh_to_xyxy_detectron1,
    xyxy_to_xywh,
    xyxy_to_xywh_detectron1,
)

# Proposals are the objects' boxes with edges off by this share of their sides.
_JITTER = 0.1


def pass_float(boxes: Tensor, proposals: Tensor, size: tuple[int, int]) -> Tensor:
    """Encode and decode float boxes.

    Convention: integer corners throughout.

    Args:
        boxes: (N, 4) XYWH, pixels.
        proposals: (N, 4) XYXY, pixels, of positive size.
        size: (h, w) of the image.

    Returns:
        (N, 4) XYWH, pixels.
    """
    deltas = get_deltas(proposals, xywh_to_xyxy(boxes))
    return xyxy_to_xywh(apply_deltas(deltas, proposals))


def pass_detectron1(boxes: Tensor, proposals: Tensor, size: tuple[int, int]) -> Tensor:
    """Encode and decode inclusive boxes, clipped before and after, as Detectron did.

    Convention: inclusive indices, of the float box's edges without rounding.

    Args:
        boxes: (N, 4) XYWH, pixels.
        proposals: (N, 4) XYXY, pixels, of positive size.
        size: (h, w) of the image.

    Returns:
        (N, 4) XYWH, pixels.

    Differs from: pass_float below one pixel of side, and at the image's far edges.
    Source: facebookresearch/Detectron, detectron/datasets/json_dataset.py, detectron/core/test.py.
    """
    inclusive = clip_boxes_detectron1(xywh_to_xyxy_detectron1(boxes), size)
    deltas = get_deltas_detectron1(proposals, inclusive)
    decoded = apply_deltas_detectron1(deltas, proposals)
    return xyxy_to_xywh_detectron1(clip_boxes_detectron1(decoded, size))


def pass_py_faster_rcnn(boxes: Tensor, proposals: Tensor, size: tuple[int, int]) -> Tensor:
    """Encode and decode with the 2015 decoder, clipped as py-faster-rcnn did.

    Convention: inclusive indices; decoded right and bottom edges one pixel too far.

    Args:
        boxes: (N, 4) XYWH, pixels.
        proposals: (N, 4) XYXY, pixels, of positive size.
        size: (h, w) of the image.

    Returns:
        (N, 4) XYWH, pixels.

    Differs from: pass_detectron1 by +1 on w and h, less at the image's far edges.
    Source: rbgirshick/py-faster-rcnn, lib/fast_rcnn/bbox_transform.py, lib/fast_rcnn/test.py.
    """
    inclusive = clip_boxes_detectron1(xywh_to_xyxy_detectron1(boxes), size)
    deltas = get_deltas_py_faster_rcnn(proposals, inclusive)
    decoded = apply_deltas_py_faster_rcnn(deltas, proposals)
    return xyxy_to_xywh_detectron1(clip_boxes_detectron1(decoded, size))


def pass_lost_pixel(boxes: Tensor, proposals: Tensor, size: tuple[int, int]) -> Tensor:
    """Learn inclusive boxes and report them as edges: two conventions in one pipeline.

    Convention: inclusive indices in, read as integer corners.

    Args:
        boxes: (N, 4) XYWH, pixels.
        proposals: (N, 4) XYXY, pixels, of positive size.
        size: (h, w) of the image.

    Returns:
        (N, 4) XYWH, pixels.

    Differs from: pass_float by -1 on w and h.
    """
    return xyxy_to_xywh(xywh_to_xyxy_detectron1(pass_float(boxes, proposals, size)))


def pass_whole_pixels(boxes: Tensor, proposals: Tensor, size: tuple[int, int]) -> Tensor:
    """Keep inclusive boxes as integers, as py-faster-rcnn's uint16 did to its ground truth.

    Convention: inclusive indices, truncated.

    Args:
        boxes: (N, 4) XYWH, pixels.
        proposals: (N, 4) XYXY, pixels, of positive size.
        size: (h, w) of the image.

    Returns:
        (N, 4) XYWH, pixels.

    Differs from: pass_float by up to a pixel an edge.
    Source: rbgirshick/py-faster-rcnn, lib/datasets/coco.py (boxes of dtype uint16).
    """
    kept = truncate_boxes([{"bbox": box} for box in pass_float(boxes, proposals, size).tolist()])
    return torch.tensor([one["bbox"] for one in kept], dtype=boxes.dtype).reshape(-1, 4)


CONVENTIONS: dict[str, Callable[[Tensor, Tensor, tuple[int, int]], Tensor]] = {
    "float": pass_float,
    "detectron1": pass_detectron1,
    "py_faster_rcnn": pass_py_faster_rcnn,
    "whole inclusive pixels": pass_whole_pixels,
    "inclusive read as edges": pass_lost_pixel,
}


@dataclass(frozen=True)
class BoxCeiling(Arm):
    """Ground-truth boxes through one convention, all with score 1.

    Attributes:
        convention: a key of ``CONVENTIONS``.
    """

    convention: str
    part = "box_ceiling"
    metric = "bbox"

    @property
    def name(self) -> str:
        """The convention."""
        return self.convention

    def reference(self) -> BoxCeiling:
        """Float boxes, which lose nothing."""
        return BoxCeiling("float")

    def results(self, world: Inputs) -> Results:
        """The boxes that come out, as if a network had learned them perfectly."""
        rng = np.random.default_rng(0)
        results: Results = []
        sizes, by_image = world.image_sizes, world.objects_by_image
        for image_id, objects in by_image.items():
            boxes = torch.tensor([one["bbox"] for one in objects], dtype=torch.float64)
            off = torch.from_numpy(rng.uniform(-_JITTER, _JITTER, (len(boxes), 4)))
            proposals = xywh_to_xyxy(boxes) + off * boxes[:, 2:].repeat(1, 2)
            passed = CONVENTIONS[self.convention](boxes, proposals, sizes[image_id]).tolist()
            results.extend(
                {"image_id": image_id, "category_id": one["category_id"], "bbox": box, "score": 1.0}
                for one, box in zip(objects, passed, strict=True)
            )
        return results


def box_ceiling_arms() -> list[Arm]:
    """Return the arms of this part.

    Returns:
        One for each convention, the reference first.
    """
    return [BoxCeiling(convention) for convention in CONVENTIONS]
