"""What comes out of models with inclusive boxes: float boxes, pasted masks, keypoints."""

from __future__ import annotations

from typing import Any

import pytest
import references_detectron1 as reference
import torch
from detectron2.structures import Boxes, Instances, Keypoints
from pycocotools import mask as coco_mask
from tiny_models import (
    assert_same_instances,
    detections,
    heard_targets,
    raw_detections,
    scaled_input,
    tiny_batch,
    tiny_config,
    tiny_model,
)
from torch import Tensor

from d2align.modeling import PixelExactRCNNWithTTA, apply
from d2align.registry import build_paste_mask

KEYPOINT = (
    *("MODEL.MASK_ON", "False", "MODEL.KEYPOINT_ON", "True"),
    *("MODEL.ROI_KEYPOINT_HEAD.NUM_KEYPOINTS", "3", "MODEL.ROI_KEYPOINT_HEAD.CONV_DIMS", "[8]"),
)


def model(*opts: str) -> Any:
    return tiny_model(tiny_config(*opts, config="ablation_detectron1.yaml"))


@pytest.mark.parametrize("im_scale", [1.0, 1.37])
def test_masks_are_pasted_in_the_inclusive_boxes_they_were_cropped_in(im_scale: float) -> None:
    module, entry, paste = model(), scaled_input(im_scale), build_paste_mask("detectron1")
    (before,) = raw_detections(module, [entry])
    (after,) = detections(module, [entry])
    assert type(before.pred_boxes) is Boxes and len(before) == len(after) > 3
    inclusive = before.mask_boxes.tensor
    floats = inclusive + torch.tensor([0.0, 0, 1, 1])
    torch.testing.assert_close(after.pred_boxes.tensor, floats, atol=1e-4, rtol=0)
    torch.testing.assert_close(before.pred_boxes.tensor, floats * im_scale, atol=1e-4, rtol=0)
    pasted = paste(before.pred_masks[:, 0], inclusive, (60, 80), 0.5)
    assert after.pred_masks.any() and torch.equal(after.pred_masks, pasted)
    wider = paste(before.pred_masks[:, 0], floats, (60, 80), 0.5)
    assert not torch.equal(after.pred_masks, wider)


def test_a_result_of_one_pixel_is_kept() -> None:
    module, entry = model(), scaled_input(1.37)
    given = Instances((82, 110), pred_boxes=Boxes(torch.tensor([[4.0, 5, 5, 30]]) * 1.37))
    given.pred_classes = torch.tensor([1])
    (found,) = raw_detections(module, [entry], detected_instances=[given])
    torch.testing.assert_close(
        found.mask_boxes.tensor, torch.tensor([[4.0, 5, 4, 29]]), atol=1e-5, rtol=0
    )
    with torch.no_grad():
        (out,) = module.inference([entry], detected_instances=[given])
    assert len(out["instances"]) == 1
    torch.testing.assert_close(
        out["instances"].pred_boxes.tensor, torch.tensor([[4.0, 5, 5, 30]]), atol=1e-5, rtol=0
    )


def test_given_boxes_are_taken_and_returned_as_float_boxes() -> None:
    module, batch = model(), tiny_batch(1.5)
    found = raw_detections(module, batch)
    again = raw_detections(module, batch, detected_instances=found)
    for a, b in zip(found, again, strict=True):
        torch.testing.assert_close(a.pred_boxes.tensor, b.pred_boxes.tensor, atol=1e-4, rtol=0)
        torch.testing.assert_close(a.pred_masks, b.pred_masks, atol=1e-3, rtol=0)


