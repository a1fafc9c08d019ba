"""Turning pixel details of built Detectron2 models."""

from __future__ import annotations

import copy
import itertools
import pickle
from typing import Any

import pytest
import torch
from detectron2.layers import ROIAlign
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.meta_arch import GeneralizedRCNN
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.modeling.roi_heads.mask_head import MaskRCNNConvUpsampleHead
from tiny_models import (
    CASCADE,
    RETINANET,
    assert_same_instances,
    assert_same_losses,
    detections,
    losses,
    tiny_batch,
    tiny_config,
    tiny_model,
)

from d2align.config import FACTORS
from d2align.modeling import Detectron1OutputLayers, apply
from d2align.modeling.fast_rcnn import DecodeInOriginalPixels, EncodeInOriginalPixels

PLAIN = ("MODEL.META_ARCHITECTURE", "GeneralizedRCNN")
MODEL_FACTORS = [name for name in FACTORS if name != "flip"]
ALIGNED = {name: FACTORS[name].values[0] for name in MODEL_FACTORS}
HISTORICAL = [(name, value) for name in MODEL_FACTORS for value in FACTORS[name].values[1:]]
# It takes polygons, and so has tests of its own, in test_mask_head.py.
HISTORICAL.remove(("mask_target", "detectron1"))


def plain_model(*opts: str) -> Any:
    return tiny_model(tiny_config(*PLAIN, *opts))


def snapshot(model: Any) -> dict[str, Any]:
    """Classes and plain attributes of all modules, to see whether anything changed."""
    out = {}
    for name, module in model.named_modules():
        out[name] = (type(module), {k: id(v) for k, v in vars(module).items() if k[0] != "_"})
    return out


def measure(model: Any, state: dict[str, Any]) -> tuple[Any, Any]:
    """Detections and losses on one batch, the latter moving the averages of batch norm."""
    model.load_state_dict(state)
    found = detections(model, tiny_batch(1.5))
    return found, losses(model, tiny_batch(1.5))


def same(first: Any, second: Any) -> bool:
    try:
        assert_same_instances(first, second)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize(("factor", "value"), HISTORICAL)
def test_apply_changes_outputs_and_aligned_restores_them(factor: str, value: str) -> None:
    # Matched loosely, so that proposals other than the ground truth itself are foreground.
    model = plain_model("MODEL.ROI_HEADS.IOU_THRESHOLDS", "[0.2]")
    keys = list(model.state_dict())
    state = {k: v.clone() for k, v in model.state_dict().items()}
    before, losses_before = measure(model, state)
    assert apply(model, **{factor: value}) is model
    assert list(model.state_dict()) == keys
    after, losses_after = measure(model, state)
    changed = {k for k in losses_before if not torch.equal(losses_before[k], losses_after[k])}
    expected = {
        "paste_mask": set(),
        "mask_target": {"loss_mask"},
        "roi_align": {"loss_cls", "loss_box_reg", "loss_mask"},
        "box_transform": {"loss_box_reg", "loss_rpn_loc"},
        "anchors": {"loss_box_reg", "loss_rpn_loc"},
    }
    assert changed >= expected[factor]
    if factor in ("paste_mask", "mask_target", "roi_align"):
        assert changed == expected[factor]
    assert same(before, after) == (factor == "mask_target")
    apply(model, **{factor: ALIGNED[factor]})
    restored, losses_restored = measure(model, state)
    assert_same_instances(restored, before)
    assert_same_losses(losses_restored, losses_before)
    assert list(model.state_dict()) == keys


def test_apply_all_aligned_changes_no_output() -> None:
    model = plain_model()
    before = detections(model, tiny_batch(1.5))
    assert_same_instances(detections(apply(model, **ALIGNED), tiny_batch(1.5)), before)


@pytest.mark.parametrize(("factor", "value"), HISTORICAL)
def test_apply_equals_building_from_a_config(factor: str, value: str) -> None:
    cfg = tiny_config()
    FACTORS[factor].set(cfg, value)
    built, applied = tiny_model(cfg), plain_model()
    applied.load_state_dict(built.state_dict())
    apply(applied, **{factor: value})
    batch = tiny_batch(1.5)
    assert_same_losses(losses(built, batch), losses(applied, batch))
    applied.load_state_dict(built.state_dict())
    assert_same_instances(detections(built, batch), detections(applied, batch))


