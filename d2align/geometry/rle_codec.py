"""COCO's text of runs: five bits a byte, each run from the fourth on less the last but one."""

# The types below are numba's to infer.
# mypy: ignore-errors

from __future__ import annotations

import numpy as np

from d2align.geometry._numba import entry, inner


@inner
def reserve(buffer, used, more):
    """Return the buffer, or a copy of its used part that has room for more."""
    if used + more <= len(buffer):
        return buffer
    wider = np.empty(2 * used + more, buffer.dtype)
    for i in range(used):  # a slice would take seconds to compile
        wider[i] = buffer[i]
    return wider


@inner
def write_runs(toggles, count, total, text, used):
    """Append the runs between toggles, the last one up to ``total``; return the new length."""
    if count > 0 and toggles[count - 1] == total:
        count -= 1
    text = reserve(text, used, 13 * (count + 1))  # of five bits each, for all of an int64
    position, before, last = 0, 0, 0
    for i in range(count + 1):
        end = toggles[i] if i < count else total
        run, position = end - position, end
        rest = run - before if i > 2 else run
        before, last = last, run
        more = True
        while more:
            bits = rest & 31
            rest >>= 5
            more = rest != -1 if bits & 16 else rest != 0
            text[used] = 48 + bits + 32 * more
            used += 1
    return text, used


@entry
def write_toggles(toggles, stops, total):
    """Return the texts of masks of ``total`` pixels, one after the other, and where each ends.

    Args:
        toggles: int64, the pixels at which the masks go on or off, those of one after another's.
        stops: int64, (N,), where each mask's end among them.
        total: pixels of a mask.
    """
    text, ends = np.empty(4096, np.uint8), np.empty(len(stops), np.int64)
    used, first = 0, 0
    for i in range(len(stops)):
        own = toggles[first : stops[i]]
        text, used = write_runs(own, len(own), total, text, used)
        first, ends[i] = stops[i], used
    return text[:used], ends


@entry
def fill_runs(text, ends, out):
    """Set the pixels of the texts, which end at ``ends``, in the rows of ``out``, (N, pixels)."""
    at = 0
    for i in range(len(ends)):
        position, before, last, count = 0, 0, 0, 0
        while at < ends[i]:
            run, shift, more = 0, 0, True
            while more:
                byte = np.int64(text[at]) - 48
                run |= (byte & 31) << shift
                shift, at, more = shift + 5, at + 1, byte & 32 != 0
                if not more and byte & 16:
                    run |= -1 << shift
            run += before if count > 2 else 0
            for pixel in range(position, position + run * (count & 1)):
                out[i, pixel] = 1
            position, before, last, count = position + run, last, run, count + 1
