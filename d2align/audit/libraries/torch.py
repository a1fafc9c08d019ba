"""PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

NAME = "PyTorch"
PACKAGES = ("torch",)

_MODES: tuple[dict[str, Any], ...] = (
    {"mode": "nearest"},
    {"mode": "nearest-exact"},
    {"mode": "area"},
    {"mode": "bilinear", "align_corners": False},
    {"mode": "bilinear", "align_corners": True},
    {"mode": "bicubic", "align_corners": False},
    {"mode": "bicubic", "align_corners": True},
    {"mode": "bilinear", "antialias": True},
    {"mode": "bicubic", "antialias": True},
)


def resize() -> dict[str, Callable[..., Any]]:
    """F.interpolate to a size."""

    def by(options: dict[str, Any]) -> Callable[..., Any]:
        return lambda im, size: F.interpolate(_batch(im), size=size, **options)[0, 0]

    return {f"F.interpolate(size, {_text(options)})": by(options) for options in _MODES}


def resize_by_scale() -> dict[str, Callable[..., Any]]:
    """F.interpolate by a factor."""

    def by(options: dict[str, Any]) -> Callable[..., Any]:
        return lambda im, s: F.interpolate(_batch(im), scale_factor=s, **options)[0, 0]

    linear = {"mode": "bilinear", "align_corners": False}
    options = (
        {"mode": "nearest"},
        {"mode": "nearest-exact"},
        linear,
        linear | {"recompute_scale_factor": True},
        {"mode": "bilinear", "align_corners": True},
    )
    return {f"F.interpolate(scale_factor, {_text(o)})": by(o) for o in options}


def sample_points() -> dict[str, Callable[..., Any]]:
    """F.grid_sample, given unit coordinates as -1..1."""

    def by(mode: str, align_corners: bool) -> Callable[..., Any]:
        def sample(image: np.ndarray, points: np.ndarray) -> Any:
            grid = torch.from_numpy(points / np.array(image.shape[::-1]) * 2 - 1)[None, None]
            out = F.grid_sample(_batch(image), grid, mode=mode, align_corners=align_corners)
            return out[0, 0, 0]

        return sample

    return {
        f"F.grid_sample({mode}, align_corners={align})": by(mode, align)
        for mode, align in (
            ("bilinear", False),
            ("bilinear", True),
            ("bicubic", False),
            ("nearest", False),
        )
    }


def warp_affine() -> dict[str, Callable[..., Any]]:
    """F.affine_grid and F.grid_sample, with the inverse map of unit coordinates."""

    def by(align: bool) -> Callable[..., Any]:
        def warp(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> Any:
            theta = torch.from_numpy(_theta(matrix, image.shape, size))[None]
            grid = F.affine_grid(theta, [1, 1, *size], align_corners=align)
            return F.grid_sample(_batch(image), grid, align_corners=align)[0, 0]

        return warp

    return {
        f"F.affine_grid + F.grid_sample(align_corners={align})": by(align)
        for align in (False, True)
    }


def flip_image() -> dict[str, Callable[..., Any]]:
    """torch.flip."""
    return {"torch.flip(-1)": lambda im: torch.from_numpy(im).flip(-1)}


def pad() -> dict[str, Callable[..., Any]]:
    """F.pad, whose sides are left, right, top, bottom."""
    return {"F.pad": lambda im, p: F.pad(_batch(im), (p[0], p[2], p[1], p[3]))[0, 0]}


def _theta(matrix: np.ndarray, source: tuple[int, ...], target: tuple[int, int]) -> np.ndarray:
    """The map from the result's -1..1 to the source's that a map of coordinates stands for."""
    full = np.vstack([matrix, [0, 0, 1]])
    inverse = np.linalg.inv(full)
    to_unit = _scale(2 / source[1], 2 / source[0], -1)
    from_unit = _scale(target[1] / 2, target[0] / 2, 0) @ _scale(1, 1, 1)
    return (to_unit @ inverse @ from_unit)[:2]


def _scale(x: float, y: float, shift: float) -> np.ndarray:
    return np.array([[x, 0, shift], [0, y, shift], [0, 0, 1]], dtype=np.float64)


def _batch(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image)[None, None]


def _text(options: dict[str, Any]) -> str:
    return ", ".join(
        str(value) if key == "mode" else f"{key}={value}" for key, value in options.items()
    )
