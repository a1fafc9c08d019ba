"""Anchors, labels and proposals as Detectron had them, in network pixels."""

from __future__ import annotations

from typing import Any

import hypothesis
import numpy as np
import pytest
import references_detectron1 as reference
import torch
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from hypothesis import strategies as st
from tiny_models import tiny_config, tiny_model
from torch import Tensor

from d2align.geometry import cell_anchors_detectron1, clip_boxes_detectron1
from d2align.modeling import InclusiveBoxes
from d2align.modeling.image_scale import NetworkSize

PRESETS = {"detectron1": 1.0, "py_faster_rcnn": 0.0}  # and what their decode takes off x2, y2
GRIDS = ((6, 8), (3, 4))
STRIDES = (8, 16)
SIZES = (16, 32)
HEIGHT, WIDTH = 45, 61
SCALE = 1.3
SIZE = NetworkSize.from_original((HEIGHT, WIDTH), (35, 47), SCALE, 32)


def rpn(preset: str = "detectron1", training: bool = False, **attributes: Any) -> Any:
    """An RPN of the preset with anchors on two levels."""
    opts = (
        *("MODEL.ANCHOR_GENERATOR.SIZES", str([[s] for s in SIZES])),
        *("MODEL.RPN.IN_FEATURES", "['p3', 'p4']", "MODEL.PROPOSAL_GENERATOR.MIN_SIZE", "6"),
    )
    module = tiny_model(tiny_config(*opts, config=f"ablation_{preset}.yaml")).proposal_generator
    for name, value in attributes.items():
        setattr(module, name, value)
    return module.train(training)


def anchors(module: Any) -> list[Boxes]:
    return module.anchor_generator([torch.zeros(1, 1, *grid) for grid in GRIDS])


def outputs(seed: int, images: int = 2) -> tuple[list[Tensor], list[Tensor]]:
    """Logits without ties and deltas, some so small or large that boxes vanish or are clipped."""
    generator = torch.Generator().manual_seed(seed)
    counts = [h * w * 3 for h, w in GRIDS]
    total = sum(counts)
    logits = torch.stack([torch.randperm(total, generator=generator) for _ in range(images)])
    deltas = torch.randn(images, total, 4, generator=generator) * torch.tensor([1, 1, 1.5, 1.5])
    return list((logits / total * 8 - 4).split(counts, 1)), list(deltas.split(counts, 1))


def test_anchors_are_detectrons_integers() -> None:
    module = rpn()
    for found, (h, w), stride, size in zip(anchors(module), GRIDS, STRIDES, SIZES, strict=True):
        assert type(found) is InclusiveBoxes and torch.equal(found.tensor, found.tensor.round())
        cells = cell_anchors_detectron1(stride, [size], [0.5, 1, 2]).tolist()
        expected = [
            [x1 + stride * j, y1 + stride * i, x2 + stride * j, y2 + stride * i]
            for i in range(h)
            for j in range(w)
            for x1, y1, x2, y2 in cells
        ]
        assert found.tensor.tolist() == expected


def test_float_anchors_lose_their_last_pixel() -> None:
    opts = ("MODEL.ANCHOR_GENERATOR.NAME", "DefaultAnchorGenerator", "D2ALIGN.PRESET", "''")
    more = ("D2ALIGN.BOXES", "inclusive", "D2ALIGN.BOX_TRANSFORM", "detectron1")
    grids = [torch.zeros(1, 1, 2, 2)] * 5
    float_generator = tiny_model(tiny_config()).proposal_generator.anchor_generator
    generator = tiny_model(tiny_config(*opts, *more)).proposal_generator.anchor_generator
    for a, b in zip(generator(grids), float_generator(grids), strict=True):
        assert torch.equal(a.tensor, b.tensor - torch.tensor([0.0, 0, 1, 1]))


