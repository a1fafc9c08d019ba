"""SciPy: scipy.ndimage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import ndimage

NAME = "SciPy"
PACKAGES = ("scipy",)

_MODES: tuple[dict[str, Any], ...] = (
    {"order": 0},
    {"order": 1},
    {"order": 3},
    {"order": 0, "grid_mode": True, "mode": "nearest"},
    {"order": 1, "grid_mode": True, "mode": "nearest"},
    {"order": 1, "grid_mode": True, "mode": "grid-constant"},
)


def resize() -> dict[str, Callable[..., Any]]:
    """ndimage.zoom by the ratio of the sizes."""

    def by(options: dict[str, Any]) -> Callable[..., Any]:
        def zoom(image: np.ndarray, size: tuple[int, int]) -> Any:
            ratio = size[0] / image.shape[0], size[1] / image.shape[1]
            return ndimage.zoom(image, ratio, **options)

        return zoom

    return {f"ndimage.zoom({_text(options)})": by(options) for options in _MODES}


def resize_by_scale() -> dict[str, Callable[..., Any]]:
    """ndimage.zoom by a factor."""
    return {"ndimage.zoom(factor, order=1)": lambda im, s: ndimage.zoom(im, s, order=1)}


def sample_points() -> dict[str, Callable[..., Any]]:
    """ndimage.map_coordinates."""
    return {
        "ndimage.map_coordinates(order=1)": lambda im, points: ndimage.map_coordinates(
            im, points[:, ::-1].T, order=1
        )
    }


def warp_affine() -> dict[str, Callable[..., Any]]:
    """ndimage.affine_transform, whose matrix is one of y and x."""

    def warp(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> Any:
        linear, shift = matrix[::-1, 1::-1], matrix[::-1, 2]
        return ndimage.affine_transform(image, linear, shift, output_shape=size, order=1)

    return {"ndimage.affine_transform(order=1)": warp}


def rotate() -> dict[str, Callable[..., Any]]:
    """ndimage.rotate."""
    return {
        "ndimage.rotate(reshape=False, order=1)": lambda im, degrees: ndimage.rotate(
            im, degrees, reshape=False, order=1
        )
    }


def _text(options: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in options.items())
