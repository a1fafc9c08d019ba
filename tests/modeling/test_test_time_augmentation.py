"""Test-time augmentation with a chosen flip and paste."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from detectron2.modeling.test_time_augmentation import DatasetMapperTTA, GeneralizedRCNNWithTTA
from tiny_models import tiny_batch, tiny_config, tiny_model

from d2align.data import CoordinateHFlipTransform, IndexHFlipTransform
from d2align.modeling import PixelExactDatasetMapperTTA, PixelExactRCNNWithTTA
from d2align.registry import build_paste_mask

SIZES = ("TEST.AUG.MIN_SIZES", "(64, 96)", "TEST.AUG.MAX_SIZE", "160")
BOXES = np.array([[10.0, 12.0, 40.5, 50.25], [0.0, 0.0, 100.0, 60.0]])


def tta_input(scale: float = 1.0) -> dict[str, Any]:
    return {k: v for k, v in tiny_batch(scale)[0].items() if k in ("image", "height", "width")}


def config(*opts: str) -> Any:
    return tiny_config(*SIZES, *opts)


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_coordinate_mapper_equals_detectron2s(scale: float) -> None:
    ours = PixelExactDatasetMapperTTA(config())(tta_input(scale))
    theirs = DatasetMapperTTA(config())(tta_input(scale))
    assert len(ours) == len(theirs) == 4
    for a, b in zip(ours, theirs, strict=True):
        assert a["image"].shape == b["image"].shape
        # Ours flips before it resizes, theirs after: Pillow rounds to whole grey levels.
        difference = (a["image"].int() - b["image"].int()).abs()
        assert difference.max() <= 1 and difference.float().mean() < 0.01
        np.testing.assert_allclose(
            a["transforms"].apply_box(BOXES), b["transforms"].apply_box(BOXES), atol=1e-9
        )
        inverse = a["transforms"].inverse().apply_box(BOXES)
        np.testing.assert_allclose(inverse, b["transforms"].inverse().apply_box(BOXES), atol=1e-9)


@pytest.mark.parametrize("scale", [1.0, 1.5, 0.5])
@pytest.mark.parametrize("flip", ["index", "detectron1"])
def test_flipped_boxes_move_by_one_original_pixel_for_index_only(flip: str, scale: float) -> None:
    aligned = PixelExactDatasetMapperTTA(config())(tta_input(scale))
    historical = PixelExactDatasetMapperTTA(config("D2ALIGN.FLIP", flip))(tta_input(scale))
    for i, (a, b) in enumerate(zip(aligned, historical, strict=True)):
        assert torch.equal(a["image"], b["image"])
        flipped = i % 2 == 1
        moved = -1.0 if flipped and flip == "index" else 0.0
        back = b["transforms"].inverse().apply_box(BOXES) - a["transforms"].inverse().apply_box(
            BOXES
        )
        np.testing.assert_allclose(back, np.broadcast_to([moved, 0, moved, 0], (2, 4)), atol=1e-9)
        sx = a["image"].shape[2] / tta_input(scale)["width"]
        there = b["transforms"].apply_box(BOXES) - a["transforms"].apply_box(BOXES)
        expected = np.broadcast_to([moved * sx, 0, moved * sx, 0], (2, 4))
        np.testing.assert_allclose(there, expected, atol=1e-9)


def test_mapper_keeps_its_input_and_can_leave_the_flip_out() -> None:
    entry = tta_input()
    image = entry["image"].clone()
    out = PixelExactDatasetMapperTTA(config("TEST.AUG.FLIP", "False"))(entry)
    assert len(out) == 2 and torch.equal(entry["image"], image) and "transforms" not in entry
    flips = [
        t for o in PixelExactDatasetMapperTTA(config())(entry) for t in o["transforms"].transforms
    ]
    assert sum(isinstance(t, CoordinateHFlipTransform) for t in flips) == 2
    index = PixelExactDatasetMapperTTA(config("D2ALIGN.FLIP", "index"))(entry)
    assert isinstance(index[1]["transforms"].transforms[0], IndexHFlipTransform)


def test_mapper_refuses_unknown_flips() -> None:
    cfg = config()
    cfg.D2ALIGN.FLIP = "mirror"
    with pytest.raises(ValueError, match=r"mirror.*coordinate"):
        PixelExactDatasetMapperTTA(cfg)(tta_input())


def iou(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    from detectron2.structures import Boxes, pairwise_iou

    return pairwise_iou(Boxes(first), Boxes(second))


def test_coordinate_tta_is_close_to_detectron2s() -> None:
    model = tiny_model(config()).eval()
    with torch.no_grad():
        (ours,) = PixelExactRCNNWithTTA(config(), model)([tta_input(1.5)])
        (theirs,) = GeneralizedRCNNWithTTA(config(), model)([tta_input(1.5)])
    ours, theirs = ours["instances"], theirs["instances"]
    assert ours.image_size == theirs.image_size == (96, 144)
    assert ours.pred_masks.shape[1:] == (96, 144)
    # Grey levels differ by at most one, which may reorder a few close scores.
    best = iou(ours.pred_boxes.tensor, theirs.pred_boxes.tensor).amax(dim=1)
    assert (best > 0.95).float().mean() > 0.7


def test_tta_without_flip_equals_detectron2s_bit_for_bit() -> None:
    cfg = config("TEST.AUG.FLIP", "False")
    model = tiny_model(cfg).eval()
    with torch.no_grad():
        (ours,) = PixelExactRCNNWithTTA(cfg, model)([tta_input(1.5)])
        (theirs,) = GeneralizedRCNNWithTTA(cfg, model)([tta_input(1.5)])
    ours, theirs = ours["instances"], theirs["instances"]
    assert len(ours) > 0
    assert torch.equal(ours.pred_boxes.tensor, theirs.pred_boxes.tensor)
    assert torch.equal(ours.scores, theirs.scores)
    assert torch.equal(ours.pred_masks, theirs.pred_masks)


def flipped_only(cfg: Any, model: Any) -> Any:
    """Detections of the flipped image alone, before merging."""
    wrapper = PixelExactRCNNWithTTA(cfg, model)
    augmented, transforms = wrapper._get_augmented_inputs(tta_input(1.5))
    with torch.no_grad(), wrapper._turn_off_roi_heads(["mask_on", "keypoint_on"]):
        boxes, scores, _ = wrapper._get_augmented_boxes(augmented[1::2], transforms[1::2])
    return boxes, torch.stack(scores)


def test_index_flip_moves_boxes_of_flipped_images_by_one_original_pixel() -> None:
    model = tiny_model(config()).eval()
    aligned, scores = flipped_only(config(), model)
    index, other_scores = flipped_only(config("D2ALIGN.FLIP", "index"), model)
    assert len(aligned) > 10 and torch.equal(scores, other_scores)
    expected = torch.tensor([-1.0, 0.0, -1.0, 0.0]).expand_as(aligned)
    torch.testing.assert_close(index - aligned, expected, atol=1e-4, rtol=0, check_dtype=False)


def test_tta_pastes_with_the_chosen_paste() -> None:
    cfg = config("D2ALIGN.PASTE_MASK", "detectron1")
    model = tiny_model(cfg).eval()
    wrapper = PixelExactRCNNWithTTA(cfg, model)
    assert wrapper.paste_masks is build_paste_mask("detectron1")
    with torch.no_grad():
        historical = wrapper([tta_input(1.5)])[0]["instances"]
        aligned = PixelExactRCNNWithTTA(config(), model)([tta_input(1.5)])[0]["instances"]
    assert torch.equal(historical.pred_boxes.tensor, aligned.pred_boxes.tensor)
    assert not torch.equal(historical.pred_masks, aligned.pred_masks)


@pytest.mark.parametrize("config_file", ["ablation_box_transform.yaml", "ablation_detectron1.yaml"])
def test_tta_takes_historical_decodes_and_models_without_masks(config_file: str) -> None:
    opts = (*SIZES, "MODEL.MASK_ON", "False")
    cfg = tiny_config(*opts, config=config_file)
    with torch.no_grad():
        (out,) = PixelExactRCNNWithTTA(cfg, tiny_model(cfg).eval())([tta_input(1.5)])
    assert out["instances"].image_size == (96, 144) and not out["instances"].has("pred_masks")
