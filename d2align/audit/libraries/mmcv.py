"""mmcv: its image functions, and its operators where they are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mmcv
import numpy as np
import torch

NAME = "mmcv"
PACKAGES = ("mmcv", "mmcv-lite")


def resize() -> dict[str, Callable[..., Any]]:
    """mmcv.imresize."""

    def by(mode: str) -> Callable[..., Any]:
        return lambda im, size: mmcv.imresize(im.astype(np.float32), size[::-1], interpolation=mode)

    return {f"mmcv.imresize({mode})": by(mode) for mode in ("bilinear", "nearest", "area")}


def resize_by_scale() -> dict[str, Callable[..., Any]]:
    """mmcv.imrescale."""
    return {"mmcv.imrescale": lambda im, s: mmcv.imrescale(im.astype(np.float32), s)}


def roi_align() -> dict[str, Callable[..., Any]]:
    """mmcv.ops.roi_align, both ways."""
    try:
        from mmcv.ops import roi_align as op
    except ImportError:
        return {}

    def by(aligned: bool) -> Callable[..., Any]:
        def crop(image: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> Any:
            rois = torch.tensor([[0.0, *box.tolist()]])
            planes = torch.from_numpy(image)[None, None].float()
            return op(planes, rois, size, 1.0, 0, "avg", aligned)[0, 0]

        return crop

    return {f"mmcv.ops.roi_align(aligned={a})": by(a) for a in (True, False)}


def rotate() -> dict[str, Callable[..., Any]]:
    """mmcv.imrotate."""
    return {"mmcv.imrotate": lambda im, degrees: mmcv.imrotate(im, degrees)}


def flip_image() -> dict[str, Callable[..., Any]]:
    """mmcv.imflip."""
    return {"mmcv.imflip": lambda im: mmcv.imflip(im)}


def crop() -> dict[str, Callable[..., Any]]:
    """mmcv.imcrop."""
    return {"mmcv.imcrop": lambda im, box: mmcv.imcrop(im, box)}


def pad() -> dict[str, Callable[..., Any]]:
    """mmcv.impad."""
    return {"mmcv.impad": lambda im, sides: mmcv.impad(im, padding=tuple(sides))}
