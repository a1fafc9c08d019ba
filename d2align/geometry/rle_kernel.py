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

from d2align.geometry._numba import entry, inlined, inner
from d2align.geometry.rle_axes import add_ring, find_axis, pixel_value
from d2align.geometry.rle_codec import reserve, write_runs

_OFF, _ON, _MIXED = 0, 1, 2


class _Spans(NamedTuple):
    """Pieces of the lines between two lines of cells, each off, on or mixed."""

    kind: Any
    cell: Any
    first: Any  # pixel; one more than there are spans
    nw: Any  # the cells around a mixed one: w on the near line, e on the next, s farther along
    ne: Any
    sw: Any
    se: Any


class _Decision(NamedTuple):
    """What decides whether a pixel is on."""

    threshold: Any
    slack: Any
    surely_off: Any  # threshold - slack
    surely_on: Any  # threshold + slack
    formula: Any
    along_rows: Any


@inner
def _new_spans(cells, like):
    """Room for the spans of lines over so many cells."""
    numbers, four = np.empty((3, cells + 1), np.int64), np.empty((4, cells + 1), like.dtype)
    return _Spans(numbers[0], numbers[1], numbers[2], four[0], four[1], four[2], four[3])


@inner
def _slack(values):
    """A bound on how far rounding takes a pixel from a + n (b - a); NaN if there is none.

    Six roundings of the values' type (of 1 - n, a weight, its product, three sums), each by at
    most half an eps of the largest value, and a few of float64 here; twice that is taken. Every
    comparison with NaN fails, so that then all pixels are computed.
    """
    above_1, largest = 0, 1.0
    for value in values.flat:
        above_1 += not abs(value) <= 1
    if above_1:
        for value in values.flat:
            if not abs(value) < 1e37:  # not finite, or sums may not be
                return np.nan
            largest = max(largest, abs(np.float64(value)))
    eps = np.finfo(values.dtype).eps + 6 * np.finfo(np.float64).eps
    return 6 * np.float64(eps) * largest


@inner
def _classify(values, surely_off, surely_on):
    """Whether all pixels between four cells are off or on, for each four."""
    kinds = np.empty((values.shape[0] - 1, values.shape[1] - 1), np.uint8)
    for j in range(kinds.shape[0]):
        for k in range(kinds.shape[1]):
            nw, ne = values[j, k], values[j + 1, k]
            sw, se = values[j, k + 1], values[j + 1, k + 1]
            off = max(max(nw, ne), max(sw, se)) < surely_off
            on = min(min(nw, ne), min(sw, se)) >= surely_on
            kinds[j, k] = _MIXED - (_MIXED - _OFF) * off - (_MIXED - _ON) * on
    return kinds


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
def _find_spans(kinds, values, j, starts, spans):
    """Cut the lines between cells j and j + 1 into spans; return how many there are."""
    count, last = 0, -1
    for k in range(kinds.shape[1]):
        kind = kinds[j, k]
        if starts[k] == starts[k + 1] or (kind == last and kind != _MIXED):
            continue
        last = kind
        spans.kind[count], spans.cell[count], spans.first[count] = kind, k, starts[k]
        if kind == _MIXED:
            spans.nw[count], spans.ne[count] = values[j, k], values[j + 1, k]
            spans.sw[count], spans.se[count] = values[j, k + 1], values[j + 1, k + 1]
        count += 1
    spans.first[count] = starts[kinds.shape[1]]
    return count


@inlined
def _crossing(a, b, decision):
    """Between which n a line is within the slack of the threshold; all if it hardly slopes."""
    if a == b or not decision.slack >= 0:
        return -np.inf, np.inf
    middle, reach = (decision.threshold - a) / (b - a), decision.slack / abs(b - a)
    return middle - reach, middle + reach


@inlined
def _clip_up(pixel, first, stop):
    """The next whole pixel, between first and stop."""
    return stop if pixel >= stop else np.int64(math.ceil(pixel)) if pixel > first else first


@inlined
def _seek(n, begin, here, first, stop):
    """The first pixel from n = begin on, from a guess of it."""
    while here > first and n[here - 1] >= begin:
        here -= 1
    while here < stop and n[here] < begin:
        here += 1
    return here


