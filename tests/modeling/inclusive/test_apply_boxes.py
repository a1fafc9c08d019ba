"""Turning built models to inclusive boxes and back, in any order and beside other changes."""

from __future__ import annotations

import copy
import itertools
import pickle
from typing import Any

import pytest
import torch
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.structures import Boxes
from tiny_models import (
    CASCADE,
    PANOPTIC,
    RETINANET,
    assert_same_instances,
    assert_same_losses,
    detections,
    losses,
    polygon_batch,
    tiny_config,
    tiny_model,
)

from d2align.config import PRESETS
from d2align.modeling import InclusiveBoxes, apply
from d2align.modeling.fast_rcnn import DecodeInOriginalPixels, EncodeInOriginalPixels
from d2align.modeling.inclusive.apply_boxes import has_inclusive_boxes
from d2align.modeling.inclusive.fast_rcnn import InclusivePredictor
from d2align.modeling.mixins import class_without_mixin
from d2align.modeling.poolers import use_fast_poolers

PLAIN = ("MODEL.META_ARCHITECTURE", "GeneralizedRCNN")
LOOSE = ("MODEL.ROI_HEADS.IOU_THRESHOLDS", "[0.2]")
POLYGON = ("INPUT.MASK_FORMAT", "polygon", *LOOSE)
MODELS = {
    "fpn": (*PLAIN, *POLYGON),
    "cascade": (*PLAIN, *POLYGON[:2], *CASCADE),
    "panoptic": (*PANOPTIC, "MODEL.META_ARCHITECTURE", "PanopticFPN", *POLYGON),
    "ours": POLYGON,
}


def plain_model(*opts: str) -> Any:
    return tiny_model(tiny_config(*opts))


def found_by(model: Any) -> Any:
    return detections(model, polygon_batch(1.5))


def preset(name: str) -> dict[str, str]:
    """A preset as arguments of apply."""
    factors = {k: v for k, v in PRESETS[name].items() if k != "flip"}
    return {**factors, "boxes": "float" if name == "aligned" else "inclusive"}


def state_of(model: Any) -> dict[str, Any]:
    """A copy of the weights, and of the averages of batch norm, which training moves."""
    return {k: v.clone() for k, v in model.state_dict().items()}


def measure(model: Any, state: dict[str, Any]) -> tuple[Any, Any]:
    model.load_state_dict(state)
    found = detections(model, polygon_batch(1.5))
    return found, losses(model, polygon_batch(1.5))


def assert_same(first: tuple[Any, Any], second: tuple[Any, Any]) -> None:
    assert_same_instances(first[0], second[0])
    assert_same_losses(first[1], second[1])


@pytest.mark.parametrize("name", MODELS)
def test_back_to_float_is_as_if_nothing_had_been(name: str) -> None:
    model = plain_model(*MODELS[name])
    state = state_of(model)
    before = measure(model, state)
    own = [class_without_mixin(m) for m in model.modules()]
    assert apply(model, **preset("detectron1")) is model and has_inclusive_boxes(model)
    assert list(model.state_dict()) == list(state)
    turned = measure(model, state)
    assert any(not torch.equal(before[1][k], turned[1][k]) for k in before[1])
    apply(model, **preset("aligned"))
    assert not has_inclusive_boxes(model)
    assert_same(measure(model, state), before)
    assert [class_without_mixin(m) for m in model.modules()] == own


@pytest.mark.parametrize("name", ["detectron1", "py_faster_rcnn"])
def test_apply_equals_building_from_a_preset(name: str) -> None:
    built = tiny_model(tiny_config(*LOOSE, config=f"ablation_{name}.yaml"))
    # What a preset sets by Detectron2's own keys, beside the factors.
    same = (
        *("MODEL.RPN.BOUNDARY_THRESH", "0", "MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO", "2"),
        *("MODEL.ROI_MASK_HEAD.POOLER_SAMPLING_RATIO", "2"),
    )
    applied = plain_model(*PLAIN, *POLYGON, *same)
    apply(applied, **preset(name))
    state = state_of(built)
    assert_same(measure(built, state), measure(applied, state))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_order_of_calls_does_not_matter(order: tuple[int, ...]) -> None:
    whole, parts = plain_model(*PLAIN, *POLYGON), plain_model(*PLAIN, *POLYGON)
    apply(whole, **preset("py_faster_rcnn"))
    calls = [
        {"boxes": "inclusive", "box_transform": "py_faster_rcnn"},
        {"paste_mask": "detectron1", "mask_target": "detectron1"},
        {"anchors": "detectron1", "roi_align": "unaligned"},
    ]
    for i in order:
        apply(parts, **calls[i])
    assert [type(m) for m in parts.modules()] == [type(m) for m in whole.modules()]
    state = state_of(whole)
    assert_same(measure(parts, state), measure(whole, state))
    apply(parts, **calls[0])
    assert_same(measure(parts, state), measure(whole, state))


