"""kornia: geometry, and augmentations of several things together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kornia.augmentation as K
import numpy as np
import torch
from kornia.geometry import bbox as kornia_bbox
from kornia.geometry import transform as kornia_transform

from d2align.audit.probes.transform import TransformSet

NAME = "kornia"
PACKAGES = ("kornia",)


def resize() -> dict[str, Callable[..., Any]]:
    """geometry.transform.resize and the augmentation Resize, whose defaults differ."""

    def by(**options: Any) -> Callable[..., Any]:
        return lambda im, size: kornia_transform.resize(_batch(im), size, **options)[0, 0]

    def augmented(image: np.ndarray, size: tuple[int, int]) -> Any:
        return K.Resize(size)(_batch(image))[0, 0]

    return {
        "geometry.resize": by(),
        "geometry.resize(align_corners=True)": by(align_corners=True),
        "geometry.resize(nearest)": by(interpolation="nearest"),
        "geometry.resize(antialias=True)": by(antialias=True),
        "augmentation.Resize": augmented,
    }


def roi_align() -> dict[str, Callable[..., Any]]:
    """geometry.transform.crop_and_resize."""

    def by(align_corners: bool) -> Callable[..., Any]:
        def crop(image: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> Any:
            x1, y1, x2, y2 = box
            corners = torch.tensor([[[x1, y1], [x2, y1], [x2, y2], [x1, y2]]])
            return kornia_transform.crop_and_resize(
                _batch(image), corners, size, align_corners=align_corners
            )[0, 0]

        return crop

    return {f"geometry.crop_and_resize(align_corners={a})": by(a) for a in (True, False)}


def warp_affine() -> dict[str, Callable[..., Any]]:
    """geometry.transform.warp_affine."""

    def by(align_corners: bool) -> Callable[..., Any]:
        return lambda im, matrix, size: kornia_transform.warp_affine(
            _batch(im), torch.from_numpy(matrix)[None], size, align_corners=align_corners
        )[0, 0]

    return {f"geometry.warp_affine(align_corners={a})": by(a) for a in (True, False)}


def rotate() -> dict[str, Callable[..., Any]]:
    """geometry.transform.rotate."""
    return {
        "geometry.rotate": lambda im, degrees: kornia_transform.rotate(
            _batch(im), torch.tensor([degrees], dtype=torch.float64)
        )[0, 0]
    }


def flip_image() -> dict[str, Callable[..., Any]]:
    """geometry.transform.hflip."""
    return {"geometry.hflip": lambda im: kornia_transform.hflip(_batch(im))[0, 0]}


def nms() -> dict[str, Callable[..., Any]]:
    """geometry.bbox.nms."""
    return {
        "geometry.bbox.nms": lambda boxes, scores, threshold: kornia_bbox.nms(
            torch.from_numpy(boxes), torch.from_numpy(scores), threshold
        )
    }


def transform() -> dict[str, TransformSet]:
    """Augmentations of images, masks, boxes (bbox_xyxy) and keypoints."""
    return {
        "augmentation.RandomHorizontalFlip": _together(lambda: K.RandomHorizontalFlip(p=1.0)),
        "augmentation.RandomVerticalFlip": _together(lambda: K.RandomVerticalFlip(p=1.0)),
        "augmentation.Resize, together": _together(lambda: K.Resize((136, 155), p=1.0)),
        "augmentation.Resize(align_corners=False)": _together(
            lambda: K.Resize((136, 155), align_corners=False, p=1.0)
        ),
    }


def _together(make: Callable[[], Any]) -> TransformSet:
    def apply(key: str, value: torch.Tensor, size: tuple[int, int]) -> Any:
        image = torch.zeros(1, 1, *size, dtype=torch.float64)
        if key == "input":
            return K.AugmentationSequential(make(), data_keys=["input"])(value)[0, 0]
        return K.AugmentationSequential(make(), data_keys=["input", key])(image, value)[1]

    return TransformSet(
        image=lambda im: apply("input", _batch(im), im.shape),
        mask=lambda m: apply("mask", _batch(m), m.shape)[0, 0],
        boxes=lambda b, size: apply("bbox_xyxy", torch.from_numpy(b)[None], size)[0],
        keypoints=lambda p, size: apply("keypoints", torch.from_numpy(p)[None], size)[0],
    )


def _batch(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image)[None, None]
