"""Where the pixels of each axis lie among the cells of a mask; compiled by numba."""

# The types below are numba's to infer.
# mypy: ignore-errors

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from d2align.geometry._numba import fma, inner

# How a value is summed from its four cells: by the two builds of grid_sample, and by Detectron.
PLAIN, FUSED, DETECTRON1 = 0, 1, 2


class Axis(NamedTuple):
    """Consecutive pixels of an axis: for each the cell before it and the weights of two cells."""

    first: Any  # pixel
    origin: Any  # cell 0 begins about this many pixels after the first
    pitch: Any  # pixels a cell, about
    cell: Any
    low: Any  # weights of the cell before
    high: Any  # of the one after


@inner
def find_axis(box, sides, d, size, mask, formula):
    """Return the axis x (d = 0) or y (d = 1) of one mask, without pixels that no cell reaches.

    Cells are counted in the mask with a ring of 0s, as ``add_ring`` makes it.
    """
    low, high, cells, ring = box[d], box[d + 2], mask.shape[1 - d], 1
    pitch = np.float64(sides[d]) / cells
    if formula == DETECTRON1:
        cells, ring = cells + 2, 0
        pitch = (high - low + 1.0) / cells
        start, position = _detectron1_positions(low, high, size, cells, mask)
    else:
        start, position = _grid_sample_positions(low, high, sides[d], size, cells, mask, formula)
    first, stop = 0, len(position)
    while first < stop and not position[first] >= -ring:
        first += 1
    while first < stop and not position[stop - 1] < cells:
        stop -= 1
    position = position[first:stop]
    cell = np.empty(len(position), np.int64)
    low_weight = np.empty(len(position), position.dtype)
    high_weight = np.empty(len(position), position.dtype)
    for i in range(len(position)):
        floor = np.floor(position[i])
        cell[i] = np.int64(floor) + ring
        high_weight[i] = position[i] - floor
        low_weight[i] = position.dtype.type(1) - high_weight[i]
    first += start
    origin = np.float64(low) - 0.5 - (ring - 0.5) * pitch - first
    return Axis(first, origin, pitch, cell, low_weight, high_weight)


@inner
def _grid_sample_positions(low, high, side, size, cells, like, formula):
    """First pixel that a side can reach, and where in cells grid_sample finds each from there."""
    start = np.int64(min(max(np.floor(np.float64(low)) - 1.0, 0.0), float(size)))
    stop = np.int64(min(max(np.ceil(np.float64(high)) + 1.0, 0.0), float(size)))
    position = np.empty(max(stop - start, 0) if low < high else 0, like.dtype)
    real, value = type(low), like.dtype.type
    one, half, scale = value(1), value(0.5), value(cells) / value(2)
    for i in range(len(position)):
        center = np.float32(start + i) + np.float32(0.5)
        grid = value((center - low) / side * real(2) - real(1)) + one
        position[i] = fma(grid, scale, -half) if formula == FUSED else grid * scale - half
    return start, position


@inner
def _detectron1_positions(low, high, size, cells, like):
    """The same for Detectron's resize of the padded mask to the whole pixels low to high."""
    start, stop = np.int64(max(low, 0.0)), np.int64(min(high + 1.0, float(size)))
    position = np.empty(max(stop - start, 0), like.dtype)
    scale = cells / max(high - low + 1.0, 1.0)
    for i in range(len(position)):
        here = np.float32((start - low + i + 0.5) * scale - 0.5)
        position[i] = min(max(here, np.float32(0)), np.float32(cells - 1))
    return start, position


@inner
def add_ring(mask, along_rows):
    """Return the mask, indexed [line, along], in a ring of 0s, and one more row and column."""
    rows, columns = mask.shape
    shape = (rows + 3, columns + 3) if along_rows else (columns + 3, rows + 3)
    values = np.zeros(shape, mask.dtype)
    for i in range(rows):
        for j in range(columns):
            if along_rows:
                values[i + 1, j + 1] = mask[i, j]
            else:
                values[j + 1, i + 1] = mask[i, j]
    return values


@inner
def pixel_value(four, line, along, formula, along_rows):
    """Return the value of a pixel between four cells, rounded as the dense paste rounds it.

    Args:
        four: near and next line at this cell, near and next line at the next cell along.
        line: weights of the near and of the next line of cells.
        along: weights of this cell and of the next one along.
        formula: how the four are summed.
        along_rows: whether lines are rows.
    """
    nw, ne, sw, se = four
    (e, w), (s, n) = line, along
    if along_rows:
        ne, sw = sw, ne
        (e, w), (s, n) = along, line
    if formula == DETECTRON1:
        return (nw * e + ne * w) * s + (sw * e + se * w) * n
    if formula == FUSED:
        return fma(se, n * w, fma(sw, n * e, fma(ne, s * w, nw * (s * e))))
    return nw * (s * e) + ne * (s * w) + sw * (n * e) + se * (n * w)