@inner
def _scan_lines(spans, n_spans, lines, i, last, along, size, decision, toggles, count, state):
    """Write the toggles of lines i to last while there is room; return where they end, and how."""
    length = len(along.cell)
    while i < last and count + length + 2 <= len(toggles):
        base = (lines.first + i) * size + along.first
        e, w = np.float64(lines.low[i]), np.float64(lines.high[i])
        for m in range(n_spans):
            pixel, on = spans.first[m], spans.kind[m] == _ON
            if spans.kind[m] == _MIXED:
                a, b = spans.nw[m] * e + spans.ne[m] * w, spans.sw[m] * e + spans.se[m] * w
                on = b >= decision.threshold
                if not (min(a, b) >= decision.surely_on or max(a, b) < decision.surely_off):
                    (begin, end), stop, on = _crossing(a, b, decision), spans.first[m + 1], b > a
                    guess = along.origin + (spans.cell[m] + begin) * along.pitch
                    here = _seek(along.high, begin, _clip_up(guess, pixel, stop), pixel, stop)
                    if here > pixel and on == state:  # the other way round before the crossing
                        toggles[count] = base + pixel
                        count, state = count + 1, not on
                    pixel = here
                    if pixel < stop and along.high[pixel] <= end:
                        four = spans.nw[m], spans.ne[m], spans.sw[m], spans.se[m]
                        line, span = (lines.low[i], lines.high[i]), (pixel, stop, end)
                        pixel, count, state = _scan_band(
                            four, line, along, span, decision, base, toggles, count, state
                        )
                    if pixel == stop:
                        continue
            if on != state:
                toggles[count] = base + pixel
                count, state = count + 1, on
        if state and length < size:
            toggles[count] = base + length
            count, state = count + 1, False
        i += 1
    return i, count, state


@inner
def _scan_band(four, line, along, span, decision, base, toggles, count, state):
    """Compute the undecided pixels of a span, up to those past its end."""
    pixel, stop, end = span
    while pixel < stop and along.high[pixel] <= end:
        weights = along.low[pixel], along.high[pixel]
        value = pixel_value(four, line, weights, decision.formula, decision.along_rows)
        if (value >= decision.threshold) != state:
            toggles[count] = base + pixel
            count, state = count + 1, not state
        pixel += 1
    return pixel, count, state


@inner
def _scan(mask, limit, along, lines, size, formula, along_rows, toggles):
    """Write the positions where the mask goes on or off, line after line of ``size`` pixels.

    Returns the toggles, which may have moved, and how many there are: an even number, the last
    possibly at the end of the image.
    """
    values, threshold = add_ring(mask, along_rows), np.float64(limit)
    slack = _slack(values)
    off, on = threshold - slack, threshold + slack
    decision = _Decision(threshold, slack, off, on, formula, along_rows)
    kinds = _classify(values, off, on)
    starts = _cell_starts(along.cell, kinds.shape[1])
    spans = _new_spans(kinds.shape[1], values)
    count, state, stop = 0, False, 0
    while stop < len(lines.cell):
        i, cell = stop, lines.cell[stop]
        while stop < len(lines.cell) and lines.cell[stop] == cell:
            stop += 1
        n_spans = _find_spans(kinds, values, cell, starts, spans)
        while i < stop:
            toggles = reserve(toggles, count, len(along.cell) + 2)
            i, count, state = _scan_lines(
                spans, n_spans, lines, i, stop, along, size, decision, toggles, count, state
            )
    if state:
        toggles[count] = (lines.first + stop) * size
        count += 1
    return toggles, count


@entry
def encode_masks(masks, boxes, sides, size, limit, formula, along_rows):
    """Return the texts of the masks' runs, one after the other, and where each ends.

    Args:
        masks: (N, M_h, M_w) of float32 or float64.
        boxes: (N, 4) XYXY of float32 or float64.
        sides: (N, 2) widths and heights of the boxes, of the same type.
        size: (h, w), pixels.
        limit: what a pixel of a mask is at least, of the masks' type, above 0.
        formula: how values are computed.
        along_rows: whether runs go along the rows; COCO's go down the columns.
    """
    h, w = size
    toggles, text = np.empty(1024, np.int64), np.empty(4096, np.uint8)
    ends, used = np.empty(len(masks), np.int64), 0
    for i in range(len(masks)):
        x = find_axis(boxes[i], sides[i], 0, w, masks[i], formula)
        y = find_axis(boxes[i], sides[i], 1, h, masks[i], formula)
        along, lines, length = (x, y, w) if along_rows else (y, x, h)
        toggles, count = _scan(masks[i], limit, along, lines, length, formula, along_rows, toggles)
        text, used = write_runs(toggles, count, h * w, text, used)
        ends[i] = used
    return text[:used], ends
