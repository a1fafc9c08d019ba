"""Dense masks to COCO's run-length encoding, looking closely only at the columns of each object."""

from __future__ import annotations

import hotcoco
import numpy as np
from torch import Tensor


def encode_masks(masks: Tensor) -> list[bytes]:
    """Return the COCO RLE counts of full-image masks.

    Convention: none; bits in, the same bits out, and the same bytes as pycocotools.

    COCO's runs go down the columns, so empty columns only lengthen the first and the last run.
    Those between are turned into runs by hotcoco, a small window for a small object.

    Args:
        masks: (N, h, w) bool on the CPU, h and w at least 1.

    Returns:
        N compressed counts.
    """
    _, height, width = masks.shape
    pixels = masks.contiguous().numpy().view(np.uint8)
    counts = []
    for mask, occupied in zip(pixels, pixels.any(axis=1), strict=True):
        columns = np.flatnonzero(occupied)
        if not len(columns):
            counts.append(_write_number(height * width))
            continue
        # An empty column at the right, where there is one, makes the last run one of zeros.
        begin, end = int(columns[0]), min(int(columns[-1]) + 2, width)
        window = hotcoco.mask.encode(mask[:, begin:end])["counts"]
        counts.append(_lengthen(window, height * begin, height * (width - end)))
    return counts


def _lengthen(counts: bytes, first: int, last: int) -> bytes:
    """Add to the first and the last of at least two runs.

    Every run but the first three is written as its difference from the last but one. Nothing is
    written as a difference from the first run, so each can change by itself.
    """
    if first:
        end = next(i for i, char in enumerate(counts) if not _goes_on(char)) + 1
        counts = _write_number(_read_number(counts[:end]) + first) + counts[end:]
    if last:
        begin = len(counts) - 1
        while _goes_on(counts[begin - 1]):
            begin -= 1
        counts = counts[:begin] + _write_number(_read_number(counts[begin:]) + last)
    return counts


def _goes_on(char: int) -> bool:
    return bool((char - 48) & 0x20)


def _read_number(chars: bytes) -> int:
    """Read one number: five bits a character, the lowest first, the highest bit its sign."""
    value = sum(((char - 48) & 0x1F) << 5 * i for i, char in enumerate(chars))
    negative = (chars[-1] - 48) & 0x10
    return value - (1 << 5 * len(chars)) if negative else value


def _write_number(value: int) -> bytes:
    chars = bytearray()
    while True:
        bits = value & 0x1F
        value >>= 5
        if value == (-1 if bits & 0x10 else 0):
            chars.append(48 + bits)
            return bytes(chars)
        chars.append(48 + bits + 0x20)
