"""Soft discs at known sub-pixel places, and where a transform of the image puts them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Standard deviation of a disc, pixels: smooth enough that interpolation keeps its centre.
SIGMA = 2.5


def disc(size: Sequence[int], centre: Sequence[float]) -> np.ndarray:
    """Return an image of one soft disc.

    Args:
        size: (h, w), pixels.
        centre: (x, y) coordinates, integer corners.

    Returns:
        (h, w) float64 in 0..255.
    """
    y, x = (np.arange(n) + 0.5 for n in size)
    gx = np.exp(-0.5 * ((x - centre[0]) / SIGMA) ** 2)
    gy = np.exp(-0.5 * ((y - centre[1]) / SIGMA) ** 2)
    return 255 * gy[:, None] * gx[None, :]


def round_mask(size: Sequence[int], centre: Sequence[float], radius: float) -> np.ndarray:
    """Return a (h, w) float64 mask of 0 and 1: the pixels whose centres lie in a circle."""
    y, x = (np.arange(n) + 0.5 for n in size)
    inside = (x[None, :] - centre[0]) ** 2 + (y[:, None] - centre[1]) ** 2 <= radius**2
    return inside.astype(np.float64)


def centre_of(image: np.ndarray) -> np.ndarray | None:
    """Return the (x, y) centre of mass of an image in coordinates; None if it is dark or cut.

    An image whose border carries more than a little of its light is cut off: its centre is not
    that of the disc.
    """
    if image.size == 0:
        return None
    light = image - np.median(image)
    light = np.where(np.abs(light) > 1e-3 * max(1e-12, np.abs(light).max()), light, 0)
    total = light.sum()
    edge = np.abs(np.concatenate([light[0], light[-1], light[:, 0], light[:, -1]])).max()
    if abs(total) < 1e-9 or np.abs(light).max() < 1e-3 or edge > 0.01 * np.abs(light).max():
        return None
    h, w = image.shape
    return np.array(
        [
            (light.sum(axis=0) * (np.arange(w) + 0.5)).sum() / total,
            (light.sum(axis=1) * (np.arange(h) + 0.5)).sum() / total,
        ]
    )


def fit_affine(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float]:
    """Fit an affine map through pairs of points.

    Args:
        source: (N, 2), N at least 3.
        target: (N, 2).

    Returns:
        (2, 3) matrix [A | t], and the largest distance of a target from the mapped source.
    """
    design = np.column_stack([source, np.ones(len(source))])
    solution = np.linalg.lstsq(design, target, rcond=None)[0]
    return solution.T, float(np.abs(design @ solution - target).max())


def apply_affine(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return (N, 2) points mapped by a (2, 3) matrix [A | t]."""
    return points @ matrix[:, :2].T + matrix[:, 2]
