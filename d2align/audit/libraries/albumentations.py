"""albumentations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import albumentations as A
import cv2
import numpy as np

from d2align.audit.probes.transform import TransformSet

NAME = "albumentations"
PACKAGES = ("albumentations", "albucore")


def resize() -> dict[str, Callable[..., Any]]:
    """Resize of images and of masks."""

    def by(flag: int) -> Callable[..., Any]:
        return lambda im, size: A.Resize(*size, interpolation=flag, p=1)(
            image=im.astype(np.float32)
        )["image"]

    def mask(image: np.ndarray, size: tuple[int, int]) -> Any:
        blank = np.zeros(image.shape, np.uint8)
        return A.Resize(*size, p=1)(image=blank, mask=image.astype(np.float32))["mask"]

    return {
        "Resize(INTER_LINEAR)": by(cv2.INTER_LINEAR),
        "Resize(INTER_AREA)": by(cv2.INTER_AREA),
        "Resize, mask": mask,
    }


def crop() -> dict[str, Callable[..., Any]]:
    """Crop."""

    def cut(image: np.ndarray, box: np.ndarray) -> Any:
        if (box != np.round(box)).any():
            raise ValueError("Crop takes whole pixels")
        x1, y1, x2, y2 = (int(v) for v in box)
        return A.Crop(x1, y1, x2, y2, p=1)(image=image.astype(np.float32))["image"]

    return {"Crop": cut}


def transform() -> dict[str, TransformSet]:
    """Transforms of images, masks, boxes (pascal_voc) and keypoints (xy)."""
    return {
        "HorizontalFlip": _together(A.HorizontalFlip(p=1)),
        "VerticalFlip": _together(A.VerticalFlip(p=1)),
        "Resize, together": _together(A.Resize(136, 155, p=1)),
        "Affine(scale=1.2)": _together(A.Affine(scale=1.2, p=1)),
        "Crop, together": _together(A.Crop(6, 4, 90, 80, p=1)),
    }


def _together(t: Any) -> TransformSet:
    boxes = A.BboxParams(format="pascal_voc", label_fields=[])
    points = A.KeypointParams(format="xy", remove_invisible=False)

    def moved(key: str, value: np.ndarray, size: tuple[int, int]) -> Any:
        params = {"bboxes": {"bbox_params": boxes}, "keypoints": {"keypoint_params": points}}
        composed = A.Compose([t], **params.get(key, {}))
        return composed(image=np.zeros(size, np.float32), **{key: value})[key]

    return TransformSet(
        image=lambda im: t(image=im.astype(np.float32))["image"],
        mask=lambda m: moved("mask", m.astype(np.uint8), m.shape),
        boxes=lambda b, size: moved("bboxes", b, size),
        keypoints=lambda p, size: moved("keypoints", p, size),
    )
