"""torchvision: ops, transforms v1 and v2, and the parts of its detection models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision import ops, tv_tensors
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as v1
from torchvision.transforms.v2 import functional as v2

from d2align.audit.probes.transform import TransformSet

NAME = "torchvision"
PACKAGES = ("torchvision",)

_MODES = ("NEAREST", "NEAREST_EXACT", "BILINEAR", "BICUBIC")


def resize() -> dict[str, Callable[..., Any]]:
    """Both generations of resize, on tensors; v1 on PIL images too."""
    found: dict[str, Callable[..., Any]] = {}
    for name in _MODES:
        mode = getattr(InterpolationMode, name)
        found[f"v1.resize({name}), tensor"] = lambda im, size, mode=mode: v1.resize(
            _tensor(im), list(size), mode
        )[0]
        found[f"v2.resize({name}), tensor"] = lambda im, size, mode=mode: v2.resize(
            _tensor(im), list(size), mode
        )[0]
    found["v2.resize(BILINEAR, antialias=False), tensor"] = lambda im, size: v2.resize(
        _tensor(im), list(size), InterpolationMode.BILINEAR, antialias=False
    )[0]
    found["v2.resize, Mask"] = lambda im, size: v2.resize(tv_tensors.Mask(_tensor(im)), list(size))[
        0
    ]
    found["v1.resize(BILINEAR), PIL image"] = lambda im, size: np.asarray(
        v1.resize(Image.fromarray(im.astype(np.float32)), list(size), InterpolationMode.BILINEAR)
    )
    return found


def roi_align() -> dict[str, Callable[..., Any]]:
    """ops.roi_align, ops.roi_pool, and the pooler of the detection models."""

    def by(op: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        return lambda im, box, size: op(_tensor(im)[None], _rois(box), size, **options)[0, 0]

    return {
        "ops.roi_align(aligned=True)": by(ops.roi_align, aligned=True),
        "ops.roi_align(aligned=False)": by(ops.roi_align, aligned=False),
        "ops.roi_pool": by(ops.roi_pool),
        "MultiScaleRoIAlign": _multi_scale,
    }


def _multi_scale(image: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> Any:
    pooler = ops.MultiScaleRoIAlign(["0"], list(size), sampling_ratio=2)
    boxes = torch.from_numpy(box)[None].float()
    return pooler({"0": _tensor(image)[None].float()}, [boxes], [image.shape])[0, 0]


def paste_mask() -> dict[str, Callable[..., Any]]:
    """What Mask R-CNN's masks go through."""
    return {
        "detection paste_masks_in_image": lambda mask, box, size: paste_masks_in_image(
            _tensor(mask)[None], torch.from_numpy(box)[None], size
        )[0, 0]
    }


def box_pair() -> dict[str, Any]:
    """The coder of the detection models."""
    coder = BoxCoder((10.0, 10.0, 5.0, 5.0))
    return {
        "detection BoxCoder": (
            lambda src, dst: coder.encode([torch.from_numpy(dst)], [torch.from_numpy(src)])[0],
            lambda deltas, src: coder.decode(torch.from_numpy(deltas), [torch.from_numpy(src)])[
                :, 0
            ],
        )
    }


def anchors() -> dict[str, Callable[..., Any]]:
    """The anchors of the detection models."""

    def generate(grid: tuple[int, int], stride: int, sizes: list[Any], ratios: list[Any]) -> Any:
        generator = AnchorGenerator((tuple(sizes),), (tuple(ratios),))
        h, w = grid[0] * stride, grid[1] * stride
        images = ImageList(torch.zeros(1, 3, h, w), [(h, w)])
        return generator(images, [torch.zeros(1, 1, *grid)])[0]

    return {"detection AnchorGenerator": generate}


def mask_to_box() -> dict[str, Callable[..., Any]]:
    """ops.masks_to_boxes."""
    return {"ops.masks_to_boxes": lambda mask: ops.masks_to_boxes(_tensor(mask))[0]}


def box_area() -> dict[str, Callable[..., Any]]:
    """ops.box_area."""
    return {"ops.box_area": lambda boxes: ops.box_area(torch.from_numpy(boxes))}


def box_iou() -> dict[str, Callable[..., Any]]:
    """ops.box_iou."""
    return {"ops.box_iou": lambda a, b: ops.box_iou(torch.from_numpy(a), torch.from_numpy(b))}


def nms() -> dict[str, Callable[..., Any]]:
    """ops.nms."""
    return {
        "ops.nms": lambda boxes, scores, threshold: ops.nms(
            torch.from_numpy(boxes), torch.from_numpy(scores), threshold
        )
    }


def transform() -> dict[str, TransformSet]:
    """Transforms v2 of images, masks, boxes and keypoints together."""

    def resized(x: Any) -> Any:
        return v2.resize(x, [136, 155])

    def turned(x: Any) -> Any:
        return v2.rotate(x, 30.0, InterpolationMode.BILINEAR)

    def masks_turned(x: Any) -> Any:
        return v2.rotate(x, 30.0, InterpolationMode.NEAREST)

    return {
        "v2.horizontal_flip": _together(v2.horizontal_flip),
        "v2.vertical_flip": _together(v2.vertical_flip),
        "v2.resize": _together(resized),
        "v2.rotate": _together(turned, masks_turned),
    }


def _together(
    fn: Callable[[Any], Any], of_masks: Callable[[Any], Any] | None = None
) -> TransformSet:
    boxes, points = tv_tensors.BoundingBoxes, tv_tensors.KeyPoints
    of_masks = of_masks or fn
    return TransformSet(
        image=lambda im: fn(tv_tensors.Image(_tensor(im)))[0],
        mask=lambda m: of_masks(tv_tensors.Mask(_tensor(m)))[0],
        boxes=lambda b, size: fn(boxes(torch.from_numpy(b), format="XYXY", canvas_size=size)),
        keypoints=lambda p, size: fn(points(torch.from_numpy(p)[None], canvas_size=size))[0],
    )


def _tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image)[None]


def _rois(box: np.ndarray) -> torch.Tensor:
    return torch.tensor([[0.0, *box.tolist()]], dtype=torch.float64)
