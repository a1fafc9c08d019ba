"""supervision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import supervision as sv

NAME = "supervision"
PACKAGES = ("supervision",)


def box_iou() -> dict[str, Callable[..., Any]]:
    """sv.box_iou_batch."""
    return {"sv.box_iou_batch": lambda a, b: sv.box_iou_batch(a, b)}


def nms() -> dict[str, Callable[..., Any]]:
    """sv.box_non_max_suppression, whose answer is a mask of what stays."""

    def suppress(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> Any:
        predictions = np.column_stack([boxes, scores])
        return np.flatnonzero(sv.box_non_max_suppression(predictions, threshold))

    return {"sv.box_non_max_suppression": suppress}


def mask_to_box() -> dict[str, Callable[..., Any]]:
    """sv.mask_to_xyxy."""
    return {"sv.mask_to_xyxy": lambda mask: sv.mask_to_xyxy(mask[None] > 0)[0]}


def find_contours() -> dict[str, Callable[..., Any]]:
    """sv.mask_to_polygons."""
    return {"sv.mask_to_polygons": lambda mask: sv.mask_to_polygons(mask > 0)}


def rasterize_polygon() -> dict[str, Callable[..., Any]]:
    """sv.polygon_to_mask."""
    return {
        "sv.polygon_to_mask": lambda polygon, size: sv.polygon_to_mask(
            np.round(polygon).astype(np.int32), size[::-1]
        )
    }


def crop() -> dict[str, Callable[..., Any]]:
    """sv.crop_image."""
    return {"sv.crop_image": lambda im, box: sv.crop_image(im, box)}
