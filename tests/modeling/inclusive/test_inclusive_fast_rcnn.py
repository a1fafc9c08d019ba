"""Detections as Detectron had them, in original pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import references_detectron1 as reference
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from torch import Tensor

from d2align.modeling import (
    Detectron1BoxTransform,
    InclusiveBoxes,
    PyFasterRCNNBoxTransform,
)
from d2align.modeling.image_scale import NetworkSize
from d2align.modeling.inclusive.boxes import to_float
from d2align.modeling.inclusive.fast_rcnn import InclusivePredictor
from d2align.modeling.mixins import set_mixin

WEIGHTS = (10.0, 10.0, 5.0, 5.0)
CLASSES = 2
TRANSFORMS = {
    "detectron1": (Detectron1BoxTransform, 1.0),
    "py_faster_rcnn": (PyFasterRCNNBoxTransform, 0.0),
}
IMAGES = [(40, 60, 1.37), (80, 50, 0.5), (30, 30, 2.0)]  # original h, w, and im_scale
GOLDEN: dict[str, np.ndarray] = dict(np.load(Path(__file__).parents[2] / "data" / "detectron1.npz"))


def predictor(preset: str = "detectron1", **kwargs: Any) -> Any:
    transform = TRANSFORMS[preset][0](WEIGHTS)
    settings = {"test_score_thresh": 0.05, "test_topk_per_image": 12, **kwargs}
    layers = FastRCNNOutputLayers(
        ShapeSpec(channels=4), box2box_transform=transform, num_classes=CLASSES, **settings
    )
    set_mixin(layers, InclusivePredictor)
    return layers


def size_of(h: int, w: int, im_scale: float) -> NetworkSize:
    return NetworkSize.from_original((round(h * im_scale), round(w * im_scale)), (h, w), im_scale)


def proposals(n: int = 25, seed: int = 0) -> list[Instances]:
    generator = torch.Generator().manual_seed(seed)
    out = []
    for h, w, im_scale in IMAGES:
        corners = torch.rand(n, 2, generator=generator) * torch.tensor([w, h]) * 0.7
        sides = 3 + torch.rand(n, 2, generator=generator) * 20
        boxes = torch.cat([corners, corners + sides], dim=1) * im_scale
        out.append(Instances(size_of(h, w, im_scale), proposal_boxes=InclusiveBoxes(boxes)))
    return out


def predictions(n: int = 25, agnostic: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    scores = torch.randn(n * len(IMAGES), CLASSES + 1, generator=generator) * 2
    columns = 4 if agnostic else 4 * CLASSES
    return scores, torch.randn(len(scores), columns, generator=generator)


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("preset", TRANSFORMS)
def test_detections_equal_the_reference(preset: str, agnostic: bool) -> None:
    scores, deltas = predictions(agnostic=agnostic)
    layers = predictor(preset, cls_agnostic_bbox_reg=agnostic)
    found, rows = layers.inference((scores, deltas), proposals())
    every = deltas.repeat(1, CLASSES) if agnostic else deltas
    parts = zip(
        proposals(), scores.softmax(1).split(25), every.split(25), found, rows, IMAGES, strict=True
    )
    for given, score, delta, instances, row, (h, w, im_scale) in parts:
        rois = given.proposal_boxes.tensor.double().tolist()
        arguments = (rois, score.tolist(), delta.double().tolist(), (h, w), im_scale, WEIGHTS)
        expected = reference.detections(*arguments, most=12, last_pixel=TRANSFORMS[preset][1])
        confidences, classes, boxes = zip(*expected, strict=True)
        assert type(instances.pred_boxes) is InclusiveBoxes and instances.image_size.original == (
            h,
            w,
        )
        torch.testing.assert_close(instances.scores, torch.tensor(confidences))
        assert instances.pred_classes.tolist() == list(classes)
        assert torch.equal(score[row, instances.pred_classes], instances.scores)
        floats = to_float(instances.pred_boxes.tensor, instances.image_size) / im_scale
        results = torch.cat([floats[:, :2], floats[:, 2:] - floats[:, :2]], dim=1)
        torch.testing.assert_close(results, torch.tensor(boxes), atol=5e-4, rtol=0)


@pytest.mark.parametrize("im_scale", [1.0, 0.5, 1.37])
@pytest.mark.parametrize(("preset", "excess"), [("detectron1", 0.0), ("py_faster_rcnn", 1.0)])
def test_decode_returns_what_was_encoded_or_a_pixel_more(
    preset: str, excess: float, im_scale: float
) -> None:
    # The deltas whose regression loss is 0 are the targets: they are encoded in original pixels.
    size = size_of(200, 300, im_scale)
    given = torch.tensor([[10.0, 20, 50, 60], [100, 90, 180, 150], [200, 5, 290, 40]])
    truth = torch.tensor([[12.25, 18, 55, 63.5], [90, 95, 170, 160], [210, 0, 280, 44]])
    targets = [
        reference.encode(a, b, WEIGHTS) for a, b in zip(given.tolist(), truth.tolist(), strict=True)
    ]
    layers = predictor(preset, cls_agnostic_bbox_reg=True)
    instances = Instances(size, proposal_boxes=InclusiveBoxes(given * im_scale))
    instances.gt_boxes = InclusiveBoxes(truth * im_scale)
    instances.gt_classes = torch.tensor([0, 1, 0])
    scores = torch.tensor([[9.0, 0, 0], [0, 9, 0], [8, 0, 0]])
    with EventStorage():
        losses = layers.losses((scores, torch.tensor(targets)), [instances])
    assert losses["loss_box_reg"] < 1e-4
    ((found,), (rows,)) = layers.inference((scores, torch.tensor(targets)), [instances])
    boxes = found.pred_boxes.tensor[rows.argsort()] / im_scale
    expected = truth + torch.tensor([0, 0, excess, excess])
    torch.testing.assert_close(boxes, expected, atol=2e-4, rtol=0)


def detect(boxes: list[list[float]], logits: list[float], **kwargs: Any) -> list[list[float]]:
    """Results x y w h on a 5 x 5 image, of proposals that are detected where they are."""
    size = size_of(5, 5, 2.0)
    given = Instances(size, proposal_boxes=InclusiveBoxes(torch.tensor(boxes) * 2))
    scores = torch.tensor([[v, -20.0, 0.0] for v in logits])
    found, _ = predictor(cls_agnostic_bbox_reg=True, **kwargs).inference(
        (scores, torch.zeros(len(boxes), 4)), [given]
    )
    floats = to_float(found[0].pred_boxes.tensor, size) / 2
    return torch.cat([floats[:, :2], floats[:, 2:] - floats[:, :2]], dim=1).tolist()


def test_boxes_are_clipped_to_the_last_original_pixel() -> None:
    assert detect([[-2.0, 1, 7, 9]], [3.0]) == [[0, 1, 5, 4]]
    # Of a box beyond the image, the last pixel is left: it is a result, one pixel wide.
    assert detect([[6.0, 0, 8, 1]], [3.0]) == [[4, 0, 1, 2]]


def test_suppression_counts_original_pixels_and_the_threshold_itself() -> None:
    # 8 and 4 pixels: exactly 0.5. In network pixels, or without the +1, it would be another number.
    boxes = [[0.0, 0, 3, 1], [0, 0, 3, 0]]
    assert detect(boxes, [3.0, 2.0]) == [[0, 0, 4, 2]]
    assert len(detect(boxes, [3.0, 2.0], test_nms_thresh=0.51)) == 2
    assert len(detect(boxes, [3.0, 2.0], test_nms_thresh=1.1, test_topk_per_image=1)) == 1
    assert len(detect(boxes, [3.0, -9.0], test_nms_thresh=1.1)) == 1


def test_no_proposals_and_values_that_are_not_finite_are_taken() -> None:
    size = size_of(5, 5, 2.0)
    empty = Instances(size, proposal_boxes=InclusiveBoxes(torch.zeros(0, 4)))
    given = (torch.zeros(0, CLASSES + 1), torch.zeros(0, 4 * CLASSES))
    ((found,), (rows,)) = predictor().inference(given, [empty])
    assert len(found) == len(rows) == 0 and found.pred_boxes.tensor.shape == (0, 4)
    assert detect([[0.0, 0, 3, 1], [0, 0, float("nan"), 1]], [3.0, 4.0]) == [[0, 0, 4, 2]]


def test_references_are_the_golden_values() -> None:
    pairs = list(zip(GOLDEN["ref_boxes"].tolist(), GOLDEN["gt_boxes"].tolist(), strict=True))
    encoded = [reference.encode(a, b, WEIGHTS) for a, b in pairs]
    # Recorded in float32: centres of up to 640 have a spacing of 6e-5, and the weight is 10.
    np.testing.assert_allclose(encoded, GOLDEN["d1_encode_rcnn"], rtol=1e-5, atol=4e-4)
    decoded = [
        reference.decode(a, d, WEIGHTS)
        for (a, _), d in zip(pairs, GOLDEN["d1_encode_rcnn"].tolist(), strict=True)
    ]
    np.testing.assert_allclose(decoded, GOLDEN["d1_decode_rcnn"], atol=1e-3)
    clipped = [reference.clip(b, (480, 640)) for b in GOLDEN["d1_decode_rcnn"].tolist()]
    np.testing.assert_array_equal(np.float32(clipped), GOLDEN["d1_decode_clipped"])
    bug = [
        reference.decode(a, d, last_pixel=0)
        for (a, _), d in zip(pairs, GOLDEN["pf_encode"].tolist(), strict=True)
    ]
    np.testing.assert_allclose(bug, GOLDEN["pf_decode"], atol=1e-3)
    areas = [reference.area(a) for a, _ in pairs]
    np.testing.assert_allclose(areas, GOLDEN["d1_area"], rtol=1e-6)


def test_boxes_are_plain_ones_for_other_predictors() -> None:
    layers = predictor()
    set_mixin(layers, None)
    assert type(layers) is FastRCNNOutputLayers
    found, _ = layers.inference(predictions(), proposals())
    assert type(found[0].pred_boxes) is Boxes
