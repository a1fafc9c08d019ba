"""COCO's text of runs, written and read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from d2align.geometry import rle_codec
from d2align.geometry._numba import inner


@inner
def write(toggles, total):
    text, used = rle_codec.write_runs(toggles, len(toggles), total, np.empty(1, np.uint8), 0)
    return text[:used]


def read(text: bytes) -> list[int]:
    """The runs of a text, from the definition: five bits a byte, the sign in the last one."""
    runs: list[int] = []
    value = shift = 0
    for byte in text:
        value |= ((byte - 48) & 31) << shift
        shift += 5
        if not (byte - 48) & 32:
            value -= (value >> (shift - 1) & 1) << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_write_runs_equals_pycocotools(bits) -> None:
    mask = np.array(bits, np.uint8)
    toggles = np.flatnonzero(np.diff(mask, prepend=0))
    if len(toggles) % 2:  # closed at the end, as the kernel does
        toggles = np.append(toggles, len(mask))
    expected = coco_mask.encode(np.asfortranarray(mask[:, None]))["counts"]
    assert write(toggles.astype(np.int64), len(mask)).tobytes() == expected


@pytest.mark.parametrize(
    ("toggles", "total", "text"),
    [
        ([], 6, b"6"),
        ([0, 6], 6, b"06"),  # all on: a first run of 0, and none after the end
        ([5, 7], 12, b"525"),
        ([1, 2, 4, 7], 20, b"1122;"),  # 1, 1, 2, 3 - 1, 13 - 2; ";" is 48 + 11
        ([5, 14, 19], 21, b"595I"),  # 2 - 9 = -7, 25 in five bits
        ([15], 16, b"?1"),  # the most in one byte: the fifth bit is the sign
        ([16], 17, b"`01"),
        ([40], 41, b"X11"),  # 8, with 32 to say that 1 x 32 follows
    ],
)
def test_write_runs_hand_worked(toggles, total, text) -> None:
    assert write(np.array(toggles, np.int64), total).tobytes() == text


def test_runs_longer_than_32_bits() -> None:
    toggles = np.array([2**33, 2**33 + 5, 2**35, 2**35 + 1], np.int64)
    text = write(toggles, 2**37).tobytes()
    runs = np.diff([0, *toggles.tolist(), 2**37]).tolist()
    assert read(text) == runs


@given(st.lists(st.lists(st.booleans(), min_size=30, max_size=30), min_size=1, max_size=3))
def test_fill_runs_inverts_write_runs(rows) -> None:
    masks = np.array(rows, np.uint8)
    texts = [
        write(np.flatnonzero(np.diff(mask, prepend=0)).astype(np.int64), masks.shape[1])
        for mask in masks
    ]
    filled = np.zeros_like(masks)
    ends = np.cumsum([len(text) for text in texts])
    rle_codec.fill_runs(np.concatenate(texts), ends, filled)
    np.testing.assert_array_equal(filled, masks)
