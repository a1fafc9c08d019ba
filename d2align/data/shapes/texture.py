"""Backgrounds and fills: gradients and smooth noise of several octaves.

Everything is elementwise arithmetic, so the same seed gives the same bits in every process.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]


def _upsampled(grid: Image, count: int, axis: int) -> Image:
    """Stretch a grid of n + 1 knots over ``count`` pixels, sampled at the pixel centres."""
    cells = grid.shape[axis] - 1
    place = (np.arange(count, dtype=np.float32) + 0.5) * np.float32(cells / count)
    index = np.minimum(place.astype(np.int64), cells - 1)
    fraction = place - index.astype(np.float32)
    weight = fraction * fraction * (3 - 2 * fraction)
    weight = weight.reshape([-1 if a == axis else 1 for a in range(grid.ndim)])
    low = np.take(grid, index, axis=axis)
    return low + weight * (np.take(grid, index + 1, axis=axis) - low)


def smooth_noise(
    rng: np.random.Generator, size: tuple[int, int], cells: int, channels: int
) -> Image:
    """Return noise in [-1, 1] interpolated smoothly between random knots.

    Args:
        rng: the image's random generator.
        size: (h, w) in pixels.
        cells: number of cells between knots along the longer side.
        channels: number of independent channels.

    Returns:
        (h, w, channels) float32.
    """
    longer = max(size)
    shape = [max(1, round(cells * side / longer)) + 1 for side in size]
    grid = rng.uniform(-1.0, 1.0, (*shape, channels)).astype(np.float32)
    return _upsampled(_upsampled(grid, size[1], 1), size[0], 0)  # rows last: they copy fast


def octave_noise(
    rng: np.random.Generator, size: tuple[int, int], octaves: int, channels: int
) -> Image:
    """Return the sum of :func:`smooth_noise` of ever smaller cells and amplitudes.

    Args:
        rng: the image's random generator.
        size: (h, w) in pixels.
        octaves: number of terms; term k has ``3 * 2**k`` cells and amplitude ``0.7**k``.
        channels: number of independent channels.

    Returns:
        (h, w, channels) float32, roughly in [-2, 2].
    """
    total = np.zeros((*size, channels), dtype=np.float32)
    for octave in range(octaves):
        cells = min(3 * 2**octave, max(size))
        total += np.float32(0.7**octave) * smooth_noise(rng, size, cells, channels)
    return total


def _gradient(rng: np.random.Generator, size: tuple[int, int]) -> Image:
    y = ((np.arange(size[0], dtype=np.float32) + 0.5) / size[0] - 0.5)[:, None, None]
    x = ((np.arange(size[1], dtype=np.float32) + 0.5) / size[1] - 0.5)[None, :, None]
    slope = rng.uniform(-50.0, 50.0, (2, 3)).astype(np.float32)
    return slope[0] * y + slope[1] * x


def background(rng: np.random.Generator, size: tuple[int, int]) -> Image:
    """Return a textured background.

    Args:
        rng: the image's random generator.
        size: (h, w) in pixels.

    Returns:
        (h, w, 3) float32 in grey levels, within [0, 255] but for rare peaks.
    """
    base = rng.uniform(70.0, 185.0, 3).astype(np.float32)
    grey = octave_noise(rng, size, 5, 1) * np.float32(rng.uniform(10.0, 26.0))
    tint = octave_noise(rng, size, 2, 3) * np.float32(rng.uniform(4.0, 14.0))
    return base + _gradient(rng, size) + grey + tint


def contrasting_colour(
    rng: np.random.Generator, ground: NDArray[np.floating], low: float = 15.0, high: float = 240.0
) -> Image:
    """Draw a colour that stands out from the mean colour of the ground.

    Args:
        rng: the image's random generator.
        ground: (h, w, 3) the pixels about to be painted, in grey levels.
        low: smallest channel value.
        high: largest channel value.

    Returns:
        (3,) float32 in grey levels: the first of some draws that is far enough, or the farthest.
    """
    mean = ground.reshape(-1, 3).mean(axis=0)
    draws = rng.uniform(low, high, (12, 3)).astype(np.float32)
    distance = np.sqrt(((draws - mean) ** 2).sum(axis=1))
    far = np.flatnonzero(distance > 75.0)
    return draws[far[0] if len(far) else distance.argmax()]


def fill(rng: np.random.Generator, size: tuple[int, int], colour: Image) -> Image:
    """Return a mildly textured fill around a colour.

    Args:
        rng: the image's random generator.
        size: (h, w) in pixels.
        colour: (3,) in grey levels.

    Returns:
        (h, w, 3) float32 in grey levels.
    """
    return colour + octave_noise(rng, size, 3, 1) * np.float32(rng.uniform(4.0, 14.0))