@pytest.mark.parametrize("im_scale", [1.0, 1.37])
def test_keypoints_lose_half_a_pixel_inside_and_regain_it(im_scale: float) -> None:
    module, entry = model(*KEYPOINT), scaled_input(im_scale)
    points = torch.tensor([[10.5, 12.5, 2], [20.5, 20.5, 2], [15.5, 30.5, 1]]).repeat(3, 1, 1)
    given = points * torch.tensor([im_scale, im_scale, 1])
    entry["instances"].gt_keypoints = Keypoints(given)
    (heard,) = heard_targets(module, [entry])
    indices = (points - torch.tensor([0.5, 0.5, 0])) * torch.tensor([im_scale, im_scale, 1])
    torch.testing.assert_close(heard.gt_keypoints.tensor, indices, atol=1e-4, rtol=0)
    assert torch.equal(entry["instances"].gt_keypoints.tensor, given)
    (before,), (after,) = raw_detections(module, [entry]), detections(module, [entry])
    inclusive = after.pred_boxes.tensor - torch.tensor([0.0, 0, 1, 1])
    whole = ((inclusive[:, 2:] - inclusive[:, :2]) % 1 - 0.5).abs().amax(dim=1) > 0.49
    for box, heatmaps, found in zip(
        inclusive[~whole].tolist(),
        after.pred_keypoint_heatmaps[~whole].numpy(),
        after.pred_keypoints[~whole, :, :2],
        strict=True,
    ):
        expected = torch.tensor(reference.keypoints_of_heatmaps(heatmaps, box)).float()
        torch.testing.assert_close(found, expected + 0.5, atol=1e-3, rtol=0)
    assert (~whole).sum() > 0
    torch.testing.assert_close(
        before.pred_keypoints[:, :, :2], after.pred_keypoints[:, :, :2] * im_scale
    )


def test_precomputed_proposals_are_taken_as_float_boxes() -> None:
    module = model("MODEL.MASK_ON", "False").eval()
    module.proposal_generator = None
    entry = scaled_input(1.37)
    boxes = torch.tensor([[4.0, 5, 30, 40]]) * 1.37
    entry["proposals"] = Instances((82, 110), proposal_boxes=Boxes(boxes))
    module.roi_heads.box_predictor.forward = lambda x: (
        torch.tensor([[9.0, 0, 0, 0, 0, 0, 0]]),
        torch.zeros(1, 24),
    )
    (found,) = detections(module, [entry])
    expected = torch.tensor([[4.0, 5, 30, 40]])
    torch.testing.assert_close(found.pred_boxes.tensor, expected, atol=1e-4, rtol=0)
    assert_same_instances([found], detections(module, [entry]))
    assert torch.equal(entry["proposals"].proposal_boxes.tensor, boxes)


def test_test_time_augmentation_pastes_in_inclusive_boxes() -> None:
    opts = ("TEST.AUG.MIN_SIZES", "(64, 96)", "TEST.AUG.MAX_SIZE", "160")
    cfg = tiny_config(*opts, config="ablation_detectron1.yaml")
    wrapper = PixelExactRCNNWithTTA(cfg, tiny_model(cfg).eval())
    calls = []

    def paste(masks: Tensor, boxes: Tensor, size: Any, threshold: float) -> Tensor:
        calls.append(boxes)
        return torch.zeros(len(masks), *size, dtype=torch.bool)

    wrapper.paste_masks = paste
    entry = {k: v for k, v in scaled_input(1.37).items() if k != "instances"}
    with torch.no_grad():
        (out,) = wrapper([entry])
    boxes = out["instances"].pred_boxes.tensor
    assert out["instances"].image_size == (60, 80) and len(boxes) > 3
    torch.testing.assert_close(calls[0], boxes - torch.tensor([0.0, 0, 1, 1]))
    assert all("im_scale" not in x for x in wrapper.tta_mapper(entry))


@pytest.mark.parametrize("paste_mask", ["detectron1", "aligned"])
def test_encoded_masks_are_the_dense_ones(paste_mask: str) -> None:
    module, entry = model(), scaled_input(1.37)
    apply(module, paste_mask=paste_mask)
    (dense,) = detections(module, [entry])
    module.mask_format = "rle"
    (encoded,) = detections(module, [entry])
    # Some results are below a pixel wide, so that x2 < x1 in the boxes they are pasted in.
    boxes = dense.pred_boxes.tensor
    assert ((boxes[:, 2:] - boxes[:, :2]) < 1).any()
    bits = coco_mask.decode(list(encoded.pred_masks_rle)).transpose(2, 0, 1)
    assert torch.equal(torch.from_numpy(bits).bool(), dense.pred_masks)
