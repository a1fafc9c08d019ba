"""Historical predictors encode and decode in original pixels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage
from torch import Tensor

from d2align.modeling import (
    Detectron1BoxTransform,
    Detectron1OutputLayers,
    FloatBoxTransform,
    PyFasterRCNNBoxTransform,
    PyFasterRCNNOutputLayers,
)
from d2align.modeling.image_scale import NetworkSize, attach_scales, box_scale

WEIGHTS = (10.0, 10.0, 5.0, 5.0)
CLASSES = 3
NETWORK = (240, 480)
ORIGINALS = [(120, 192), (480, 480), (240, 480)]  # scales (x, y) of 2.5, 2; 1, 0.5; 1, 1


def predictor(cls: type = FastRCNNOutputLayers, transform: Any = None, **kwargs: Any) -> Any:
    torch.manual_seed(0)
    transform = transform or Box2BoxTransform(WEIGHTS)
    return cls(ShapeSpec(channels=8), box2box_transform=transform, num_classes=CLASSES, **kwargs)


def proposals(gt: bool = False) -> list[Instances]:
    """Three images of one network size but different originals, four proposals each."""
    torch.manual_seed(1)
    out = []
    for original in ORIGINALS:
        instances = Instances(NetworkSize.from_original(NETWORK, original))
        corners = torch.rand(4, 2) * 100
        boxes = torch.cat([corners, corners + 30 + torch.rand(4, 2) * 50], dim=1)
        instances.proposal_boxes = Boxes(boxes)
        if gt:
            instances.gt_boxes = Boxes(boxes + torch.rand(4, 4) * 10)
            instances.gt_classes = torch.tensor([0, 1, 2, CLASSES])
        out.append(instances)
    return out


def predictions(deltas: Tensor) -> tuple[Tensor, Tensor]:
    return torch.zeros(len(deltas), CLASSES + 1), deltas


def scales() -> Tensor:
    return torch.tensor([[2.5, 2.0, 2.5, 2.0], [1.0, 0.5, 1.0, 0.5], [1.0, 1.0, 1.0, 1.0]])


def test_py_faster_rcnn_adds_one_original_pixel_to_x2_and_y2() -> None:
    # With zero deltas, a decode returns the proposals; py-faster-rcnn's adds 1, in original pixels.
    props = proposals()
    layers = predictor(PyFasterRCNNOutputLayers, PyFasterRCNNBoxTransform(WEIGHTS))
    decoded = layers.predict_boxes(predictions(torch.zeros(12, CLASSES * 4)), props)
    for boxes, scale, instances in zip(decoded, scales(), props, strict=True):
        found = boxes.view(4, CLASSES, 4) - instances.proposal_boxes.tensor[:, None]
        expected = (torch.tensor([0.0, 0.0, 1.0, 1.0]) * scale).expand_as(found)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("columns", [4, CLASSES * 4])
def test_decode_in_original_pixels_equals_scaling_around_the_geometry(columns: int) -> None:
    props = proposals()
    deltas = torch.randn(12, columns, generator=torch.Generator().manual_seed(2))
    transform = Detectron1BoxTransform(WEIGHTS)
    layers = predictor(Detectron1OutputLayers, transform, cls_agnostic_bbox_reg=columns == 4)
    decoded = layers.predict_boxes(predictions(deltas), props)
    for i, (boxes, scale, instances) in enumerate(zip(decoded, scales(), props, strict=True)):
        original = instances.proposal_boxes.tensor / scale
        expected = transform.apply_deltas(deltas[4 * i : 4 * i + 4], original)
        torch.testing.assert_close(boxes, expected * scale.repeat(columns // 4))


def test_detectron1_encode_and_decode_are_inverse_in_original_pixels() -> None:
    props = proposals(gt=True)
    transform = Detectron1BoxTransform(WEIGHTS)
    layers = predictor(Detectron1OutputLayers, transform, cls_agnostic_bbox_reg=True)
    # The deltas whose regression loss is 0 are the targets; they must decode to the ground truth.
    targets = torch.cat(
        [
            transform.get_deltas(p.proposal_boxes.tensor / s, p.gt_boxes.tensor / s)
            for p, s in zip(props, scales(), strict=True)
        ]
    )
    with EventStorage():
        loss = layers.losses(predictions(targets), props)
    assert loss["loss_box_reg"] < 1e-5
    decoded = layers.predict_boxes(predictions(targets), props)
    for boxes, instances in zip(decoded, props, strict=True):
        torch.testing.assert_close(boxes, instances.gt_boxes.tensor, atol=1e-3, rtol=0)


def test_py_faster_rcnn_encodes_in_network_pixels() -> None:
    props = proposals(gt=True)
    transform = PyFasterRCNNBoxTransform(WEIGHTS)
    layers = predictor(PyFasterRCNNOutputLayers, transform, cls_agnostic_bbox_reg=True)
    targets = torch.cat(
        [transform.get_deltas(p.proposal_boxes.tensor, p.gt_boxes.tensor) for p in props]
    )
    with EventStorage():
        assert layers.losses(predictions(targets), props)["loss_box_reg"] == 0


@pytest.mark.parametrize("cls", [FastRCNNOutputLayers, PyFasterRCNNOutputLayers])
def test_float_losses_equal_plain_detectron2s(cls: type) -> None:
    props = proposals(gt=True)
    torch.manual_seed(5)
    made = torch.randn(12, CLASSES + 1), torch.randn(12, CLASSES * 4)
    with EventStorage():
        ours = predictor(cls, FloatBoxTransform(WEIGHTS)).losses(made, props)
        plain = predictor().losses(made, props)
    assert ours.keys() == plain.keys()
    assert all(torch.equal(ours[k], plain[k]) for k in plain)


def test_float_in_original_pixels_changes_nothing_but_rounding() -> None:
    # Deltas are relative to the box, so that float boxes decode alike at every scale.
    props = proposals(gt=True)
    torch.manual_seed(5)
    made = torch.randn(12, CLASSES + 1), torch.randn(12, CLASSES * 4)
    ours, plain = predictor(Detectron1OutputLayers, FloatBoxTransform(WEIGHTS)), predictor()
    for a, b in zip(ours.predict_boxes(made, props), plain.predict_boxes(made, props), strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=0)
    with EventStorage():
        a, b = ours.losses(made, props), plain.losses(made, props)
    torch.testing.assert_close(a["loss_box_reg"], b["loss_box_reg"], atol=1e-4, rtol=0)


def test_predict_boxes_for_gt_classes_is_the_column_of_predict_boxes() -> None:
    props = proposals(gt=True)
    for instances in props:
        instances.gt_classes = torch.tensor([0, 1, 2, 0])
    deltas = torch.randn(12, CLASSES * 4, generator=torch.Generator().manual_seed(2))
    layers = predictor(PyFasterRCNNOutputLayers, PyFasterRCNNBoxTransform(WEIGHTS))
    every = layers.predict_boxes(predictions(deltas), props)
    chosen = layers.predict_boxes_for_gt_classes(predictions(deltas), props)
    for boxes, all_boxes in zip(chosen, every, strict=True):
        columns = all_boxes.view(4, CLASSES, 4)[torch.arange(4), [0, 1, 2, 0]]
        torch.testing.assert_close(boxes, columns)


@pytest.mark.parametrize("cls", [Detectron1OutputLayers, PyFasterRCNNOutputLayers])
def test_predictors_leave_proposals_alone_and_take_none(cls: type) -> None:
    props = proposals(gt=True)
    before = [p.proposal_boxes.tensor.clone() for p in props]
    layers = predictor(cls, Detectron1BoxTransform(WEIGHTS))
    with EventStorage():
        layers.losses(predictions(torch.zeros(12, CLASSES * 4)), props)
    layers.inference(predictions(torch.zeros(12, CLASSES * 4)), props)
    assert all(torch.equal(a, p.proposal_boxes.tensor) for a, p in zip(before, props, strict=True))
    assert len(layers.predict_boxes(predictions(torch.zeros(0, CLASSES * 4)), [])) == 0
    empty = Instances(NetworkSize.from_original(NETWORK, NETWORK))
    empty.proposal_boxes = Boxes(torch.zeros(0, 4))
    (found,) = layers.predict_boxes(predictions(torch.zeros(0, CLASSES * 4)), [empty])
    assert found.shape == (0, CLASSES * 4)


def test_detections_are_clipped_to_the_network_size() -> None:
    props = proposals()
    layers = predictor(PyFasterRCNNOutputLayers, PyFasterRCNNBoxTransform(WEIGHTS))
    for instances in props:
        instances.proposal_boxes.tensor[:, 2:] = torch.tensor([480.0, 240.0])
    found, _ = layers.inference(predictions(torch.zeros(12, CLASSES * 4)), props)
    for instances in found:
        assert instances.image_size == NETWORK
        assert (instances.pred_boxes.tensor[:, 2:] <= torch.tensor([480.0, 240.0])).all()


def test_predictors_refuse_sizes_without_a_scale() -> None:
    instances = Instances(NETWORK)
    instances.proposal_boxes = Boxes(torch.zeros(1, 4))
    layers = predictor(Detectron1OutputLayers, Detectron1BoxTransform(WEIGHTS))
    with pytest.raises(ValueError, match=r"image_size.*whole model"):
        layers.predict_boxes(predictions(torch.zeros(1, CLASSES * 4)), [instances])


def test_network_size_survives_what_instances_do_to_it() -> None:
    instances = proposals()[0]
    for other in (instances[:2], instances.to("cpu"), Instances.cat([instances, instances])):
        like = torch.zeros(1)
        assert torch.equal(box_scale(other.image_size, like), scales()[0])
    assert instances.image_size == NETWORK and hash(instances.image_size) == hash(NETWORK)


def test_attach_scales_takes_a_missing_original_size_as_not_resized() -> None:
    from detectron2.structures import ImageList

    images = ImageList(torch.zeros(2, 3, 64, 64), [(64, 48), (32, 64)])
    out = attach_scales(images, [{"height": 32, "width": 96}, {}])
    assert out.image_sizes == [(64, 48), (32, 64)]
    like = torch.zeros(1)
    assert box_scale(out.image_sizes[0], like).tolist() == [0.5, 2.0, 0.5, 2.0]
    assert box_scale(out.image_sizes[1], like).tolist() == [1.0, 1.0, 1.0, 1.0]