def test_box_transforms_change_under_inclusive_boxes_and_stay_after_them() -> None:
    model = apply(plain_model(*PLAIN), boxes="inclusive", box_transform="detectron1")
    predictor = model.roi_heads.box_predictor
    apply(model, box_transform="py_faster_rcnn")
    assert isinstance(predictor, InclusivePredictor)
    apply(model, boxes="float")
    assert type(predictor).__mro__[1] is DecodeInOriginalPixels
    apply(model, box_transform="detectron1")
    assert type(predictor).__mro__[1] is EncodeInOriginalPixels
    apply(model, boxes="inclusive")
    assert isinstance(predictor, InclusivePredictor)
    apply(model, boxes="float", box_transform="float")
    assert type(predictor) is FastRCNNOutputLayers
    expected = apply(plain_model(*PLAIN), box_transform="float", paste_mask="aligned")
    expected.load_state_dict(model.state_dict())
    assert_same_instances(found_by(model), found_by(expected))


def test_poolers_of_another_class_get_inclusive_boxes_too() -> None:
    class MyPooler(ROIPooler):
        """Somebody's own."""

    mine, plain = plain_model(*PLAIN), plain_model(*PLAIN)
    for first in (True, False):
        if first:
            mine.roi_heads.box_pooler.__class__ = MyPooler
        for model in (mine, plain):
            apply(model, **preset("detectron1"))
        assert type(mine.roi_heads.box_pooler) is MyPooler
        assert_same_instances(found_by(mine), found_by(plain))
        apply(mine, **preset("aligned"))
        mine.roi_heads.box_pooler.__class__ = MyPooler


def test_fast_poolers_choose_inclusive_levels_too() -> None:
    pooler = plain_model(*PLAIN).roi_heads.box_pooler
    generator = torch.Generator().manual_seed(0)
    features = [torch.randn(1, 4, s, s, generator=generator) for s in (64, 32, 16, 8)]
    boxes = torch.tensor([[10.0, 10, 233, 233], [5, 7, 116, 118], [0, 0, 60, 20]])
    plain, of_floats = (pooler(features, [cls(boxes)]) for cls in (InclusiveBoxes, Boxes))
    fast = use_fast_poolers(pooler)(features, [InclusiveBoxes(boxes)])
    torch.testing.assert_close(fast, plain, atol=1e-4, rtol=0)
    changed = (plain - of_floats).abs().amax(dim=(1, 2, 3)) > 0.1
    assert changed.tolist() == [True, True, False]  # 224 and 112 pixels, boundaries of levels


def test_turned_models_are_copied_and_pickled() -> None:
    model = apply(plain_model(*PLAIN), **preset("detectron1"))
    expected = detections(model, polygon_batch(1.5))
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert_same_instances(detections(other, polygon_batch(1.5)), expected)
        apply(other, boxes="float")
    assert_same_instances(detections(model, polygon_batch(1.5)), expected)


def snapshot(model: Any) -> list[Any]:
    return [(type(m), {k: id(v) for k, v in vars(m).items()}) for m in model.modules()]


GIOU = ("MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE", "giou")
PRED_BOXES = ("MODEL.ROI_BOX_HEAD.TRAIN_ON_PRED_BOXES", "True")
RETINA = (*RETINANET, "MODEL.META_ARCHITECTURE", "RetinaNet")
HISTORICAL = {"boxes": "inclusive", "box_transform": "detectron1"}


@pytest.mark.parametrize(
    ("opts", "arguments", "expected"),
    [
        (PLAIN, {"boxes": "inclusive"}, "expected box_transform 'detectron1' or 'py_faster_rcnn'"),
        (PLAIN, {"boxes": "inclusive", "box_transform": "float"}, "FloatBoxTransform"),
        (
            PLAIN,
            {"boxes": "whole"},
            r"boxes: got 'whole', expected one of \['float', 'inclusive'\]",
        ),
        (RETINA, HISTORICAL, "got RetinaNet without any GeneralizedRCNN"),
        ((*PLAIN, *GIOU), HISTORICAL, "FastRCNNOutputLayers with box loss 'giou'"),
        ((*PLAIN, *PRED_BOXES), HISTORICAL, "StandardROIHeads with box loss"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    opts: tuple[str, ...], arguments: dict[str, str], expected: str
) -> None:
    model = plain_model(*opts)
    before = snapshot(model)
    with pytest.raises(ValueError, match=expected):
        apply(model, paste_mask=None, anchors="detectron1", **arguments)
    assert snapshot(model) == before


def test_float_transforms_and_heads_alone_are_refused_for_inclusive_models() -> None:
    model = apply(plain_model(*PLAIN), **preset("detectron1"))
    with pytest.raises(ValueError, match=r"boxes: got 'inclusive' with a FloatBoxTransform"):
        apply(model, box_transform="float")
    with pytest.raises(ValueError, match="without any GeneralizedRCNN"):
        apply(plain_model(*PLAIN).roi_heads, **HISTORICAL)


def test_rotated_anchors_are_refused() -> None:
    from detectron2.modeling.anchor_generator import RotatedAnchorGenerator

    model = plain_model(*PLAIN)
    model.proposal_generator.anchor_generator = RotatedAnchorGenerator(
        sizes=[[16]], aspect_ratios=[[1.0]], strides=[8], angles=[[0]]
    )
    with pytest.raises(ValueError, match="anchors of a RotatedAnchorGenerator"):
        apply(model, **HISTORICAL)


def test_other_models_are_left_alone() -> None:
    other = plain_model(*PLAIN)
    before = snapshot(other)
    apply(plain_model(*PLAIN), **preset("detectron1"))
    assert snapshot(other) == before and not has_inclusive_boxes(other)
    apply(other, boxes="float")
    assert snapshot(other) == before
