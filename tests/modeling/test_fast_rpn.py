"""The fast RPN proposes what Detectron2's proposes, to the last bit."""

from __future__ import annotations

import copy

import pytest
import torch
from detectron2.layers import batched_nms
from detectron2.modeling.proposal_generator import RPN
from tiny_models import assert_same_losses, losses, tiny_batch, tiny_config, tiny_model

from d2align.modeling import fast_rpn
from d2align.modeling.fast_rpn import FastRPN


def rpns(**attributes):
    """Detectron2's RPN and the fast one, with the same weights."""
    plain = tiny_model(tiny_config()).proposal_generator
    fast = copy.deepcopy(plain)
    fast.__class__ = FastRPN
    for rpn in (plain, fast):
        vars(rpn).update(attributes)
    return plain, fast


def predictions(rpn, seed=0, size=64, images=3):
    """Anchors of a square image, and random logits and deltas for them."""
    torch.manual_seed(seed)
    features = [torch.zeros(images, 1, size // s, size // s) for s in (4, 8, 16, 32, 64)]
    anchors = rpn.anchor_generator(features)
    logits = [torch.randn(images, len(a)) for a in anchors]
    deltas = [torch.randn(images, len(a), 4) * 0.5 for a in anchors]
    return anchors, logits, deltas, [(size, size), (size - 9, size - 5), (size // 2, size)][:images]


def assert_same_proposals(plain, fast, inputs):
    expected, found = plain.predict_proposals(*inputs), fast.predict_proposals(*inputs)
    assert len(expected) == len(found)
    for a, b in zip(expected, found, strict=True):
        assert a.image_size == b.image_size
        assert torch.equal(a.proposal_boxes.tensor, b.proposal_boxes.tensor)
        assert torch.equal(a.objectness_logits, b.objectness_logits)
    return found


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("limits", [(50, 20), (200, 100), (2000, 1000), (3000, 5)])
@pytest.mark.parametrize("threshold", [0.0, 0.7, 1.0])
def test_proposals_equal_detectron2s(training, limits, threshold) -> None:
    plain, fast = rpns(
        pre_nms_topk={training: limits[0]},
        post_nms_topk={training: limits[1]},
        nms_thresh=threshold,
        training=training,
    )
    for seed in range(4):
        found = assert_same_proposals(plain, fast, predictions(plain, seed))
        assert all(0 < len(p) <= limits[1] for p in found)


def test_order_among_equal_scores() -> None:
    plain, fast = rpns()
    anchors, logits, deltas, sizes = predictions(plain)
    for equal in ([x.round() for x in logits], [torch.zeros_like(x) for x in logits]):
        assert_same_proposals(plain, fast, (anchors, equal, deltas, sizes))


def test_boxes_that_are_not_finite() -> None:
    plain, fast = rpns(training=False)
    anchors, logits, deltas, sizes = predictions(plain)
    logits[0][0, 3], deltas[1][1, 2, 0] = torch.inf, torch.nan
    assert_same_proposals(plain, fast, (anchors, logits, deltas, sizes))
    fast.training = True
    with pytest.raises(FloatingPointError, match="not finite"):
        fast.predict_proposals(anchors, logits, deltas, sizes)


def test_no_box_is_left() -> None:
    plain, fast = rpns(min_box_size=1000)
    found = assert_same_proposals(plain, fast, predictions(plain))
    assert [len(p) for p in found] == [0, 0, 0]


def test_few_boxes_are_rounded_as_torchvision_rounds(monkeypatch) -> None:
    """Moved apart, boxes far from the origin lose digits, and some overlaps change."""
    torch.manual_seed(0)
    boxes = torch.rand(400, 4) * 7
    boxes[:, 2:] += boxes[:, :2] + 1
    halves = boxes.clone()  # they overlap with theirs by the threshold, but for rounding
    halves[:, 2] = (boxes[:, 0] + boxes[:, 2]) / 2
    both = torch.stack([boxes, halves], dim=1).flatten(0, 1)
    scores = torch.arange(800, 0, -1).float()
    levels = torch.full((800,), 4)
    args = (both, scores, [0, 0, 0, 0, 800], 0.5)
    expected = batched_nms(both, scores, levels, 0.5)
    assert torch.equal(fast_rpn._nms_of_levels(*args), expected)
    monkeypatch.setattr(fast_rpn, "_BOXES_MOVED_APART", 0)
    assert not torch.equal(fast_rpn._nms_of_levels(*args), expected)


def test_training_step_equals_detectron2s() -> None:
    plain = tiny_model(tiny_config())
    fast = tiny_model(tiny_config())
    assert type(fast.proposal_generator) is RPN
    fast.proposal_generator.__class__ = FastRPN
    assert_same_losses(losses(fast, tiny_batch()), losses(plain, tiny_batch()))
