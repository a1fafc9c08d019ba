"""Whole models: float boxes in and out, Detectron's inclusive ones in between."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import references_detectron1 as reference
import torch
from detectron2.structures import Boxes
from tiny_models import (
    CASCADE,
    OBJECTS,
    PANOPTIC,
    assert_same_losses,
    detections,
    heard_targets,
    losses,
    polygon_batch,
    scaled_input,
    tiny_batch,
    tiny_config,
    tiny_model,
)
from torch import Tensor

from d2align.modeling import InclusiveBoxes
from d2align.registry import build_paste_mask

PRESETS = {"detectron1": (1.0, 0.0), "py_faster_rcnn": (0.0, 1.0)}  # decode's last pixel, excess
KEYPOINT = (
    *("MODEL.MASK_ON", "False", "MODEL.KEYPOINT_ON", "True"),
    *("MODEL.ROI_KEYPOINT_HEAD.NUM_KEYPOINTS", "3", "MODEL.ROI_KEYPOINT_HEAD.CONV_DIMS", "[8]"),
)
C4 = (
    *("MODEL.BACKBONE.NAME", "build_resnet_backbone", "MODEL.RESNETS.DEPTH", "50"),
    *("MODEL.RESNETS.OUT_FEATURES", "['res4']", "MODEL.RESNETS.STEM_OUT_CHANNELS", "8"),
    *("MODEL.RESNETS.RES2_OUT_CHANNELS", "16", "MODEL.RESNETS.WIDTH_PER_GROUP", "4"),
    *("MODEL.RPN.IN_FEATURES", "['res4']", "MODEL.ANCHOR_GENERATOR.SIZES", "[[16, 32, 64]]"),
    *("MODEL.ROI_HEADS.NAME", "Res5ROIHeads", "MODEL.ROI_HEADS.IN_FEATURES", "['res4']"),
)


def model(preset: str = "detectron1", *opts: str, **kwargs: Any) -> Any:
    return tiny_model(tiny_config(*opts, config=f"ablation_{preset}.yaml"), **kwargs)


@pytest.mark.parametrize("im_scale", [1.0, 0.7, 1.37, 2.0])
def test_ground_truth_becomes_inclusive_and_is_scaled_directly(im_scale: float) -> None:
    (heard,) = heard_targets(
        model("detectron1", "MODEL.MASK_ON", "False"), [scaled_input(im_scale)]
    )
    inclusive = torch.tensor([[x, y, x + w - 1, y + h - 1] for x, y, w, h in OBJECTS])
    assert type(heard.gt_boxes) is InclusiveBoxes
    torch.testing.assert_close(heard.gt_boxes.tensor, inclusive * im_scale, atol=1e-4, rtol=0)


def test_ground_truth_below_one_pixel_becomes_that_pixel() -> None:
    entry = scaled_input(2.0)
    entry["instances"].gt_boxes = Boxes(torch.tensor([[20.0, 10, 21, 60]] * 3))
    (heard,) = heard_targets(model("detectron1", "MODEL.MASK_ON", "False"), [entry])
    assert heard.gt_boxes.tensor.tolist() == [[20, 10, 20, 58]] * 3


def test_inputs_are_left_alone_so_that_a_step_can_be_repeated() -> None:
    module, batch = model(), polygon_batch(1.5)
    kept = copy.deepcopy(batch)
    module.roi_heads.box_head.eval()
    state = {k: v.clone() for k, v in module.state_dict().items()}
    first = losses(module, batch)
    module.load_state_dict(state)
    assert_same_losses(first, losses(module, batch))
    for entry, before in zip(batch, kept, strict=True):
        assert entry.keys() == before.keys()
        after = entry["instances"].gt_boxes
        assert type(after) is Boxes and torch.equal(
            after.tensor, before["instances"].gt_boxes.tensor
        )


def exact(module: Any, truth: Tensor, im_scale: float) -> None:
    """Let a model's two stages predict the exact encodings of one object's box."""
    rpn, heads = module.proposal_generator, module.roi_heads
    goal = (truth * im_scale).double().tolist()

    def rpn_head(features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        logits, deltas = [], []
        for anchors, feature in zip(rpn.anchor_generator(features), features, strict=True):
            h, w = feature.shape[2:]
            encoded = [reference.encode(a, goal) for a in anchors.tensor.double().tolist()]
            ratio = torch.tensor(encoded)[:, 2:].abs().amax(dim=1)
            logits.append((5 - ratio).view(1, h, w, 3).permute(0, 3, 1, 2))
            deltas.append(torch.tensor(encoded).view(1, h, w, 12).permute(0, 3, 1, 2))
        return logits, deltas

    def remember(pooler: Any, arguments: Any) -> None:
        pooler.boxes = arguments[1][0].tensor.double() / im_scale

    def predict(x: Tensor) -> tuple[Tensor, Tensor]:
        weights = heads.box_predictor.box2box_transform.weights
        boxes = heads.box_pooler.boxes.tolist()
        encoded = [reference.encode(b, truth.double().tolist(), weights) for b in boxes]
        scores = torch.full((len(boxes), 7), -9.0)
        scores[:, 2] = 9.0
        return scores, torch.tensor(encoded).float().repeat(1, 6).view(len(boxes), 24)

    rpn.rpn_head.forward = rpn_head
    heads.box_pooler.register_forward_pre_hook(remember)
    heads.box_predictor.forward = predict


@pytest.mark.parametrize("im_scale", [1.0, 0.7, 1.37, 2.0])
@pytest.mark.parametrize("preset", PRESETS)
def test_exact_encodings_come_back_exactly_or_one_original_pixel_larger(
    preset: str, im_scale: float
) -> None:
    module = model(preset, "MODEL.MASK_ON", "False").eval()
    x, y, w, h = OBJECTS[0]
    exact(module, torch.tensor([x, y, x + w - 1, y + h - 1]), im_scale)
    entry = scaled_input(im_scale)
    with torch.no_grad():
        images = module.preprocess_image([entry])
        proposals, _ = module.proposal_generator(images, module.backbone(images.tensor))
        found = module([entry])[0]["instances"]
    excess = PRESETS[preset][1]
    # One network pixel in the RPN, whatever the scale, ...
    inclusive = torch.tensor([x, y, x + w - 1, y + h - 1]) * im_scale
    expected = inclusive + torch.tensor([0, 0, excess, excess])
    torch.testing.assert_close(
        proposals[0].proposal_boxes.tensor[:1], expected[None], atol=1e-3, rtol=0
    )
    # ... and one original pixel in the result.
    assert type(found.pred_boxes) is Boxes and found.image_size == (60, 80)
    assert found.pred_classes.tolist() == [2]
    expected = torch.tensor([[x, y, x + w + excess, y + h + excess]])
    torch.testing.assert_close(found.pred_boxes.tensor, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("opts", [(), CASCADE, C4], ids=["fpn", "cascade", "c4"])
@pytest.mark.parametrize("preset", PRESETS)
def test_presets_train_and_detect(preset: str, opts: tuple[str, ...]) -> None:
    module = model(preset, *opts)
    found = losses(module, polygon_batch(1.5))
    assert all(torch.isfinite(v) for v in found.values()) and "loss_mask" in found
    sum(found.values()).backward()
    for instances in detections(module, tiny_batch(1.5)):
        assert type(instances.pred_boxes) is Boxes and len(instances) > 0
        assert set(instances.get_fields()) == {"pred_boxes", "scores", "pred_classes", "pred_masks"}
        h, w = instances.image_size
        assert instances.pred_masks.shape[1:] == (h, w)
        boxes = instances.pred_boxes.tensor
        assert boxes.min() >= 0 and (boxes <= torch.tensor([w, h, w, h])).all()


def test_panoptic_models_train_and_detect() -> None:
    module = model("py_faster_rcnn", *PANOPTIC)
    assert all(torch.isfinite(v) for v in losses(module, polygon_batch(1.5)).values())
    with torch.no_grad():
        outputs = module.eval()(tiny_batch(1.5))
        before, _ = module.inference(tiny_batch(1.5), do_postprocess=False)
    for out, instances in zip(outputs, before, strict=True):
        h, w = out["instances"].image_size
        assert out["sem_seg"].shape[1:] == out["panoptic_seg"][0].shape == (h, w)
        paste = build_paste_mask("detectron1")
        pasted = paste(instances.pred_masks[:, 0], instances.mask_boxes.tensor, (h, w), 0.5)
        assert torch.equal(out["instances"].pred_masks, pasted)
