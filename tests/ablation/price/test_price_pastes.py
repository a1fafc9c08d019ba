"""The study of the pastes: what is changed about masks and data, and their signed errors."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from price_inputs import one_object, small_dataset
from pycocotools import mask as coco_mask

from d2align.ablation.price.inputs import Inputs
from d2align.ablation.price.measure import Meter
from d2align.ablation.price.pastes import (
    PasteArm,
    StudyArm,
    blur,
    coarsen,
    paste_arms,
    sharpen,
    study_arms,
)
from d2align.ablation.price.pasting import CROP_BOX, LOST_PIXEL, lose_a_pixel
from d2align.ablation.price.resized import resized_dataset
from d2align.ablation.price.roi_masks import RoIMasks
from d2align.ablation.price.settings import Settings
from d2align.geometry import xywh_to_xyxy

MASKS = torch.rand((5, 8, 8), generator=torch.Generator().manual_seed(0))


def roi_masks(boxes: list[list[float]], masks: torch.Tensor) -> RoIMasks:
    ones = np.ones(len(boxes), dtype=np.int64)
    return RoIMasks(ones, ones, ones.astype(float), torch.tensor(boxes, dtype=torch.float32), masks)


@pytest.mark.parametrize("factor", [0.5, 1.0, 4.0, math.inf])
def test_sharpening_keeps_the_side_of_one_half(factor: float) -> None:
    sharp = sharpen(MASKS, factor)
    assert ((sharp >= 0.5) == (MASKS >= 0.5)).all()
    further = (sharp - 0.5).abs() - (MASKS - 0.5).abs()
    as_near = 0.5 / 255 + 1e-6  # to 0 or 1 as 8 bits can tell
    assert (further >= -as_near).all() if factor >= 1 else (further <= 1e-6).all()


def test_sharpening_by_hand() -> None:
    values = torch.tensor([[[0.8, 0.2]]])  # logit(0.8) = ln 4
    torch.testing.assert_close(sharpen(values, 1.0), values)
    torch.testing.assert_close(sharpen(values, 0.5), torch.tensor([[[2 / 3, 1 / 3]]]))
    assert sharpen(torch.tensor([[[0.0, 1.0]]]), 2.0).isfinite().all()


def test_blur_keeps_flat_masks_and_spreads_a_cell() -> None:
    flat = torch.full((1, 8, 8), 0.3)
    torch.testing.assert_close(blur(flat, 1.0), flat)
    cell = torch.zeros((1, 9, 9))
    cell[0, 4, 4] = 1
    spread = blur(cell, 1.0)
    weight = np.exp(-0.5 * np.arange(-3, 4) ** 2)
    assert spread[0, 4, 4].item() == pytest.approx((weight / weight.sum())[3] ** 2, rel=1e-5)
    assert spread.sum().item() == pytest.approx(1, rel=1e-5)


def test_coarsening_averages_blocks() -> None:
    masks = torch.arange(16.0).reshape(1, 4, 4)
    assert coarsen(masks, 2).tolist() == [[[2.5, 4.5], [10.5, 12.5]]]


def test_a_lost_pixel_never_inverts_a_box() -> None:
    boxes = torch.tensor([[1.0, 2, 5, 6], [1, 2, 1.5, 2]])
    assert lose_a_pixel(boxes).tolist() == [[1, 2, 4, 5], [1, 2, 1, 2]]
    assert boxes[0].tolist() == [1, 2, 5, 6]


def test_resized_data_set_by_hand() -> None:
    inputs = one_object([10, 20, 30, 40], size=101)
    mask = np.zeros((4, 6), np.uint8)
    mask[1:3, 2:5] = 1
    rle = coco_mask.encode(np.asfortranarray(mask))
    crowd = {**inputs.dataset["annotations"][0], "id": 2, "iscrowd": 1, "segmentation": rle}
    images = [{"id": 1, "width": 6, "height": 4}, {"id": 2, "width": 101, "height": 101}]
    dataset = {**inputs.dataset, "images": images}
    dataset["annotations"] = [*inputs.dataset["annotations"], crowd]
    resized = resized_dataset(dataset, 0.5)
    assert [(i["width"], i["height"]) for i in resized["images"]] == [(3, 2), (50, 50)]
    one, small_crowd = resized["annotations"]
    assert (one["bbox"], one["area"]) == ([5, 10, 15, 20], 300)
    assert one["segmentation"] == [[5, 10, 20, 10, 20, 30, 5, 30]]
    # The centre of a new pixel lies on a corner of four old ones; that below and right is taken.
    assert coco_mask.decode(small_crowd["segmentation"]).tolist() == mask[1::2, 1::2].tolist()
    larger = resized_dataset(dataset, 2.0)["annotations"][1]["segmentation"]
    assert (coco_mask.decode(larger) == mask.repeat(2, 0).repeat(2, 1)).all()
    assert dataset["images"][0]["width"] == 6


def test_a_lost_pixel_moves_masks_and_their_edges_by_half_of_it() -> None:
    """Filled boxes on whole pixels, one in each of two images, found exactly."""
    inputs = one_object([40, 30, 20, 20])
    first = inputs.dataset["annotations"][0]
    inputs.dataset["annotations"].append({**first, "id": 2, "image_id": 2})
    ids = np.array([1, 2])
    boxes = torch.tensor([[40.0, 30, 60, 50]]).repeat(2, 1)
    masks = RoIMasks(ids, np.ones(2, int), np.ones(2), boxes, torch.ones((2, 28, 28)))
    meter = Meter(replace(inputs, roi_masks=masks), Settings(num_draws=10))

    def means(paste: str, box: str) -> list[float]:
        bias = meter.measure(PasteArm(paste, box)).bias
        assert [one.num_objects for one in bias.values()] == [2, 2, 2]
        return [bias[name].variant for name in ("x", "y", "edge")]

    for paste in ("aligned", "detectron1"):
        assert means(paste, CROP_BOX) == pytest.approx([0, 0, 0], abs=0.05)
        assert means(paste, LOST_PIXEL) == pytest.approx([-0.5, -0.5, -0.5], abs=0.05)


def test_resized_inputs_move_the_boxes_of_roi_masks_too() -> None:
    masks = roi_masks([[10.0, 20, 40, 60]], torch.ones((1, 28, 28)))
    inputs = replace(one_object([10, 20, 30, 40], size=100), roi_masks=masks)
    arm = StudyArm("aligned", LOST_PIXEL, scale=2.0)
    world = arm.world(inputs)
    assert world is arm.world(inputs)
    assert world.image_sizes[1] == (200, 200)
    # 20, 40 to 80, 120, of which the last pixel is lost after the resize, not before.
    (result,) = arm.results(world)
    assert coco_mask.toBbox(result["segmentation"]).tolist() == [20, 40, 59, 79]
    assert replace(arm, scale=1.0).world(inputs) is inputs


def test_every_study_arm_is_told_apart_and_compared_with_its_own_masks() -> None:
    masks = roi_masks([[0.0, 0, 9, 9]], torch.ones((1, 8, 8)))
    arms = study_arms(masks)
    assert len({arm.name for arm in arms}) == len(arms) == 3 * 13
    for arm in arms:
        assert arm.reference() in arms
        assert arm.reference().changed == arm.changed
    odd = study_arms(roi_masks([[0.0, 0, 9, 9]], torch.ones((1, 7, 7))))
    assert len(odd) == len(arms) - 3


def test_the_size_study_resizes_everything_alike() -> None:
    """A lost pixel weighs more on smaller images, the aligned paste of filled boxes nothing."""
    dataset = small_dataset()
    dataset["annotations"] = [one for one in dataset["annotations"] if not one["iscrowd"]]
    inputs = Inputs(dataset, None, None, {})
    boxes = torch.tensor([one["bbox"] for one in inputs.objects])
    masks = RoIMasks(
        np.array([one["image_id"] for one in inputs.objects]),
        np.array([one["category_id"] for one in inputs.objects]),
        np.ones(len(boxes)),
        xywh_to_xyxy(boxes),
        torch.ones((len(boxes), 28, 28)),
    )
    meter = Meter(replace(inputs, roi_masks=masks), Settings(num_draws=10))
    lost = StudyArm("detectron1", LOST_PIXEL, scale=4.0)
    deltas = [meter.measure(replace(lost, scale=scale)).deltas for scale in (0.25, 1.0, 4.0)]
    assert all(set(one) == {"all"} for one in deltas)
    assert all(one["all"].reference_ap > 95 for one in deltas)
    smaller, same, larger = (one["all"].delta for one in deltas)
    assert smaller < same < larger <= 0


def test_paste_arms_cover_pastes_and_boxes() -> None:
    assert len({arm.name for arm in paste_arms()}) == 4
    assert {arm.reference() for arm in paste_arms()} == {PasteArm("aligned")}


@pytest.mark.parametrize("dataset_seed", [0, 1])
def test_resizing_by_one_changes_no_polygon(dataset_seed: int) -> None:
    dataset = small_dataset(3, dataset_seed)
    same = resized_dataset(dataset, 1.0)["annotations"]
    for before, after in zip(dataset["annotations"], same, strict=True):
        if not before["iscrowd"]:
            assert after == before
