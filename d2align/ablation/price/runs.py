"""Whether COCO's text of runs is whole: pycocotools decodes a damaged one to whatever is there."""

from __future__ import annotations

import re

import numpy as np

# Five bits a character; the sixth says that another one follows. Seven hold any run.
_RUNS = re.compile(r"(?:[P-o]{0,6}[0-O])+")


def are_runs(counts: str, pixels: int) -> bool:
    """Return whether a text is a mask's run-length encoding.

    Args:
        counts: as in COCO's compressed RLE.
        pixels: of the mask.

    Returns:
        True if no run is negative and they add up to the mask.
    """
    if _RUNS.fullmatch(counts) is None:
        return False
    codes = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    stops = np.flatnonzero(codes < 32)
    starts = np.concatenate([[0], stops[:-1] + 1])
    places = np.arange(len(codes)) - np.repeat(starts, stops - starts + 1)
    values = np.add.reduceat((codes & 31) << (5 * places), starts)
    negative = codes[stops] & 16 != 0
    runs = np.where(negative, values - (1 << (5 * (stops - starts + 1))), values)
    # From the fourth on, each is given as what it has more than the last but one.
    runs[2::2], runs[1::2] = np.cumsum(runs[2::2]), np.cumsum(runs[1::2])
    return bool((runs >= 0).all()) and int(runs.sum()) == pixels
