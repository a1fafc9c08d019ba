"""Ultralytics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from ultralytics.data.augment import RandomFlip
from ultralytics.data.utils import polygon2mask
from ultralytics.utils import metrics, ops
from ultralytics.utils.instance import Instances

from d2align.audit.probes.transform import TransformSet

NAME = "Ultralytics"
PACKAGES = ("ultralytics",)


def box_iou() -> dict[str, Callable[..., Any]]:
    """utils.metrics.box_iou."""
    return {
        "utils.metrics.box_iou": lambda a, b: metrics.box_iou(
            torch.from_numpy(a), torch.from_numpy(b)
        )
    }


def find_contours() -> dict[str, Callable[..., Any]]:
    """utils.ops.masks2segments."""
    return {"utils.ops.masks2segments": lambda mask: ops.masks2segments(mask[None])}


def rasterize_polygon() -> dict[str, Callable[..., Any]]:
    """data.utils.polygon2mask, which cuts coordinates down to whole numbers."""
    return {"data.utils.polygon2mask": lambda polygon, size: polygon2mask(size, [polygon.ravel()])}


def transform() -> dict[str, TransformSet]:
    """RandomFlip of images, boxes, segments and keypoints."""
    return {
        f"data.augment.RandomFlip({direction})": _flip(direction)
        for direction in ("horizontal", "vertical")
    }


def _flip(direction: str) -> TransformSet:
    flip = RandomFlip(p=1.0, direction=direction)

    def flipped(image: np.ndarray, **given: np.ndarray) -> Any:
        # Copies: it edits its instances in place.
        points = given.get("points", np.zeros((4, 2)))[None]
        boxes = given.get("boxes", np.zeros((1, 4)))
        instances = Instances(
            boxes.copy(), points.copy(), points.copy(), bbox_format="xyxy", normalized=False
        )
        out = flip({"img": image, "instances": instances})
        out["instances"].convert_bbox("xyxy")
        return out

    def of_instances(size: tuple[int, int], **given: np.ndarray) -> Any:
        return flipped(np.zeros((*size, 3), np.uint8), **given)["instances"]

    return TransformSet(
        image=lambda im: flipped(np.repeat(im[..., None], 3, axis=2))["img"][..., 0],
        boxes=lambda b, size: of_instances(size, boxes=b).bboxes,
        polygons=lambda p, size: of_instances(size, points=p).segments[0],
        keypoints=lambda p, size: of_instances(size, points=p).keypoints[0],
    )
