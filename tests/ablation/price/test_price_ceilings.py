"""What each convention makes of the ground truth, exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from price_inputs import one_object, small_dataset
from pycocotools import mask as coco_mask

from d2align.ablation.price.box_ceiling import CONVENTIONS, BoxCeiling, box_ceiling_arms
from d2align.ablation.price.inputs import Inputs
from d2align.ablation.price.mask_ceiling import MaskCeiling, mask_ceiling_arms
from d2align.ablation.price.measure import Meter
from d2align.ablation.price.pasting import LOST_PIXEL
from d2align.ablation.price.settings import Settings
from d2align.evaluation.matches import match_detections

SIZE = (100, 200)
BOXES = torch.tensor([[10.25, 20.5, 30.75, 40.0], [3.5, 4.0, 1.0, 2.5]], dtype=torch.float64)
PROPOSALS = torch.tensor([[12.0, 18, 40, 70], [3, 3, 6, 6]], dtype=torch.float64)


@pytest.mark.parametrize(
    "convention, off",
    [
        ("float", [0, 0, 0, 0]),
        ("detectron1", [0, 0, 0, 0]),
        ("py_faster_rcnn", [0, 0, 1, 1]),
        ("inclusive read as edges", [0, 0, -1, -1]),
    ],
)
def test_each_convention_is_off_by_its_pixel(convention: str, off: list[float]) -> None:
    passed = CONVENTIONS[convention](BOXES, PROPOSALS, SIZE)
    torch.testing.assert_close(passed, BOXES + torch.tensor(off, dtype=torch.float64))


def test_whole_inclusive_pixels_by_hand() -> None:
    passed = CONVENTIONS["whole inclusive pixels"](BOXES, PROPOSALS, SIZE)
    # 10.25 + 30.75 - 1 = 40 and 20.5 + 40 - 1 = 59.5; 3.5 + 1 - 1 and 4 + 2.5 - 1.
    assert passed.tolist() == [[10, 20, 31, 40], [3, 4, 1, 2]]


def test_the_2015_decoder_loses_its_extra_pixel_at_the_far_edges() -> None:
    touching = torch.tensor([[150.0, 60, 50, 40]], dtype=torch.float64)
    passed = CONVENTIONS["py_faster_rcnn"](touching, PROPOSALS[:1], SIZE)
    torch.testing.assert_close(passed, touching)


def test_detectron_cannot_learn_a_box_below_a_pixel() -> None:
    tiny = torch.tensor([[10.25, 20, 0.5, 0.25]], dtype=torch.float64)
    passed = CONVENTIONS["detectron1"](tiny, PROPOSALS[:1], SIZE)
    torch.testing.assert_close(passed, torch.tensor([[10.25, 20, 1, 1]], dtype=torch.float64))


def ceiling(inputs: Inputs, arm: BoxCeiling | MaskCeiling) -> float:
    meter = Meter(inputs, Settings(num_draws=10))
    return meter.measure(arm).deltas["all"].variant_ap


def test_float_boxes_allow_everything_and_the_others_less() -> None:
    inputs = Inputs(small_dataset(), None, None, {})
    found = {arm.name: ceiling(inputs, arm) for arm in box_ceiling_arms()}
    assert found["float"] == found["detectron1"] == pytest.approx(100)
    assert all(found[name] < 98 for name in found if name not in ("float", "detectron1"))


def test_images_of_more_than_a_hundred_objects_keep_them_all() -> None:
    inputs = one_object([0, 0, 20, 20])
    first = inputs.dataset["annotations"][0]
    inputs.dataset["annotations"] = [
        {**first, "id": i + 1, "bbox": [8.0 * (i % 15), 8.0 * (i // 15), 6.0, 6.0]}
        for i in range(150)
    ]
    assert ceiling(inputs, BoxCeiling("float")) == pytest.approx(100)


def decoded(inputs: Inputs, arm: MaskCeiling) -> np.ndarray:
    (result,) = arm.results(inputs)
    return coco_mask.decode(result["segmentation"])


def test_an_object_of_one_pixel_a_cell_comes_back_whole() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((64, 64), np.uint8)
    mask[10:38, 20:48] = rng.random((28, 28)) < 0.5
    rle = coco_mask.encode(np.asfortranarray(mask))
    inputs = one_object([20, 10, 28, 28], rle, size=64)
    assert (decoded(inputs, MaskCeiling("aligned RoIAlign", "aligned")) == mask).all()
    # Without an outline there is nothing to draw, so the polygon target crops, too.
    assert (decoded(inputs, MaskCeiling("polygons", "aligned")) == mask).all()
    assert (decoded(inputs, MaskCeiling("unaligned RoIAlign", "aligned")) != mask).any()


def test_detectrons_paste_adds_half_a_pixel_a_side_and_the_lost_pixel_a_shift() -> None:
    """A box of fractional edges, filled: truncation moves x1 and y1 out, and so does the +1."""
    bbox = [20.5, 30.5, 40.0, 40.0]
    inputs = one_object(bbox)

    def extent(arm: MaskCeiling) -> list[float]:
        (result,) = arm.results(inputs)
        return coco_mask.toBbox(result["segmentation"]).tolist()

    assert extent(MaskCeiling("polygons", "detectron1")) == [20, 30, 41, 41]
    lost = MaskCeiling("polygons", "detectron1", LOST_PIXEL)
    assert extent(lost) == [20, 30, 40, 40]


def test_mask_arms_are_compared_at_their_own_size() -> None:
    arms = mask_ceiling_arms((28, 14))
    assert len({arm.name for arm in arms}) == len(arms) == 10
    assert all(arm.reference() in arms for arm in arms)
    assert {arm.reference().side for arm in arms if arm.side == 14} == {14}


def test_ap_is_that_of_the_matches() -> None:
    inputs = Inputs(small_dataset(), None, None, {})
    arm = MaskCeiling("detectron1", "detectron1", side=14)
    table = match_detections(inputs.dataset, arm.results(inputs), "segm")
    measured = Meter(inputs, Settings(num_draws=10)).measure(arm)
    for area, delta in measured.deltas.items():
        assert delta.variant_ap == pytest.approx(100 * table.ap(area=area), abs=1e-12)
    assert set(measured.deltas) == {"all", "small", "medium"}  # there are no large objects
    assert measured.deltas["small"].delta < measured.deltas["medium"].delta <= 0
