"""Anti-aliased drawing: the exact share of every pixel that a polygon covers.

Convention: pixel ``(i, j)`` is the square ``[j, j + 1] x [i, i + 1]`` of the image plane, so its
centre lies at ``index + 0.5``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .polygons import Coords, polygons_box, signed_area


def _split_at_integers(edges: Coords, axis: int) -> Coords:
    """Cut (N, 5) edges (x1, y1, x2, y2, sign) wherever coordinate ``axis`` is an integer."""
    first, last = edges[:, axis], edges[:, axis + 2]
    low, high = np.minimum(first, last), np.maximum(first, last)
    start = np.floor(low) + 1
    cuts = np.maximum(np.ceil(high) - start, 0).astype(np.int64)
    owner = np.repeat(np.arange(len(edges)), cuts + 1)
    rank = np.arange(len(owner)) - (np.cumsum(cuts + 1) - (cuts + 1))[owner]
    span = np.where(high > low, high - low, 1.0)
    edges, cuts, forward = edges[owner], cuts[owner], (last >= first)[owner]
    # piece number `rank`, counted from the end of lower coordinate, lies between two fractions
    lower = ((start - 1 - low) / span)[owner] + rank / span[owner]
    upper = lower + 1 / span[owner]
    lower[rank == 0] = 0.0
    upper[rank == cuts] = 1.0
    begin = np.where(forward, lower, 1 - upper)[:, None]
    end = np.where(forward, upper, 1 - lower)[:, None]
    origin, step = edges[:, :2], edges[:, 2:4] - edges[:, :2]
    pieces = np.concatenate([origin + begin * step, origin + end * step], axis=1)
    return np.concatenate([pieces, edges[:, 4:]], axis=1)


def _edges(polygons: Sequence[Coords]) -> Coords:
    rows = []
    for polygon in polygons:
        sign = np.full((len(polygon), 1), 1.0 if signed_area(polygon) >= 0 else -1.0)
        rows.append(np.concatenate([polygon, np.roll(polygon, -1, axis=0), sign], axis=1))
    return np.concatenate(rows)


def polygon_coverage(polygons: Sequence[Coords], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the exact share of every pixel that lies inside the polygons.

    Each edge is cut at the pixel borders; a piece of height dy hides dy of every pixel to its
    right, and of its own pixel the part to its right. Keyhole bridges cancel exactly.

    Convention: float (x, y); the array spans ``[0, w] x [0, h]``.

    Args:
        polygons: (N, 2) coords in pixels, simple or keyholed, disjoint, inside the array.
        size: (h, w) of the array in pixels.

    Returns:
        (h, w) array with values in [0, 1].

    Raises:
        ValueError: if a polygon reaches outside the array.
    """
    height, width = size
    x1, y1, x2, y2 = polygons_box(polygons)
    if x1 < 0 or y1 < 0 or x2 > width or y2 > height:
        raise ValueError(f"polygons reach outside the array: {(x1, y1, x2, y2)} in {size} (h, w)")
    pieces = _split_at_integers(_split_at_integers(_edges(polygons), 0), 1)
    rise = (pieces[:, 1] - pieces[:, 3]) * pieces[:, 4]
    middle_x = (pieces[:, 0] + pieces[:, 2]) / 2
    row = np.minimum(((pieces[:, 1] + pieces[:, 3]) / 2).astype(np.int64), height - 1)
    column = middle_x.astype(np.int64)
    right_share = column + 1 - middle_x
    flat = row * (width + 2) + column
    count = height * (width + 2)
    change = np.bincount(flat, rise * right_share, count)
    change += np.bincount(flat + 1, rise * (1 - right_share), count)
    covered = np.cumsum(change.reshape(height, width + 2), axis=1)[:, :width]
    return np.clip(np.round(covered, 9), 0.0, 1.0)  # without the sums' residue: 0 is 0, 1 is 1


def pixel_window(polygons: Sequence[Coords], size: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns of the pixels that the polygons can touch."""
    x1, y1, x2, y2 = polygons_box(polygons)
    rows = slice(int(max(np.floor(y1), 0)), int(min(np.ceil(y2), size[0])))
    columns = slice(int(max(np.floor(x1), 0)), int(min(np.ceil(x2), size[1])))
    return rows, columns


def window_coverage(polygons: Sequence[Coords], window: tuple[slice, slice]) -> NDArray[np.float64]:
    """Return :func:`polygon_coverage` on a window of pixel rows and columns."""
    rows, columns = window
    offset = np.array([columns.start, rows.start], dtype=np.float64)
    size = (rows.stop - rows.start, columns.stop - columns.start)
    return polygon_coverage([polygon - offset for polygon in polygons], size)


def blend(
    image: NDArray[np.float32],
    window: tuple[slice, slice],
    coverage: NDArray[np.float64],
    colour: NDArray[np.float32],
) -> None:
    """Paint ``colour`` over a window of a float image, in place, weighted by the coverage.

    Convention: the coverage of a pixel is the share of its square that is painted.

    Args:
        image: (h, w, 3) float canvas.
        window: rows and columns of the canvas, with integer bounds.
        coverage: (rows, columns) in [0, 1].
        colour: (3,) or (rows, columns, 3), in grey levels.
    """
    weight = coverage.astype(np.float32)[:, :, None]
    image[window] = image[window] * (1 - weight) + colour * weight
