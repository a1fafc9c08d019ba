"""scikit-image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from skimage import draw as sk_draw
from skimage import measure as sk_measure
from skimage import transform as sk_transform

NAME = "scikit-image"
PACKAGES = ("scikit-image",)


def resize() -> dict[str, Callable[..., Any]]:
    """transform.resize."""

    def by(**options: Any) -> Callable[..., Any]:
        return lambda im, size: sk_transform.resize(im, size, preserve_range=True, **options)

    return {
        "transform.resize(order=0)": by(order=0, anti_aliasing=False),
        "transform.resize(order=1, anti_aliasing=False)": by(order=1, anti_aliasing=False),
        "transform.resize(order=1, anti_aliasing=True)": by(order=1, anti_aliasing=True),
        "transform.resize(order=3, anti_aliasing=False)": by(order=3, anti_aliasing=False),
    }


def resize_by_scale() -> dict[str, Callable[..., Any]]:
    """transform.rescale."""
    return {
        "transform.rescale(order=1)": lambda im, s: sk_transform.rescale(
            im, s, order=1, preserve_range=True, anti_aliasing=False
        )
    }


def warp_affine() -> dict[str, Callable[..., Any]]:
    """transform.warp, which takes the inverse map."""

    def warp(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> Any:
        full = np.vstack([matrix, [0, 0, 1]])
        inverse = sk_transform.AffineTransform(matrix=full)
        return sk_transform.warp(image, inverse, output_shape=size, order=1, preserve_range=True)

    return {"transform.warp(AffineTransform)": warp}


def rotate() -> dict[str, Callable[..., Any]]:
    """transform.rotate."""
    return {
        "transform.rotate": lambda im, degrees: sk_transform.rotate(
            im, degrees, order=1, preserve_range=True
        )
    }


def find_contours() -> dict[str, Callable[..., Any]]:
    """measure.find_contours, whose points are rows and columns."""
    return {
        "measure.find_contours(0.5)": lambda mask: [
            contour[:, ::-1] for contour in sk_measure.find_contours(mask, 0.5)
        ]
    }


def mask_to_box() -> dict[str, Callable[..., Any]]:
    """measure.regionprops, whose box is rows and columns."""

    def extent(mask: np.ndarray) -> Any:
        y1, x1, y2, x2 = sk_measure.regionprops(mask.astype(int))[0].bbox
        return np.array([x1, y1, x2, y2])

    return {"measure.regionprops.bbox": extent}


def rasterize_polygon() -> dict[str, Callable[..., Any]]:
    """draw.polygon and draw.polygon2mask."""

    def drawn(polygon: np.ndarray, size: tuple[int, int]) -> Any:
        mask = np.zeros(size)
        mask[sk_draw.polygon(polygon[:, 1], polygon[:, 0], size)] = 1
        return mask

    return {
        "draw.polygon": drawn,
        "draw.polygon2mask": lambda polygon, size: sk_draw.polygon2mask(size, polygon[:, ::-1]),
    }
