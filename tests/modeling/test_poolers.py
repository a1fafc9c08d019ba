"""The fast poolers give what Detectron2's give, in every model, and export as those do."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from detectron2.layers import ROIAlign
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes
from tiny_models import CASCADE, detections, losses, tiny_batch, tiny_config, tiny_model

from d2align.modeling import apply, use_fast_poolers
from d2align.modeling import poolers as module
from d2align.modeling.poolers import FastROIAlign, FastROIPooler

SCALES = [1 / 4, 1 / 8, 1 / 16, 1 / 32]
PLAIN = ("D2ALIGN.FAST_CPU", "False", "MODEL.META_ARCHITECTURE", "GeneralizedRCNN")
FAST = ("D2ALIGN.FAST_CPU", "True")


def inputs(layout=torch.contiguous_format, seed=0):
    """Features of 2 images of 256 x 320 pixels, and 60 and 40 boxes."""
    torch.manual_seed(seed)
    features = [
        torch.rand(2, 32, int(256 * s), int(320 * s)).contiguous(memory_format=layout)
        for s in SCALES
    ]
    boxes = []
    for number in (60, 40):
        sizes = torch.rand(number, 2) ** 2 * torch.tensor([320.0, 256])
        corners = torch.rand(number, 2) * (torch.tensor([320.0, 256]) - sizes)
        boxes.append(Boxes(torch.cat([corners, corners + sizes], dim=1)))
    return features, boxes


def pool(pooler, features, boxes):
    """The output, and the gradients of the features for a random one of the output."""
    features = [f.clone(memory_format=torch.preserve_format).requires_grad_() for f in features]
    out = pooler(features, boxes)
    torch.manual_seed(1)
    out.backward(torch.rand(out.shape))
    return out.detach(), [f.grad for f in features]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kind", ["ROIAlign", "ROIAlignV2"])
@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("levels", [1, 4])
def test_pooler_equals_detectron2s(layout, kind, ratio, levels) -> None:
    features, boxes = inputs(layout)
    args = (7, SCALES[:levels], ratio, kind)
    out, gradients = pool(FastROIPooler(*args), features[:levels], boxes)
    expected, expected_gradients = pool(ROIPooler(*args), features[:levels], boxes)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["ROIAlign", "ROIAlignV2"])
def test_boxes_turned_inside_out_are_pooled_as_by_detectron2s(kind) -> None:
    features, boxes = inputs()
    boxes[0].tensor[3, 2] = boxes[0].tensor[3, 0] - 5  # no level: the root of a negative area
    boxes[1].tensor[7, 2:] = boxes[1].tensor[7, :2] - 5
    args = (7, SCALES, 2, kind)
    out, _ = pool(FastROIPooler(*args), features, boxes)
    expected, _ = pool(ROIPooler(*args), features, boxes)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)
    assert not out[3].any()


def test_levels_are_pooled_at_once(monkeypatch) -> None:
    calls = []
    original = module.roi_align_pyramid_cpu

    def spy(*args):
        calls.append(original(*args))
        return calls[-1]

    monkeypatch.setattr(module, "roi_align_pyramid_cpu", spy)
    features, boxes = inputs()
    pooler = FastROIPooler(7, SCALES, 0, "ROIAlignV2")
    pool(pooler, features, boxes)
    assert len(calls) == 1 and calls[0] is not None
    # With little to do the levels are left to torchvision's kernel, one by one.
    few = [b[:1] for b in boxes]
    out = pooler([f[:, :8] for f in features], few)
    assert calls[1] is None
    expected = ROIPooler(7, SCALES, 0, "ROIAlignV2")([f[:, :8] for f in features], few)
    assert torch.equal(out, expected)


@pytest.mark.parametrize("numbers", [(0, 0), (0, 3), (3, 0)])
def test_images_without_boxes(numbers) -> None:
    features, boxes = inputs()
    boxes = [b[:n] for b, n in zip(boxes, numbers, strict=True)]
    pooler = FastROIPooler(7, SCALES, 0, "ROIAlignV2")
    expected = ROIPooler(7, SCALES, 0, "ROIAlignV2")(features, boxes)
    torch.testing.assert_close(pooler(features, boxes), expected, rtol=0, atol=1e-5)


def test_wrong_arguments_are_refused_by_detectron2() -> None:
    features, boxes = inputs()
    pooler = FastROIPooler(7, SCALES, 0, "ROIAlignV2")
    for wrong in ((features[:2], boxes), (features, boxes[:1])):
        with pytest.raises(AssertionError, match="unequal value"):
            pooler(*wrong)


@pytest.mark.parametrize("kind", ["ROIPool", "ROIAlignRotated"])
def test_other_kinds_are_left_alone(kind) -> None:
    plain = ROIPooler(7, SCALES, 0, kind)
    classes = [type(p) for p in plain.level_poolers]
    use_fast_poolers(plain)
    assert [type(p) for p in plain.level_poolers] == classes


def test_other_classes_are_left_alone() -> None:
    class MyROIAlign(ROIAlign):
        pass

    model = torch.nn.ModuleList([MyROIAlign((7, 7), 1.0, 0), ROIAlign((7, 7), 1.0, 0)])
    use_fast_poolers(model)
    assert [type(m) for m in model] == [MyROIAlign, FastROIAlign]
    pooler = FastROIPooler(7, SCALES, 0, "ROIAlignV2")
    pooler.level_poolers[0] = MyROIAlign((7, 7), SCALES[0], 0)
    features, boxes = inputs()
    expected = ROIPooler(7, SCALES, 0, "ROIAlignV2")(features, boxes)
    torch.testing.assert_close(pooler(features, boxes), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("opts", [(), CASCADE])
@pytest.mark.parametrize("built", [True, False])
def test_models_train_and_detect_the_same(opts, built) -> None:
    """Chosen by the config, or put into a model that is built: one step and one detection."""
    plain = tiny_model(tiny_config(*opts, *PLAIN))
    fast = tiny_model(tiny_config(*opts, *(FAST if built else PLAIN)))
    state = list(fast.state_dict())
    if not built:
        assert use_fast_poolers(fast) is fast
    assert {type(m) for m in fast.modules() if isinstance(m, ROIPooler)} == {FastROIPooler}
    assert state == list(plain.state_dict())
    expected, found = losses(plain, tiny_batch()), losses(fast, tiny_batch())
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-5, msg=name)
    for a, b in zip(*(detections(m, tiny_batch()) for m in (fast, plain)), strict=True):
        assert torch.equal(a.pred_classes, b.pred_classes) and len(a) > 0
        torch.testing.assert_close(a.pred_boxes.tensor, b.pred_boxes.tensor, rtol=0, atol=1e-3)
        torch.testing.assert_close(a.scores, b.scores, rtol=0, atol=1e-5)


def test_layout_is_that_of_the_config() -> None:
    def layout(*opts):
        model = tiny_model(tiny_config(*opts))
        tensor = model.preprocess_image(tiny_batch()).tensor
        return tensor.is_contiguous(memory_format=torch.channels_last)

    assert layout(*FAST) and not layout("D2ALIGN.FAST_CPU", "False")


def test_factors_act_on_fast_poolers() -> None:
    features, boxes = inputs()
    pooler = FastROIPooler(7, SCALES, 0, "ROIAlignV2")
    expected = ROIPooler(7, SCALES, 0, "ROIAlign")(features, boxes)
    model = tiny_model(tiny_config(*FAST))
    model.pooler = pooler
    apply(model, roi_align="unaligned")
    torch.testing.assert_close(pooler(features, boxes), expected, rtol=0, atol=1e-5)


def test_copies_and_pickles() -> None:
    features, boxes = inputs()
    pooler = use_fast_poolers(ROIPooler(7, SCALES, 0, "ROIAlignV2"))
    expected = pooler(features, boxes)
    for other in (copy.deepcopy(pooler), pickle.loads(pickle.dumps(pooler))):
        assert type(other) is FastROIPooler
        assert torch.equal(other(features, boxes), expected)


def test_exported_as_detectron2s() -> None:
    features, boxes = inputs()
    align = use_fast_poolers(ROIAlign((7, 7), SCALES[0], 0))
    rois = torch.cat([torch.zeros(60, 1), boxes[0].tensor], dim=1)
    expected = ROIAlign((7, 7), SCALES[0], 0)(features[0], rois)
    traced = torch.jit.trace(align, (features[0], rois), check_trace=False)
    scripted = torch.jit.script(align)
    assert scripted.original_name == "ROIAlign" and type(align) is FastROIAlign
    assert torch.jit.script(FastROIPooler(7, SCALES, 0, "ROIAlignV2")).original_name == "ROIPooler"
    for exported in (traced, scripted):
        assert "torchvision::roi_align" in str(exported.inlined_graph)
        assert torch.equal(exported(features[0], rois), expected)
    assert align(features[0], rois).is_contiguous(memory_format=torch.channels_last)
