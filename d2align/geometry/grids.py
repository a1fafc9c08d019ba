"""The three sampling grids of the article, where a resize samples, and a resize for each grid.

A signal on [0, N] is sampled with some stride:

    grid 1, align_corners   offset 0,          N / stride + 1 samples
    grid 2, half_pixel      offset stride / 2, N / stride samples      (the one to use)
    grid 3, asymmetric      offset 0,          N / stride samples

The names are those of ONNX's Resize.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from d2align.geometry._checks import (
    as_number,
    check_floating,
    check_image_size,
    check_whole,
    describe,
    fail,
    is_dense,
)


@dataclass(frozen=True)
class Grid:
    """Where samples lie on a signal: at offset + stride * i for i below resolution."""

    offset: float
    stride: float
    resolution: int

    def __post_init__(self) -> None:
        """Refuse numbers that are not finite, and a number of samples that is none."""
        for name in ("offset", "stride"):
            number = as_number(name, getattr(self, name), "a number")
            if not math.isfinite(number):
                raise fail(name, number, "a finite number")
        check_whole("resolution", self.resolution, least=0)

    def locations(self) -> Tensor:
        """Return the (resolution,) float64 locations of the samples, in units of the signal."""
        return self.offset + self.stride * torch.arange(self.resolution, dtype=torch.float64)


def align_corners_grid(length: float, stride: float = 1.0) -> Grid:
    """Return grid 1 of the article: samples on both ends of the signal.

    Convention: grid 1; stride is not the inverse of resolution.

    Args:
        length: N, a multiple of stride.
        stride: positive.

    Returns:
        Offset 0 and N / stride + 1 samples.

    Raises:
        ValueError: the length is not a positive multiple of the stride.
    """
    return Grid(0.0, stride, _steps(length, stride) + 1)


def half_pixel_grid(length: float, stride: float = 1.0) -> Grid:
    """Return grid 2 of the article: samples in the middle of equal cells.

    Convention: grid 2, the convention of this project.

    Args:
        length: N, a multiple of stride.
        stride: positive.

    Returns:
        Offset stride / 2 and N / stride samples.

    Raises:
        ValueError: the length is not a positive multiple of the stride.
    """
    steps = _steps(length, stride)
    return Grid(stride / 2, stride, steps)


def asymmetric_grid(length: float, stride: float = 1.0) -> Grid:
    """Return grid 3 of the article: samples at the left ends of equal cells.

    Convention: grid 3; a flip moves it.

    Args:
        length: N, a multiple of stride.
        stride: positive.

    Returns:
        Offset 0 and N / stride samples.

    Raises:
        ValueError: the length is not a positive multiple of the stride.
    """
    return Grid(0.0, stride, _steps(length, stride))


def _steps(length: float, stride: float) -> int:
    expected = "a positive multiple of a positive stride"
    length, stride = as_number("length", length, expected), as_number("stride", stride, expected)
    valid = math.isfinite(length) and 0 < stride < math.inf and math.isfinite(length / stride)
    steps = round(length / stride) if valid else 0
    if not 1 <= steps < 2**31 - 1 or abs(steps * stride - length) > 1e-9 * abs(length):
        raise fail("length, stride", (length, stride), expected)
    return steps


def resize_positions_align_corners(in_size: int, out_size: int) -> Tensor:
    """Return the input index that each output sample reads, on grid 1.

    Convention: grid 1; i (n - 1) / (m - 1): first on first, last on last.

    Args:
        in_size: n, at least 1.
        out_size: m, at least 1; a single output sample reads the first input.

    Returns:
        (m,) float64 positions on the index axis; none outside [0, n - 1].

    Raises:
        ValueError: a size below 1.
    """
    n, m = check_image_size("in_size, out_size", (in_size, out_size))
    return torch.arange(m, dtype=torch.float64) * (n - 1) / max(m - 1, 1)


def resize_positions_half_pixel(in_size: int, out_size: int) -> Tensor:
    """Return the input index that each output sample reads, on grid 2.

    Convention: grid 2; (i + 0.5) n / m - 0.5.

    Args:
        in_size: n, at least 1.
        out_size: m, at least 1.

    Returns:
        (m,) float64 positions on the index axis; when enlarging, some below 0 or above n - 1.

    Raises:
        ValueError: a size below 1.
    """
    n, m = check_image_size("in_size, out_size", (in_size, out_size))
    return (torch.arange(m, dtype=torch.float64) + 0.5) * (n / m) - 0.5


def resize_positions_asymmetric(in_size: int, out_size: int) -> Tensor:
    """Return the input index that each output sample reads, on grid 3.

    Convention: grid 3; i n / m.

    Args:
        in_size: n, at least 1.
        out_size: m, at least 1.

    Returns:
        (m,) float64 positions on the index axis; when enlarging, some above n - 1.

    Raises:
        ValueError: a size below 1.
    """
    n, m = check_image_size("in_size, out_size", (in_size, out_size))
    return torch.arange(m, dtype=torch.float64) * (n / m)


def resize_align_corners(image: Tensor, size: Sequence[int]) -> Tensor:
    """Resize linearly on grid 1.

    Convention: grid 1; what ``F.interpolate(align_corners=True)`` does.

    Args:
        image: (..., H, W) floating.
        size: (h, w) of the result.

    Returns:
        (..., h, w), differentiable.

    Raises:
        ValueError: an image that is not floating with two sides, or a size below 1.
    """
    return _resize(image, size, resize_positions_align_corners)


def resize_half_pixel(image: Tensor, size: Sequence[int]) -> Tensor:
    """Resize linearly on grid 2, repeating the edge where it must extrapolate.

    Convention: grid 2; what ``F.interpolate(align_corners=False)`` and OpenCV do.

    Args:
        image: (..., H, W) floating.
        size: (h, w) of the result.

    Returns:
        (..., h, w), differentiable.

    Raises:
        ValueError: an image that is not floating with two sides, or a size below 1.
    """
    return _resize(image, size, resize_positions_half_pixel)


def resize_asymmetric(image: Tensor, size: Sequence[int]) -> Tensor:
    """Resize linearly on grid 3, repeating the edge where it must extrapolate.

    Convention: grid 3; what TensorFlow 1 did by default. It does not commute with a flip.

    Args:
        image: (..., H, W) floating.
        size: (h, w) of the result.

    Returns:
        (..., h, w), differentiable.

    Raises:
        ValueError: an image that is not floating with two sides, or a size below 1.

    Differs from: resize_half_pixel, which reads 0.5 (n / m - 1) input pixels farther right, down.
    Source: tensorflow/tensorflow 1.x, tf.image.resize_bilinear(align_corners=False).
    """
    return _resize(image, size, resize_positions_asymmetric)


def upsample2x_half_stride(image: Tensor) -> Tensor:
    """Double the resolution on grid 1 by halving the stride: n samples become 2n - 1.

    Convention: grid 1. Every input sample is kept; nothing is extrapolated.

    Args:
        image: (..., H, W) floating.

    Returns:
        (..., 2H - 1, 2W - 1).
    """
    h, w = _sides(image)
    return resize_align_corners(image, (2 * h - 1, 2 * w - 1))


def upsample2x_twice_samples(image: Tensor) -> Tensor:
    """Double the resolution on grid 1 by taking twice as many samples: n become 2n.

    Convention: grid 1. Only the corners are kept; nothing is extrapolated.

    Args:
        image: (..., H, W) floating.

    Returns:
        (..., 2H, 2W).
    """
    h, w = _sides(image)
    return resize_align_corners(image, (2 * h, 2 * w))


def upsample2x_half_pixel(image: Tensor) -> Tensor:
    """Double the resolution on grid 2: n samples become 2n.

    Convention: grid 2. No input sample is kept; the outermost are extrapolated.

    Args:
        image: (..., H, W) floating.

    Returns:
        (..., 2H, 2W).
    """
    h, w = _sides(image)
    return resize_half_pixel(image, (2 * h, 2 * w))


def upsample2x_asymmetric(image: Tensor) -> Tensor:
    """Double the resolution on grid 3: n samples become 2n.

    Convention: grid 3. Every input sample is kept; the last is extrapolated.

    Args:
        image: (..., H, W) floating.

    Returns:
        (..., 2H, 2W).
    """
    h, w = _sides(image)
    return resize_asymmetric(image, (2 * h, 2 * w))


def downsample2x_size_half_stride(size: int) -> int:
    """Return the resolution after doubling the stride on grid 1: n becomes (n + 1) / 2.

    Convention: grid 1; why DeepLab's images have sizes such as 321 and 513.

    Args:
        size: n, odd.

    Returns:
        (n + 1) / 2.

    Raises:
        ValueError: n is even, so that the last sample would fall off the grid.
    """
    check_whole("size", size)
    if size % 2 == 0:
        raise fail("size", size, "an odd number of samples, such as 321 or 513")
    return (size + 1) // 2


def _resize(image: Tensor, size: Sequence[int], positions: Callable[[int, int], Tensor]) -> Tensor:
    _sides(image)
    h, w = check_image_size("size", size)
    rows = _interpolate(image.transpose(-1, -2), positions(image.shape[-2], h))
    return _interpolate(rows.transpose(-1, -2), positions(image.shape[-1], w))


def _sides(image: Tensor) -> tuple[int, int]:
    if not is_dense(image) or image.dim() < 2:
        raise fail("image", describe(image), "a floating tensor of shape (..., H, W)")
    check_floating("image", image)
    return check_image_size("image", image.shape[-2:])


def _interpolate(values: Tensor, position: Tensor) -> Tensor:
    """Linear interpolation along the last axis at index positions, edges repeated."""
    last = values.shape[-1] - 1
    position = position.clamp(0, last)
    low = position.floor().to(torch.int64)
    weight = (position - low).to(dtype=values.dtype, device=values.device)
    low, high = low.to(values.device), (low + 1).clamp(max=last).to(values.device)
    return values[..., low] * (1 - weight) + values[..., high] * weight