@pytest.mark.parametrize("training", [True, False], ids=["train", "test"])
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("seed", [0, 1])
def test_proposals_equal_the_reference(preset: str, training: bool, seed: int) -> None:
    module = rpn(preset, training, pre_nms_topk={True: 60, False: 60})
    module.post_nms_topk = {True: 12, False: 12}
    logits, deltas = outputs(seed)
    found = module.predict_proposals(anchors(module), logits, deltas, [SIZE, SIZE])
    # In testing, the image counts as large as it is padded: to 64 x 64.
    seen = (HEIGHT, WIDTH) if training else (64, 64)
    for image, proposals in enumerate(found):
        levels = [
            (a.tensor.double().tolist(), s[image].tolist(), d[image].double().tolist())
            for a, s, d in zip(anchors(module), logits, deltas, strict=True)
        ]
        expected = reference.proposals(
            levels, seen, SCALE, 60, 12, least=6, last_pixel=PRESETS[preset]
        )
        assert type(proposals.proposal_boxes) is InclusiveBoxes and len(proposals) == 12
        scores, boxes = zip(*expected, strict=True)
        assert proposals.objectness_logits.tolist() == list(scores)
        torch.testing.assert_close(
            proposals.proposal_boxes.tensor, torch.tensor(boxes), atol=2e-4, rtol=0
        )


def propose(boxes: list[list[float]], size: NetworkSize, **attributes: Any) -> list[list[float]]:
    """Proposals of anchors that are decoded to given boxes, best first."""
    module = rpn(training=True, nms_thresh=1.1, min_box_size=0.0)
    for name, value in attributes.items():
        setattr(module, name, value)
    given = [InclusiveBoxes(torch.tensor(boxes))]
    logits = -torch.arange(len(boxes)).float()[None]
    zeros = torch.zeros(1, len(boxes), 4)
    (found,) = module.predict_proposals(given, [logits], [zeros], [size])
    return found.proposal_boxes.tensor.tolist()


def test_proposals_are_clipped_to_the_last_pixel() -> None:
    size = NetworkSize.from_original((5, 5), (5, 5))
    boxes = [[-3.0, -3, 7, 7], [4, 0, 9, 2], [0, 0, 4, 4]]
    assert propose(boxes, size) == [[0, 0, 4, 4], [4, 0, 4, 2], [0, 0, 4, 4]]


def test_the_smallest_proposal_is_counted_in_original_pixels() -> None:
    # At scale 2, a side of 4 network pixels is (4 - 0) / 2 + 1 = 3 original ones.
    size = NetworkSize.from_original((20, 20), (10, 10), 2.0)
    boxes = [[0.0, 0, 4, 4], [0, 0, 3.9, 4], [5, 5, 5, 9], [5, 5, 9, 9]]
    assert propose(boxes, size, min_box_size=3.0) == [boxes[0], boxes[3]]
    # One original pixel is the least there is: 0 wide in indices, but no less.
    boxes = [[0.0, 0, 0, 4], [6, 0, 5.9, 4], [0, 6, 4, 5.9]]
    assert propose(boxes, size) == [boxes[0]]