@pytest.mark.parametrize("values", itertools.permutations(FACTORS["box_transform"].values))
def test_apply_box_transform_depends_only_on_the_last_value(values: tuple[str, ...]) -> None:
    model, fresh = plain_model(), plain_model()
    for value in values:
        apply(model, box_transform=value)
    apply(fresh, box_transform=values[-1])
    batch = tiny_batch(1.5)
    assert_same_losses(losses(model, batch), losses(fresh, batch))
    predictor = model.roi_heads.box_predictor
    assert isinstance(predictor, DecodeInOriginalPixels) == (values[-1] != "float")
    assert isinstance(predictor, EncodeInOriginalPixels) == (values[-1] == "detectron1")
    assert (type(predictor) is FastRCNNOutputLayers) == (values[-1] == "float")


def test_apply_none_changes_nothing() -> None:
    model = plain_model()
    before = snapshot(model)
    assert apply(model) is model and snapshot(model) == before


@pytest.mark.parametrize("factor", MODEL_FACTORS)
def test_apply_refuses_unknown_values_and_changes_nothing(factor: str) -> None:
    model = plain_model()
    before = snapshot(model)
    others = {k: v for k, v in HISTORICAL if k != factor}
    with pytest.raises(ValueError, match="'nonsense', expected one of") as error:
        apply(model, **{**others, factor: "nonsense"})
    assert all(value in str(error.value) for value in FACTORS[factor].values)
    assert snapshot(model) == before


def test_apply_refuses_factors_that_models_have_not() -> None:
    with pytest.raises(TypeError):
        apply(plain_model(), flip="index")


@pytest.mark.parametrize(("factor", "value"), HISTORICAL)
def test_apply_refuses_models_without_the_parts_and_changes_nothing(
    factor: str, value: str
) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    before = snapshot(model)
    with pytest.raises(ValueError, match="Sequential without any"):
        apply(model, **{factor: value})
    assert snapshot(model) == before
    apply(model, **{factor: ALIGNED[factor]})


def test_apply_changes_nothing_where_one_of_several_factors_is_refused() -> None:
    model = plain_model("MODEL.MASK_ON", "False")
    before = snapshot(model)
    with pytest.raises(ValueError, match="without any BaseMaskRCNNHead"):
        apply(model, box_transform="detectron1", anchors="detectron1", mask_target="unaligned")
    assert snapshot(model) == before


def test_apply_refuses_historical_decodes_of_heads_alone() -> None:
    heads = plain_model().roi_heads
    with pytest.raises(ValueError, match="whole GeneralizedRCNN"):
        apply(heads, box_transform="py_faster_rcnn")
    apply(heads, box_transform="float", roi_align="unaligned")


def test_apply_refuses_float_anchors_of_rounded_ones() -> None:
    model = tiny_model(tiny_config(config="ablation_anchors.yaml"))
    with pytest.raises(ValueError, match="sizes were rounded away"):
        apply(model, anchors="float")
    apply(model, anchors="detectron1")


def test_apply_reaches_a_models_part_of_another_module() -> None:
    wrapped = torch.nn.ModuleDict({"detector": plain_model()})
    apply(wrapped, box_transform="detectron1", paste_mask="detectron1", roi_align="unaligned")
    detector = wrapped["detector"]
    assert isinstance(detector.roi_heads.box_predictor, EncodeInOriginalPixels)
    assert len(detections(detector, tiny_batch(1.5))) == 2


def test_apply_keeps_users_own_heads() -> None:
    class MyPredictor(FastRCNNOutputLayers):
        """Somebody's own."""

    class MyMaskHead(MaskRCNNConvUpsampleHead):
        """Somebody's own."""

    class MyRCNN(GeneralizedRCNN):
        """Somebody's own."""

    model = plain_model()
    model.__class__ = MyRCNN
    model.roi_heads.box_predictor.__class__ = MyPredictor
    model.roi_heads.mask_head.__class__ = MyMaskHead
    before = detections(model, tiny_batch(1.5))
    for factor, value in HISTORICAL:
        apply(model, **{factor: value})
    assert isinstance(model, MyRCNN)
    assert isinstance(model.roi_heads.box_predictor, MyPredictor)
    assert isinstance(model.roi_heads.mask_head, MyMaskHead)
    apply(model, **ALIGNED)
    assert type(model.roi_heads.box_predictor) is MyPredictor
    assert type(model.roi_heads.mask_head) is MyMaskHead
    assert_same_instances(detections(model, tiny_batch(1.5)), before)


