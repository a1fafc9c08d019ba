"""Where a pasted mask changes along each line of pixels, exactly; compiled by numba.

A pixel's value is bilinear between four cells of its mask, so along a line it is linear within a
cell: a + n (b - a), where a and b are the line's values at the two ends of the cell and n is how
far into it the pixel lies. What floating point makes of it differs by less than ``_slack``.
Pixels whose a + n (b - a) is further than that from the threshold are decided without being
computed. The others are computed, with the roundings of the dense paste in their order. So the
bits are the same, and the work grows with the length of the outline, not with the area.

"Along" is the axis of a line: rows for an RLE, columns for a dense mask.
"""

# The types below are numba's to infer.
# mypy: ignore-errors

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from d2align.geometry._numba import entry, fma, inner
from d2align.geometry.rle_codec import reserve, write_runs

# How a value is summed from its four cells: by the two builds of grid_sample, and by Detectron.
PLAIN, FUSED, DETECTRON1 = 0, 1, 2
_OFF, _ON, _MIXED = 0, 1, 2


class Axis(NamedTuple):
    """Consecutive pixels of an axis: for each the cell before it and its two cells' weights."""

    first: Any
    origin: Any  # cell 0 begins about this many pixels after the first
    pitch: Any  # pixels a cell, about
    cell: Any
    low: Any
    high: Any


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
def _axis(box, sides, d, size, mask, formula):
    """The axis x (d = 0) or y (d = 1) of one mask, without pixels that no cell reaches."""
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
    weights = np.empty((2, len(position)), position.dtype)
    for i in range(len(position)):
        floor = np.floor(position[i])
        cell[i] = np.int64(floor) + ring
        weights[1, i] = position[i] - floor
        weights[0, i] = position.dtype.type(1) - weights[1, i]
    first += start
    origin = np.float64(low) - 0.5 - (ring - 0.5) * pitch - first
    return Axis(first, origin, pitch, cell, weights[0], weights[1])


@inner
def _value(four, line, along, formula, swapped):
    """The value of a pixel between four cells, rounded as the dense paste rounds it.

    ``line`` and ``along``: the weights of the cell before and of the one after.
    """
    nw, ne, sw, se = four
    (e, w), (s, n) = line, along
    if swapped:
        ne, sw = sw, ne
        (e, w), (s, n) = along, line
    if formula == DETECTRON1:
        return (nw * e + ne * w) * s + (sw * e + se * w) * n
    if formula == FUSED:
        return fma(se, n * w, fma(sw, n * e, fma(ne, s * w, nw * (s * e))))
    return nw * (s * e) + ne * (s * w) + sw * (n * e) + se * (n * w)


@inner
def _slack(values):
    """A bound on how far rounding takes a pixel from a + n (b - a); NaN if there is none.

    Six roundings of the values' type (of 1 - n, a weight, its product, three sums), each by at
    most half an eps of the largest value, and a few of float64 here; twice that is taken. Every
    comparison with NaN fails, so that then all pixels are computed.
    """
    largest = 0.0
    for k in range(values.shape[0]):
        for j in range(values.shape[1]):
            size = abs(np.float64(values[k, j]))
            if not size < 1e37:  # not finite, or sums may not be
                return np.nan
            largest = max(largest, size)
    eps = np.finfo(values.dtype).eps + 6 * np.finfo(np.float64).eps
    return 6 * np.float64(eps) * largest + 1e-43  # and subnormal numbers


@inner
def _cell_starts(cell, cells):
    """For each cell the first of the pixels in it or after it; one more at the end."""
    starts = np.empty(cells + 1, np.int64)
    pixel = 0
    for k in range(cells + 1):
        while pixel < len(cell) and cell[pixel] < k:
            pixel += 1
        starts[k] = pixel
    return starts


@inner
def _find_spans(values, j, starts, low, high, spans, corners):
    """Cut the lines between cells j and j + 1 into spans that are off, on or mixed.

    The rows of ``spans`` take the kinds, the cells and the first pixels, of these one more;
    those of ``corners`` the four cells around a span. Returns the number of spans.
    """
    count, last = 0, -1
    for k in range(len(values) - 1):
        if starts[k] == starts[k + 1]:
            continue
        nw, ne, sw, se = values[k, j], values[k, j + 1], values[k + 1, j], values[k + 1, j + 1]
        least, most = min(min(nw, ne), min(sw, se)), max(max(nw, ne), max(sw, se))
        kind = _ON if least >= high else _OFF if most < low else _MIXED
        if kind == _MIXED or kind != last:
            spans[0, count], spans[1, count], spans[2, count] = kind, k, starts[k]
            corners[0, count], corners[1, count] = nw, ne
            corners[2, count], corners[3, count] = sw, se
            count += 1
        last = kind
    spans[2, count] = starts[len(values) - 1]
    return count


@inner
def _crossing(a, b, threshold, slack):
    """The n at which a line meets the threshold, and how far from there it is undecided."""
    if a == b or not slack >= 0:
        return 0.0, np.inf
    return (threshold - a) / (b - a), slack / abs(b - a)


@inner
def _clip_up(pixel, first, stop):
    """The next whole pixel, between first and stop."""
    return stop if pixel >= stop else np.int64(math.ceil(pixel)) if pixel > first else first


