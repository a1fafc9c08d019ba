"""Dense masks to RLE: the same bytes as pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as mask_util

from d2align.evaluation.dense_masks import _read_number, _write_number, encode_masks


def by_pycocotools(masks: np.ndarray) -> list[bytes]:
    return [mask_util.encode(np.asfortranarray(m, dtype=np.uint8))["counts"] for m in masks]


@given(
    masks=hnp.arrays(
        bool, hnp.array_shapes(min_dims=3, max_dims=3, max_side=9), elements=st.booleans()
    )
)
def test_bytes_are_those_of_pycocotools(masks: np.ndarray) -> None:
    assert encode_masks(torch.from_numpy(masks)) == by_pycocotools(masks)


@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 90)),
    corners=st.lists(st.tuples(*[st.floats(0, 1)] * 4), max_size=4),
    noise=st.integers(0, 3),
)
def test_bytes_of_rectangles_with_noise(
    size: tuple[int, int], corners: list[tuple[float, ...]], noise: int
) -> None:
    h, w = size
    masks = np.zeros((len(corners), h, w), dtype=bool)
    rng = np.random.default_rng(noise)
    for mask, (top, bottom, left, right) in zip(masks, corners, strict=True):
        rows = slice(int(min(top, bottom) * h), int(max(top, bottom) * h) + 1)
        columns = slice(int(min(left, right) * w), int(max(left, right) * w) + 1)
        mask[rows, columns] = rng.random(mask[rows, columns].shape) < (1.0, 0.9, 0.5, 0.1)[noise]
    assert encode_masks(torch.from_numpy(masks)) == by_pycocotools(masks)


@pytest.mark.parametrize(
    "pixels", [[], [(0, 0)], [(0, -1)], [(-1, 0)], [(-1, -1)], [(0, 0), (-1, -1)], [(300, 450)]]
)
def test_single_pixels_of_a_large_image(pixels: list[tuple[int, int]]) -> None:
    masks = np.zeros((1, 700, 900), dtype=bool)
    for y, x in pixels:
        masks[0, y, x] = True
    assert encode_masks(torch.from_numpy(masks)) == by_pycocotools(masks)


def test_runs_by_hand() -> None:
    # Columns 000, 011, 000: runs of 4, 2 and 3, each written as the character 48 + run.
    mask = torch.tensor([[[0, 0, 0], [0, 1, 0], [0, 1, 0]]], dtype=torch.bool)
    assert encode_masks(mask) == [b"423"]
    assert encode_masks(torch.zeros(1, 3, 3, dtype=torch.bool)) == [b"9"]
    assert encode_masks(torch.ones(1, 3, 3, dtype=torch.bool)) == [b"09"]


def test_no_masks_and_masks_that_lie_otherwise_in_memory() -> None:
    assert encode_masks(torch.zeros(0, 5, 4, dtype=torch.bool)) == []
    masks = torch.rand(4, 30, 20, generator=torch.Generator().manual_seed(0)) < 0.3
    assert encode_masks(masks.mT) == by_pycocotools(masks.mT.numpy())
    assert encode_masks(masks[::2, 5:]) == by_pycocotools(masks[::2, 5:].numpy())


@given(st.integers(-(2**40), 2**40))
def test_numbers_are_read_as_they_are_written(value: int) -> None:
    assert _read_number(_write_number(value)) == value
