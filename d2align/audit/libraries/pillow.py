"""Pillow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageOps

NAME = "Pillow"
PACKAGES = ("pillow",)

_MODES = ("NEAREST", "BOX", "BILINEAR", "HAMMING", "BICUBIC", "LANCZOS")


def resize() -> dict[str, Callable[..., Any]]:
    """Image.resize."""

    def by(mode: str) -> Callable[..., Any]:
        filter_ = getattr(Image.Resampling, mode)
        return lambda im, size: np.asarray(_image(im).resize(size[::-1], filter_))

    return {f"Image.resize({mode})": by(mode) for mode in _MODES}


def roi_align() -> dict[str, Callable[..., Any]]:
    """Two ways to crop and resize at once."""
    extent, bilinear = Image.Transform.EXTENT, Image.Resampling.BILINEAR
    return {
        "Image.transform(EXTENT, BILINEAR)": lambda im, box, size: np.asarray(
            _image(im).transform(size[::-1], extent, tuple(box), bilinear)
        ),
        "Image.resize(BILINEAR, box)": lambda im, box, size: np.asarray(
            _image(im).resize(size[::-1], bilinear, tuple(box))
        ),
    }


def warp_affine() -> dict[str, Callable[..., Any]]:
    """Image.transform with a matrix."""

    def warp(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> Any:
        affine, bilinear = Image.Transform.AFFINE, Image.Resampling.BILINEAR
        return np.asarray(_image(image).transform(size[::-1], affine, tuple(matrix.flat), bilinear))

    return {"Image.transform(AFFINE)": warp}


def rotate() -> dict[str, Callable[..., Any]]:
    """Image.rotate."""
    bilinear = Image.Resampling.BILINEAR
    return {"Image.rotate": lambda im, degrees: np.asarray(_image(im).rotate(degrees, bilinear))}


def flip_image() -> dict[str, Callable[..., Any]]:
    """Image.transpose and ImageOps."""
    return {
        "Image.transpose(FLIP_LEFT_RIGHT)": lambda im: np.asarray(
            _image(im).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        ),
        "ImageOps.flip": lambda im: np.asarray(ImageOps.flip(_image(im))),
    }


def crop() -> dict[str, Callable[..., Any]]:
    """Image.crop."""
    return {"Image.crop": lambda im, box: np.asarray(_image(im).crop(tuple(box)))}


def pad() -> dict[str, Callable[..., Any]]:
    """ImageOps.expand."""
    return {
        "ImageOps.expand": lambda im, sides: np.asarray(ImageOps.expand(_image(im), tuple(sides)))
    }


def rasterize_polygon() -> dict[str, Callable[..., Any]]:
    """ImageDraw.polygon."""

    def draw(polygon: np.ndarray, size: tuple[int, int]) -> Any:
        canvas = Image.new("L", size[::-1])
        ImageDraw.Draw(canvas).polygon([tuple(p) for p in polygon.tolist()], outline=1, fill=1)
        return np.asarray(canvas)

    return {"ImageDraw.polygon": draw}


def _image(image: np.ndarray) -> Any:
    return Image.fromarray(image.astype(np.float32))
