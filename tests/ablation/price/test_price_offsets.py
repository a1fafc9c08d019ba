"""Moved boxes and masks, and where the historical mistakes lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from price_inputs import small_inputs
from pycocotools import mask as coco_mask

from d2align.ablation.price.box_offsets import (
    BoxOffset,
    BoxResize,
    BoxTruncation,
    ClippedBoxOffset,
    box_offset_arms,
)
from d2align.ablation.price.historical import HISTORICAL_BUGS
from d2align.ablation.price.mask_offsets import (
    MaskOffset,
    ResultMaskShift,
    mask_offset_arms,
    result_mask_arms,
)
from d2align.ablation.price.measure import Measurement
from d2align.ablation.price.moves import MOVES
from d2align.ablation.price.sections import find_bug
from d2align.ablation.price.settings import Settings

NETWORK = (512, 9999)  # twice the size of the small images


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory):
    return small_inputs(Path(tmp_path_factory.mktemp("price")))


def edges(results) -> np.ndarray:
    boxes = np.array([one["bbox"] for one in results])
    boxes[:, 2:] += boxes[:, :2]
    return boxes


@pytest.mark.parametrize("move", MOVES)
def test_moves_add_their_pixels_to_the_edges(inputs, move: str) -> None:
    expected = {
        "right_bottom": [0, 0, 1, 1],
        "left_top": [1, 1, 0, 0],
        "shift": [1, 1, 1, 1],
        "shift_x": [1, 0, 1, 0],
        "grow": [-1, -1, 1, 1],
    }[move]
    before = edges(inputs.results)
    original = edges(BoxOffset(move, 0.5).results(inputs)) - before
    network = edges(BoxOffset(move, 0.5, NETWORK).results(inputs)) - before
    np.testing.assert_allclose(original, np.broadcast_to(0.5 * np.array(expected), before.shape))
    np.testing.assert_allclose(network, original / 2)


def test_other_box_arms_by_their_first_box(inputs) -> None:
    x, y, w, h = inputs.results[0]["bbox"]
    assert BoxResize(10).results(inputs)[0]["bbox"] == pytest.approx(
        [x - 0.05 * w, y - 0.05 * h, 1.1 * w, 1.1 * h]
    )
    assert BoxTruncation().results(inputs)[0]["bbox"][:2] == [int(x), int(y)]
    assert BoxTruncation(NETWORK).results(inputs)[0]["bbox"][:2] == [int(2 * x) / 2, int(2 * y) / 2]


def test_every_historical_mistake_is_measured_even_off_the_grid() -> None:
    settings = Settings(offsets=(0.0, 3.0))
    arms = [*box_offset_arms(settings), *mask_offset_arms(settings)]
    measured = [Measurement(arm, {}, {}) for arm in arms]
    found = [find_bug(measured, bug) for bug in HISTORICAL_BUGS]
    assert all(one is not None for one in found)
    assert len({id(one) for one in found}) == len(HISTORICAL_BUGS)
    for bug, one in zip(HISTORICAL_BUGS, found, strict=True):
        assert isinstance(one.arm, ClippedBoxOffset) == bug.clipped
        assert (one.arm.move, one.arm.unit, one.arm.offset) == (bug.move, bug.unit, bug.offset)
        assert one.arm.metric == bug.metric
    assert find_bug(measured[:1], HISTORICAL_BUGS[0]) is None


def test_the_clipped_decoder_stays_in_the_image(inputs) -> None:
    moved = edges(BoxOffset("right_bottom", 40.0).results(inputs))
    clipped = edges(ClippedBoxOffset("right_bottom", 40.0).results(inputs))
    assert moved.max() > 256
    np.testing.assert_allclose(clipped, moved.clip(0, 256))


@pytest.mark.parametrize("make", [box_offset_arms, mask_offset_arms, result_mask_arms])
def test_arms_are_told_apart_and_have_one_reference(make) -> None:
    arms = make(Settings())
    assert len({arm.name for arm in arms}) == len(arms)
    assert {arm.reference() for arm in arms} == {arms[0]}
    assert arms[0].name == "as found"


def test_only_whole_offsets_move_finished_masks() -> None:
    arms = result_mask_arms(Settings(offsets=(-1.0, 0.0, 0.5, 2.0)))
    assert [arm.offset for arm in arms] == [0, -1, 2]


def test_a_whole_pixel_under_roi_masks_moves_the_pasted_masks(inputs) -> None:
    """Boxes inside the image: the mask of the moved box is the moved mask."""
    before = MaskOffset("shift", 0.0).results(inputs)
    after = MaskOffset("shift_x", 2.0).results(inputs)
    inside = [i for i, r in enumerate(inputs.results) if r["bbox"][0] + r["bbox"][2] < 250]
    assert len(inside) > 5
    for i in inside:
        old, new = (coco_mask.decode(results[i]["segmentation"]) for results in (before, after))
        assert (new[:, 2:] == old[:, :-2]).all() and not new[:, 0].any()


def test_finished_masks_move_right(inputs) -> None:
    before, after = inputs.results[0], ResultMaskShift(1).results(inputs)[0]
    old, new = (coco_mask.decode(one["segmentation"]) for one in (before, after))
    assert (new[:, 1:] == old[:, :-1]).all()
    assert ResultMaskShift(0).results(inputs) == inputs.results
