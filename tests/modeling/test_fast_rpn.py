"""The fast RPN makes Detectron2's proposals, to the last bit and in the same order."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from detectron2.modeling.proposal_generator import RPN
from detectron2.structures import Boxes, Instances
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiny_models import assert_same_instances, losses, tiny_batch, tiny_config, tiny_model
from torch import nn

from d2align.modeling import apply, fast_rpn, use_fast_rpn
from d2align.modeling.fast_rpn import FastRPN
from d2align.registry import build_box_transform

FLOAT = build_box_transform("float", (1.0, 1.0, 1.0, 1.0))


def rpn(cls: type, training: bool, pre: int, post: int, thresh: float = 0.7, **more: Any) -> Any:
    """An RPN that only chooses proposals."""
    arguments = {"in_features": [], "anchor_matcher": None, "batch_size_per_image": 1}
    made = cls(
        **{**arguments, "box2box_transform": FLOAT, **more},
        head=nn.Identity(),
        anchor_generator=nn.Identity(),
        positive_fraction=0.5,
        pre_nms_topk=(pre, pre),
        post_nms_topk=(post, post),
        nms_thresh=thresh,
    )
    return made.train(training)


def inputs(
    levels: tuple[int, ...], images: int, ties: str, seed: int, outside: Any = ()
) -> tuple[Any, ...]:
    """Anchors, logits, deltas and image sizes.

    ``ties``: none, some, or all scores are equal; ``outside``: levels of which no box is left.
    """
    torch.manual_seed(seed)
    anchors, logits, deltas = [], [], []
    for level, number in enumerate(levels):
        corners = torch.rand(number, 2) * 100 - 10 + 1000 * (level in outside)
        sides = torch.rand(number, 2) * 20 * 2**level
        anchors.append(Boxes(torch.cat([corners, corners + sides], dim=1)))
        scores = torch.randn(images, number)
        logits.append({"none": scores, "some": scores.round(), "all": 0 * scores}[ties])
        deltas.append(torch.randn(images, number, 4) * 0.3)
    sizes = [(60 + 7 * i, 90 - 5 * i) for i in range(images)]
    return anchors, logits, deltas, sizes


def assert_same_proposals(data: tuple[Any, ...], *args: Any, **kwargs: Any) -> list[Instances]:
    plain, fast = (rpn(cls, *args, **kwargs) for cls in (RPN, FastRPN))
    expected = plain.predict_proposals(*copy.deepcopy(data))
    assert_same_instances(fast.predict_proposals(*data), expected)
    return expected


@settings(deadline=None, max_examples=120)
@given(
    levels=st.lists(st.sampled_from([1, 17, 100, 300, 700]), min_size=1, max_size=5),
    outside=st.sets(st.integers(0, 4), max_size=2),
    images=st.integers(1, 3),
    ties=st.sampled_from(["none", "some", "all"]),
    training=st.booleans(),
    pre=st.sampled_from([1, 50, 200, 500]),
    post=st.sampled_from([1, 30, 1000]),
    thresh=st.sampled_from([0.0, 0.3, 0.7, 1.0]),
    smallest=st.sampled_from([0.0, 8.0, 1000.0]),
    seed=st.integers(0, 1000),
)
@example([700] * 5, {3}, 2, "some", True, 500, 1000, 0.7, 0.0, 0)  # over 1,000 boxes
@example([300] * 3, set(), 2, "some", True, 500, 1000, 0.7, 0.0, 0)  # fewer
@example([17, 17], {0, 1}, 2, "none", False, 50, 30, 0.7, 0.0, 0)
def test_proposals_are_detectron2s(
    levels: list[int],
    outside: set[int],
    images: int,
    ties: str,
    training: bool,
    pre: int,
    post: int,
    thresh: float,
    smallest: float,
    seed: int,
) -> None:
    data = inputs(tuple(levels), images, ties, seed, outside)
    assert_same_proposals(data, training, pre, post, thresh, min_box_size=smallest)


def test_levels_with_the_same_boxes_do_not_suppress_each_other() -> None:
    anchors, logits, deltas, sizes = inputs((40,), 1, "none", 0)
    data = anchors * 3, logits * 3, deltas * 3, sizes
    found = assert_same_proposals(data, True, 100, 1000)[0]
    single = assert_same_proposals((anchors, logits, deltas, sizes), True, 100, 1000)[0]
    assert len(found) == 3 * len(single) > 3


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("which", ["logits", "deltas"])
def test_what_is_not_finite(value: float, which: str) -> None:
    """In testing it is dropped; in training it is an error, if it is among the best."""
    data = inputs((100, 30), 2, "some", 0)
    broken = data[1] if which == "logits" else data[2]
    broken[0][1, ::3] = value
    found = assert_same_proposals(data, False, 50, 1000)
    assert all(p.proposal_boxes.tensor.isfinite().all() for p in found)
    if (which, value) == ("logits", -float("inf")):
        assert_same_proposals(data, True, 50, 1000)  # never among the best
        return
    for cls in (RPN, FastRPN):
        with pytest.raises(FloatingPointError, match=r"diverged"):
            rpn(cls, True, 50, 1000).predict_proposals(*copy.deepcopy(data))


@pytest.mark.parametrize("name", ["float", "detectron1", "py_faster_rcnn"])
def test_every_box_transform(name: str) -> None:
    transform = build_box_transform(name, (10.0, 10.0, 5.0, 5.0))
    data = inputs((300, 100), 2, "some", 3)
    assert_same_proposals(data, True, 150, 100, box2box_transform=transform)


def test_only_the_best_are_decoded() -> None:
    decoded = []

    class Spy:
        def apply_deltas(self, deltas: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
            decoded.append(len(boxes))
            return FLOAT.apply_deltas(deltas, boxes)

    data = inputs((700, 300, 20), 2, "none", 0)
    rpn(FastRPN, True, 50, 30, box2box_transform=Spy()).predict_proposals(*data)
    assert decoded == [2 * (50 + 50 + 20)]


def test_an_unknown_choice_among_equals_is_left_to_detectron2(monkeypatch: Any) -> None:
    assert fast_rpn.detectron2s_best() is not None
    monkeypatch.setattr(fast_rpn, "detectron2s_best", lambda: None)
    decoded = []
    original = RPN._decode_proposals
    monkeypatch.setattr(RPN, "_decode_proposals", lambda *x: decoded.append(1) or original(*x))
    assert_same_proposals(inputs((300,), 2, "all", 0), True, 50, 30)
    assert len(decoded) == 2  # by both


def test_only_detectron2s_own_class_changes() -> None:
    class MyRPN(RPN):
        pass

    model = nn.ModuleList([rpn(cls, True, 5, 5) for cls in (RPN, MyRPN)])
    assert use_fast_rpn(model) is model
    assert [type(m) for m in model] == [FastRPN, MyRPN]


def test_models_are_fast_by_config() -> None:
    fast = tiny_model(tiny_config("D2ALIGN.FAST_CPU", "True"))
    plain = tiny_model(tiny_config())
    assert type(fast.proposal_generator) is FastRPN and type(plain.proposal_generator) is RPN
    assert list(fast.state_dict()) == list(plain.state_dict())


def test_a_training_step_is_the_same() -> None:
    plain, fast = (tiny_model(tiny_config()) for _ in range(2))
    use_fast_rpn(fast)
    expected, found = losses(plain, tiny_batch()), losses(fast, tiny_batch())
    assert {k: v.item() for k, v in found.items()} == {k: v.item() for k, v in expected.items()}


def test_inclusive_boxes_go_before_and_leave_it_as_it_was() -> None:
    inclusive = ("D2ALIGN.PRESET", "detectron1", "D2ALIGN.FAST_CPU", "True")
    built = tiny_model(tiny_config(*inclusive)).proposal_generator
    assert not isinstance(built, FastRPN)
    model = tiny_model(tiny_config("D2ALIGN.FAST_CPU", "True"))
    apply(model, box_transform="detectron1", boxes="inclusive")
    changed = type(model.proposal_generator)
    assert changed.predict_proposals is type(built).predict_proposals
    apply(model, box_transform="float", boxes="float")
    assert type(model.proposal_generator) is FastRPN


def test_copies_pickles_and_scripts() -> None:
    made = rpn(FastRPN, True, 5, 5)
    assert type(copy.deepcopy(made)) is FastRPN
    assert type(pickle.loads(pickle.dumps(made))) is FastRPN
    assert type(made.__prepare_scriptable__()) is RPN and type(made) is FastRPN
