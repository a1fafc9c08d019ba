"""OpenCV."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

NAME = "OpenCV"
PACKAGES = ("opencv-python-headless", "opencv-python", "opencv-contrib-python")

_MODES = ("LINEAR", "CUBIC", "LANCZOS4", "AREA", "LINEAR_EXACT", "NEAREST", "NEAREST_EXACT")


def resize() -> dict[str, Callable[..., Any]]:
    """cv2.resize to a size."""

    def by(mode: str) -> Callable[..., Any]:
        flag = getattr(cv2, f"INTER_{mode}")
        return lambda im, size: cv2.resize(_image(im, mode), size[::-1], interpolation=flag)

    return {f"cv2.resize(dsize, INTER_{mode})": by(mode) for mode in _MODES}


def resize_by_scale() -> dict[str, Callable[..., Any]]:
    """cv2.resize by a factor."""

    def by(mode: str) -> Callable[..., Any]:
        flag = getattr(cv2, f"INTER_{mode}")
        return lambda im, s: cv2.resize(_image(im, mode), None, fx=s, fy=s, interpolation=flag)

    return {f"cv2.resize(fx, fy, INTER_{m})": by(m) for m in ("LINEAR", "CUBIC", "NEAREST")}


def warp_affine() -> dict[str, Callable[..., Any]]:
    """cv2.warpAffine."""
    return {
        "cv2.warpAffine": lambda im, matrix, size: cv2.warpAffine(
            im, matrix, size[::-1], flags=cv2.INTER_LINEAR
        )
    }


def rotate() -> dict[str, Callable[..., Any]]:
    """Rotations as people write them."""

    def about(half: float) -> Callable[..., Any]:
        def turn(image: np.ndarray, degrees: float) -> Any:
            h, w = image.shape
            matrix = cv2.getRotationMatrix2D((w / 2 - half, h / 2 - half), degrees, 1.0)
            return cv2.warpAffine(image, matrix, (w, h))

        return turn

    return {
        "cv2.getRotationMatrix2D((w / 2, h / 2))": about(0.0),
        "cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2))": about(0.5),
    }


def sample_points() -> dict[str, Callable[..., Any]]:
    """cv2.remap."""

    def remap(image: np.ndarray, points: np.ndarray) -> Any:
        x, y = points.T.astype(np.float32)
        return cv2.remap(image.astype(np.float32), x[None], y[None], cv2.INTER_LINEAR)[0]

    return {"cv2.remap(INTER_LINEAR)": remap}


def flip_image() -> dict[str, Callable[..., Any]]:
    """cv2.flip."""
    return {"cv2.flip(1)": lambda im: cv2.flip(im, 1)}


def find_contours() -> dict[str, Callable[..., Any]]:
    """cv2.findContours."""

    def contours(mask: np.ndarray) -> Any:
        return cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]

    return {"cv2.findContours": contours}


def rasterize_polygon() -> dict[str, Callable[..., Any]]:
    """cv2.fillPoly, whose points are whole numbers, or fixed-point ones."""

    def fill(bits: int) -> Callable[..., Any]:
        def draw(polygon: np.ndarray, size: tuple[int, int]) -> Any:
            points = np.round(polygon * 2**bits).astype(np.int32)
            return cv2.fillPoly(np.zeros(size, np.uint8), [points], 1, shift=bits)

        return draw

    return {"cv2.fillPoly(rounded)": fill(0), "cv2.fillPoly(shift=8)": fill(8)}


def _image(image: np.ndarray, mode: str) -> np.ndarray:
    """In a type that the mode takes."""
    return image.astype(np.uint8) if mode == "LINEAR_EXACT" else image.astype(np.float32)