@hypothesis.given(
    box=st.tuples(*[st.floats(-50, 150, width=32)] * 4),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_a_clipped_box_always_has_its_centre_inside_the_image(
    box: tuple[float, ...], size: tuple[int, int]
) -> None:
    # Detectron's second condition on proposals, which therefore needs no code.
    boxes = clip_boxes_detectron1(torch.tensor([box]), size)[0].tolist()
    large_enough = reference.is_proposal(boxes, (1e9, 1e9), 1.0, 0)
    assert reference.is_proposal(boxes, size, 1.0, 0) == large_enough


def test_in_testing_the_image_is_as_large_as_its_padding() -> None:
    size = NetworkSize.from_original((5, 5), (5, 5), None, 8)
    boxes = [[4.0, 4, 4, 4], [6, 6, 7, 7]]
    assert propose(boxes, size) == [[4, 4, 4, 4], [4, 4, 4, 4]]
    module = rpn(training=False, nms_thresh=1.1, min_box_size=0.0)
    given, logits = [InclusiveBoxes(torch.tensor(boxes))], [torch.tensor([[2.0, 1.0]])]
    (found,) = module.predict_proposals(given, logits, [torch.zeros(1, 2, 4)], [size])
    assert found.proposal_boxes.tensor.tolist() == boxes


def test_diverged_training_is_told_and_testing_drops_what_is_not_finite() -> None:
    for training in (True, False):
        module = rpn(training=training)
        logits, deltas = outputs(0, images=1)
        deltas[0][0, :, 0] = float("nan")
        if training:
            with pytest.raises(FloatingPointError, match="diverged"):
                module.predict_proposals(anchors(module), logits, deltas, [SIZE])
        else:
            (found,) = module.predict_proposals(anchors(module), logits, deltas, [SIZE])
            assert len(found) > 0 and torch.isfinite(found.proposal_boxes.tensor).all()


def ground_truth() -> Instances:
    """Three objects in network pixels, one whose best anchors all cross the border."""
    boxes = [[4.0, 5, 19, 22], [24, 8, 55, 40], [0, 30, 9, 44]]
    return Instances(SIZE, gt_boxes=Boxes(torch.tensor(boxes)))


@pytest.mark.parametrize("straddle", [0, -1, 5])
def test_labels_equal_the_reference(straddle: int) -> None:
    module = rpn(training=True, anchor_boundary_thresh=straddle, _subsample_labels=lambda x: x)
    with EventStorage():
        (labels,), (matched,) = module.label_and_sample_anchors(anchors(module), [ground_truth()])
    every = Boxes.cat(anchors(module)).tensor.tolist()
    gt_boxes = ground_truth().gt_boxes.tensor.tolist()
    margin = 1e9 if straddle < 0 else straddle
    expected, indices = reference.anchor_labels(every, gt_boxes, (HEIGHT, WIDTH), margin)
    assert labels.tolist() == expected and {0, 1, -1} >= set(expected)
    for label, box, index in zip(expected, matched.tolist(), indices, strict=True):
        assert label != 1 or box == gt_boxes[index]


def test_anchors_across_the_border_do_not_compete_for_ground_truth() -> None:
    # 5 x 5 pixels. The ground truth is half outside the first anchor, which crosses the border;
    # Detectron gives it to the second, Detectron2 to none.
    size = NetworkSize.from_original((5, 5), (5, 5))
    given = [Boxes(torch.tensor([[-1.0, 0, 1, 2], [0, 2, 2, 4], [3, 3, 4, 4]]))]
    target = Instances(size, gt_boxes=Boxes(torch.tensor([[0.0, 0, 2, 2]])))
    module = rpn(training=True, _subsample_labels=lambda x: x)
    assert module.anchor_boundary_thresh == 0
    (labels,), _ = module.label_and_sample_anchors(given, [target])
    assert labels.tolist() == [-1, 1, 0]
    module.anchor_boundary_thresh = -1
    (labels,), _ = module.label_and_sample_anchors(given, [target])
    assert labels.tolist() == [1, 0, 0]


def test_an_anchor_that_ends_on_the_last_pixel_is_inside() -> None:
    size = NetworkSize.from_original((5, 5), (5, 5))
    given = [Boxes(torch.tensor([[1.0, 1, 4, 4], [1, 1, 5, 4], [0, 0, 4, 4]]))]
    target = Instances(size, gt_boxes=Boxes(torch.tensor([[0.0, 0, 4, 4]])))
    module = rpn(training=True, _subsample_labels=lambda x: x)
    (labels,), (matched,) = module.label_and_sample_anchors(given, [target])
    assert labels.tolist() == [-1, -1, 1]  # an overlap of 16 / 25 is neither
    assert matched.tolist() == [[0, 0, 4, 4], [0, 0, 0, 0], [0, 0, 4, 4]]


def test_images_without_ground_truth_or_inner_anchors_are_taken() -> None:
    module = rpn(training=True)
    none = Instances(SIZE, gt_boxes=Boxes(torch.zeros(0, 4)))
    (labels,), (matched,) = module.label_and_sample_anchors(anchors(module), [none])
    assert set(labels.tolist()) == {0, -1} and matched.shape == (len(labels), 4)
    tiny = NetworkSize.from_original((4, 4), (4, 4))
    target = Instances(tiny, gt_boxes=Boxes(torch.tensor([[0.0, 0, 3, 3]])))
    (labels,), _ = module.label_and_sample_anchors(anchors(module), [target])
    assert set(labels.tolist()) == {-1}


def test_the_regression_loss_is_zero_at_the_reference_encoding() -> None:
    module = rpn(training=True, _subsample_labels=lambda x: x)
    given = anchors(module)
    labels, matched = module.label_and_sample_anchors(given, [ground_truth()])
    every = Boxes.cat(given).tensor.double().tolist()
    deltas = np.array(
        [
            reference.encode(a, b) if label == 1 else [0.0] * 4
            for a, b, label in zip(every, matched[0].tolist(), labels[0].tolist(), strict=True)
        ]
    )
    counts = [len(a) for a in given]
    predicted = [d[None].float() for d in torch.from_numpy(deltas).split(counts)]
    logits = [torch.zeros(1, n) for n in counts]
    with EventStorage():
        losses = module.losses(given, logits, labels, predicted, matched)
    assert float((labels[0] == 1).sum()) >= 3 and losses["loss_rpn_loc"] < 1e-6