@inner
def _scan_lines(spans, corners, n_spans, lines, i, stop_i, along, decision, toggles, count, state):
    """Write the toggles of lines i to stop_i; return where, how many, and whether they end on."""
    kinds, cells, firsts, n = spans[0], spans[1], spans[2], along.high
    nw, ne, sw, se = corners[0], corners[1], corners[2], corners[3]
    low, high = lines.low, lines.high
    threshold, slack, size = np.float64(decision[0]), decision[1], decision[4]
    surely_off, surely_on = threshold - slack, threshold + slack
    for i in range(i, stop_i):
        if count + len(n) + 2 > len(toggles):
            toggles = reserve(toggles, count, len(n) + 2)
        base = (lines.first + i) * size + along.first
        e, w = np.float64(low[i]), np.float64(high[i])
        for m in range(n_spans):
            pixel, on = firsts[m], kinds[m] == _ON
            if kinds[m] == _MIXED:
                a, b = nw[m] * e + ne[m] * w, sw[m] * e + se[m] * w
                on = b >= threshold
                if not (min(a, b) >= surely_on or max(a, b) < surely_off):
                    middle, reach = _crossing(a, b, threshold, slack)
                    begin, end, stop, on = middle - reach, middle + reach, firsts[m + 1], b > a
                    here = _clip_up(along.origin + (cells[m] + begin) * along.pitch, pixel, stop)
                    while here > pixel and n[here - 1] >= begin:
                        here -= 1
                    while here < stop and n[here] < begin:
                        here += 1
                    if here > pixel and on == state:  # the other way round before the crossing
                        toggles[count] = base + pixel
                        count, state = count + 1, not on
                    pixel = here
                    if pixel < stop and n[pixel] <= end:
                        four, line = (nw[m], ne[m], sw[m], se[m]), (low[i], high[i])
                        pixel, count, state = _scan_band(
                            four, line, along, decision, pixel, stop, end, base, toggles, count, state
                        )
                    if pixel == stop:
                        continue
            if on != state:
                toggles[count] = base + pixel
                count, state = count + 1, on
        if state and len(n) < size:
            toggles[count] = base + len(n)
            count, state = count + 1, False
    return toggles, count, state


@inner
def _scan_band(four, line, along, decision, pixel, stop, end, base, toggles, count, state):
    """Compute the undecided pixels, up to those of n > end."""
    threshold, _, formula, swapped, _ = decision
    while pixel < stop and along.high[pixel] <= end:
        weights = along.low[pixel], along.high[pixel]
        if (_value(four, line, weights, formula, swapped) >= threshold) != state:
            toggles[count] = base + pixel
            count, state = count + 1, not state
        pixel += 1
    return pixel, count, state


@inner
def _in_a_ring(mask, swapped):
    """The mask, indexed [along, line], in a ring of 0s, with one more row and column of them."""
    rows, columns = mask.shape
    values = np.zeros((columns + 3, rows + 3) if swapped else (rows + 3, columns + 3), mask.dtype)
    for k in range(rows):
        for j in range(columns):
            if swapped:
                values[j + 1, k + 1] = mask[k, j]
            else:
                values[k + 1, j + 1] = mask[k, j]
    return values


@inner
def _scan(mask, threshold, along, lines, size, formula, swapped, toggles):
    """Write the positions where the mask goes on or off, line after line of ``size`` pixels.

    Returns the toggles, which may have moved, and how many there are: an even number, the last
    possibly at the end of the image.
    """
    values = _in_a_ring(mask, swapped)
    slack = _slack(values)
    decision = threshold, slack, formula, swapped, size
    starts = _cell_starts(along.cell, len(values) - 1)
    spans = np.empty((3, len(values)), np.int64)
    corners = np.empty((4, len(values)), values.dtype)
    count, state, stop = 0, False, 0
    while stop < len(lines.cell):
        first, cell = stop, lines.cell[stop]
        while stop < len(lines.cell) and lines.cell[stop] == cell:
            stop += 1
        n_spans = _find_spans(values, cell, starts, threshold - slack, threshold + slack, spans, corners)
        toggles, count, state = _scan_lines(
            spans, corners, n_spans, lines, first, stop, along, decision, toggles, count, state
        )
    if state:
        toggles[count] = (lines.first + stop) * size
        count += 1
    return toggles, count


@entry
def encode_masks(masks, boxes, sides, size, threshold, formula, swapped):
    """Return the texts of the masks' runs, one after the other, and where each ends.

    Args:
        masks: (N, M_h, M_w) of float32 or float64.
        boxes: (N, 4) XYXY of float32 or float64.
        sides: (N, 2) widths and heights of the boxes, of the same type.
        size: (h, w), pixels.
        threshold: of the masks' type, above 0.
        formula: how values are computed.
        swapped: whether runs go along the rows; COCO's go down the columns.
    """
    h, w = size
    toggles, text = np.empty(1024, np.int64), np.empty(4096, np.uint8)
    ends, used = np.empty(len(masks), np.int64), 0
    for i in range(len(masks)):
        x = _axis(boxes[i], sides[i], 0, w, masks[i], formula)
        y = _axis(boxes[i], sides[i], 1, h, masks[i], formula)
        along, lines, length = (x, y, w) if swapped else (y, x, h)
        toggles, count = _scan(masks[i], threshold, along, lines, length, formula, swapped, toggles)
        text, used = write_runs(toggles, count, h * w, text, used)
        ends[i] = used
    return text[:used], ends
