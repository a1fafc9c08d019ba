"""Runs that are found where the masks are: the bytes of the other paths, and of pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask
from test_paste_mask import SIZE, boxes_in_and_out, random_masks

from d2align import geometry as g
from d2align.geometry import paste_runs, rle_torch


def by_pycocotools(masks: np.ndarray) -> list[dict]:
    return [coco_mask.encode(np.asfortranarray(m, dtype=np.uint8)) for m in masks]


@given(
    masks=hnp.arrays(
        bool, hnp.array_shapes(min_dims=3, max_dims=3, max_side=9), elements=st.booleans()
    ),
    compiled=st.booleans(),
)
def test_bytes_are_those_of_pycocotools(masks: np.ndarray, compiled: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if not compiled:
            patch.setattr(paste_runs, "_load", lambda name: None)
        assert g.encode_masks_on_device(torch.from_numpy(masks)) == by_pycocotools(masks)


def test_all_on_all_off_and_none() -> None:
    masks = torch.stack([torch.ones(3, 4), torch.zeros(3, 4)]).bool()
    assert [r["counts"] for r in g.encode_masks_on_device(masks)] == [b"0<", b"<"]
    assert g.encode_masks_on_device(masks[:0]) == []


@pytest.mark.parametrize("threshold", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_pasted_on_the_device(threshold: float, seed: int, device: torch.device) -> None:
    masks, boxes = random_masks(150, seed=seed).to(device), boxes_in_and_out(150, seed).to(device)
    found = g.paste_masks_to_rle_on_device(masks, boxes, SIZE, threshold)
    assert found == by_pycocotools(g.paste_masks(masks, boxes, SIZE, threshold).cpu().numpy())
    if device.type == "cpu":
        assert found == g.paste_masks_to_rle(masks, boxes, SIZE, threshold)


def test_the_work_is_bounded(monkeypatch) -> None:
    masks, boxes = random_masks(20), boxes_in_and_out(20, 0)
    expected = g.paste_masks_to_rle_on_device(masks, boxes, SIZE)
    sizes = []
    original = rle_torch.sample_masks
    monkeypatch.setattr(
        rle_torch, "sample_masks", lambda m, *a: sizes.append(len(m)) or original(m, *a)
    )
    monkeypatch.setattr(rle_torch, "_CHUNK_BYTES", 3 * 16 * SIZE[0] * SIZE[1])
    assert g.paste_masks_to_rle_on_device(masks, boxes, SIZE) == expected
    assert sizes == [3] * 6 + [2]
    dense = g.paste_masks(masks, boxes, SIZE)
    assert g.encode_masks_on_device(dense) == expected


def test_no_masks_and_integer_masks() -> None:
    masks, boxes = random_masks(4).round(), boxes_in_and_out(4, 0)
    assert g.paste_masks_to_rle_on_device(masks[:0], boxes[:0], SIZE) == []
    expected = g.paste_masks_to_rle(masks, boxes, SIZE)
    assert g.paste_masks_to_rle_on_device(masks.bool(), boxes, SIZE) == expected


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"masks: got .*expected bool"):
        g.encode_masks_on_device(torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match="masks: got"):
        g.encode_masks_on_device(torch.zeros(2, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="threshold: got 0"):
        g.paste_masks_to_rle_on_device(random_masks(1), boxes_in_and_out(1, 0), SIZE, 0.0)
