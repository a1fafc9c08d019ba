"""pycocotools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

NAME = "pycocotools"
PACKAGES = ("pycocotools",)


def rasterize_polygon() -> dict[str, Callable[..., Any]]:
    """mask.frPyObjects and decode."""

    def draw(polygon: np.ndarray, size: tuple[int, int]) -> Any:
        return coco_mask.decode(coco_mask.frPyObjects([polygon.ravel().tolist()], *size))[..., 0]

    return {"mask.frPyObjects": draw}


def mask_to_box() -> dict[str, Callable[..., Any]]:
    """mask.toBbox, whose answer is XYWH."""

    def extent(mask: np.ndarray) -> Any:
        x, y, w, h = coco_mask.toBbox(coco_mask.encode(np.asfortranarray(mask, np.uint8)))
        return np.array([x, y, x + w, y + h])

    return {"mask.toBbox": extent}


def box_iou() -> dict[str, Callable[..., Any]]:
    """mask.iou of XYWH boxes."""

    def iou(a: np.ndarray, b: np.ndarray) -> Any:
        return coco_mask.iou(_xywh(a), _xywh(b), [0] * len(b))

    return {"mask.iou(boxes)": iou}


def _xywh(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
