"""Detectron2: transforms, layers, structures and generators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from detectron2.data import transforms as T
from detectron2.layers import ROIAlign, paste_masks_in_image
from detectron2.layers import nms as d2_nms
from detectron2.layers.mask_ops import paste_mask_in_image_old
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.structures import BitMasks, Boxes, pairwise_iou
from detectron2.structures.masks import polygons_to_bitmask
from PIL import Image

from d2align.audit.probes.transform import TransformSet

NAME = "Detectron2"
PACKAGES = ("detectron2",)


def resize() -> dict[str, Callable[..., Any]]:
    """ResizeTransform, whose path depends on the type."""

    def by(dtype: Any, mode: Any, *, mask: bool = False) -> Callable[..., Any]:
        def resized(image: np.ndarray, size: tuple[int, int]) -> Any:
            t = T.ResizeTransform(*image.shape, *size, mode)
            array = image.astype(dtype)
            return t.apply_segmentation(array) if mask else t.apply_image(array)

        return resized

    linear = Image.BILINEAR
    return {
        "ResizeTransform.apply_image, uint8": by(np.uint8, linear),
        "ResizeTransform.apply_image, float32": by(np.float32, linear),
        "ResizeTransform.apply_segmentation, uint8": by(np.uint8, linear, mask=True),
        "ResizeTransform.apply_segmentation, float32": by(np.float32, linear, mask=True),
    }


def roi_align() -> dict[str, Callable[..., Any]]:
    """layers.ROIAlign, both ways."""

    def by(aligned: bool) -> Callable[..., Any]:
        def crop(image: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> Any:
            rois = torch.tensor([[0.0, *box.tolist()]], dtype=torch.float64)
            return ROIAlign(size, 1.0, 0, aligned)(torch.from_numpy(image)[None, None], rois)[0, 0]

        return crop

    return {
        "ROIAlign(aligned=True), ROIAlignV2": by(True),
        "ROIAlign(aligned=False), ROIAlign": by(False),
    }


def paste_mask() -> dict[str, Callable[..., Any]]:
    """Both pastes of mask_ops."""

    def current(mask: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> Any:
        masks, boxes = torch.from_numpy(mask)[None], torch.from_numpy(box)[None]
        return paste_masks_in_image(masks, Boxes(boxes), size)[0]

    def pil(mask: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> Any:
        mask32, box32 = torch.from_numpy(mask).float(), torch.from_numpy(box).float()
        return paste_mask_in_image_old(mask32, box32, *size, 0.5)

    return {"paste_masks_in_image": current, "paste_mask_in_image_old": pil}


def box_pair() -> dict[str, Any]:
    """Box2BoxTransform."""
    coder = Box2BoxTransform(weights=(10.0, 10.0, 5.0, 5.0))
    return {
        "Box2BoxTransform": (
            lambda src, dst: coder.get_deltas(torch.from_numpy(src), torch.from_numpy(dst)),
            lambda deltas, src: coder.apply_deltas(torch.from_numpy(deltas), torch.from_numpy(src)),
        )
    }


def anchors() -> dict[str, Callable[..., Any]]:
    """DefaultAnchorGenerator, with the offset of the configs and the recommended one."""

    def by(offset: float) -> Callable[..., Any]:
        def generate(grid: tuple[int, int], stride: int, sizes: Any, ratios: Any) -> Any:
            generator = DefaultAnchorGenerator(
                sizes=[sizes], aspect_ratios=[ratios], strides=[stride], offset=offset
            )
            return generator([torch.zeros(1, 1, *grid)])[0].tensor

        return generate

    return {f"DefaultAnchorGenerator(offset={o})": by(o) for o in (0.0, 0.5)}


def mask_to_box() -> dict[str, Callable[..., Any]]:
    """BitMasks.get_bounding_boxes."""

    def extent(mask: np.ndarray) -> Any:
        return BitMasks(torch.from_numpy(mask > 0)[None]).get_bounding_boxes().tensor[0]

    return {"BitMasks.get_bounding_boxes": extent}


def box_area() -> dict[str, Callable[..., Any]]:
    """Boxes.area."""
    return {"Boxes.area": lambda boxes: Boxes(torch.from_numpy(boxes)).area()}


def box_iou() -> dict[str, Callable[..., Any]]:
    """pairwise_iou."""
    return {
        "pairwise_iou": lambda a, b: pairwise_iou(
            Boxes(torch.from_numpy(a)), Boxes(torch.from_numpy(b))
        )
    }


def nms() -> dict[str, Callable[..., Any]]:
    """layers.nms."""
    return {
        "layers.nms": lambda boxes, scores, threshold: d2_nms(
            torch.from_numpy(boxes), torch.from_numpy(scores), threshold
        )
    }


def rasterize_polygon() -> dict[str, Callable[..., Any]]:
    """structures.masks.polygons_to_bitmask."""
    return {
        "polygons_to_bitmask": lambda polygon, size: polygons_to_bitmask([polygon.ravel()], *size)
    }


def transform() -> dict[str, TransformSet]:
    """Transforms of images, masks, boxes, polygons and keypoints together."""
    h, w = 84, 96
    linear = Image.BILINEAR
    return {
        "HFlipTransform": _together(T.HFlipTransform(w)),
        "VFlipTransform": _together(T.VFlipTransform(h)),
        "ResizeTransform, mask uint8": _together(T.ResizeTransform(h, w, 136, 155, linear)),
        "ResizeTransform, mask float32": _together(
            T.ResizeTransform(h, w, 136, 155, linear), np.float32
        ),
        "RotationTransform": _together(T.RotationTransform(h, w, 30)),
        "CropTransform": _together(T.CropTransform(10, 6, 80, 72), polygons=False),
    }


def _together(t: Any, mask_type: Any = np.uint8, *, polygons: bool = True) -> TransformSet:
    return TransformSet(
        image=lambda im: t.apply_image(im.astype(np.float32)),
        mask=lambda m: t.apply_segmentation(m.astype(mask_type)),
        boxes=lambda b, size: t.apply_box(b),
        # Copies: fvcore edits points in place. A crop of polygons needs shapely.
        polygons=(lambda p, size: t.apply_polygons([p.copy()])[0]) if polygons else None,
        keypoints=lambda p, size: t.apply_coords(p.copy()),
    )