def test_apply_leaves_detectron2_and_other_models_alone() -> None:
    other = plain_model()
    before = snapshot(other)
    methods = dict(vars(FastRCNNOutputLayers)), dict(vars(GeneralizedRCNN)), dict(vars(ROIAlign))
    apply(plain_model(), **dict(HISTORICAL))
    assert snapshot(other) == before
    after = dict(vars(FastRCNNOutputLayers)), dict(vars(GeneralizedRCNN)), dict(vars(ROIAlign))
    assert after == methods


def test_apply_twice_is_apply_once() -> None:
    model, twice = plain_model(), plain_model()
    historical = dict(HISTORICAL)
    apply(model, **historical)
    apply(apply(twice, **historical), **historical)
    assert_same_instances(detections(model, tiny_batch(1.5)), detections(twice, tiny_batch(1.5)))
    assert [type(m) for m in model.modules()] == [type(m) for m in twice.modules()]


def test_deepcopy_of_an_applied_model_is_the_same_and_separate() -> None:
    model = apply(plain_model(), **dict(HISTORICAL))
    copied = copy.deepcopy(model)
    before = detections(model, tiny_batch(1.5))
    assert_same_instances(before, detections(copied, tiny_batch(1.5)))
    apply(copied, **ALIGNED)
    assert_same_instances(before, detections(model, tiny_batch(1.5)))


def test_an_applied_model_is_pickled_as_detectron2s_are() -> None:
    assert pickle.dumps(plain_model())
    model = apply(plain_model(), **dict(HISTORICAL))
    loaded = pickle.loads(pickle.dumps(model))
    batch = tiny_batch(1.5)
    assert_same_instances(detections(model, batch), detections(loaded, batch))


@pytest.mark.parametrize("value", ["py_faster_rcnn", "float"])
def test_apply_replaces_the_mixin_of_an_explicitly_historical_predictor(value: str) -> None:
    model = plain_model()
    model.roi_heads.box_predictor.__class__ = Detectron1OutputLayers
    predictor = apply(model, box_transform=value).roi_heads.box_predictor
    assert not isinstance(predictor, EncodeInOriginalPixels)


def test_apply_anchors_follows_the_models_dtype() -> None:
    model = apply(plain_model().double(), anchors="detectron1")
    generator = model.proposal_generator.anchor_generator
    assert type(generator) is DefaultAnchorGenerator
    assert all(a.dtype == torch.float64 for a in generator.cell_anchors)
    apply(model, anchors="float")
    fresh = plain_model().double().proposal_generator.anchor_generator
    for a, b in zip(generator.cell_anchors, fresh.cell_anchors, strict=True):
        assert torch.equal(a, b)


def test_apply_anchors_gives_a_centred_generator_its_offset_back() -> None:
    model = plain_model("MODEL.ANCHOR_GENERATOR.OFFSET", "0.5")
    generator = model.proposal_generator.anchor_generator
    apply(model, anchors="detectron1")
    assert generator.offset == 0.0
    apply(model, anchors="float")
    assert generator.offset == 0.5


def test_apply_takes_cascades_and_retinanets() -> None:
    cascade = apply(plain_model(*CASCADE), **dict(HISTORICAL))
    assert all(isinstance(p, EncodeInOriginalPixels) for p in cascade.roi_heads.box_predictor)
    assert len(detections(cascade, tiny_batch(1.5))) == 2
    retinanet = tiny_model(tiny_config(*RETINANET, "MODEL.META_ARCHITECTURE", "RetinaNet"))
    apply(retinanet, box_transform="detectron1", anchors="detectron1")
    assert len(detections(retinanet, tiny_batch(1.5))) == 2
