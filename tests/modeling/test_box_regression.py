"""Box transforms with the interface of Detectron2's."""

from __future__ import annotations

import pytest
import torch
from detectron2.modeling.box_regression import Box2BoxTransform
from torch import Tensor

from d2align import geometry
from d2align.modeling import (
    Detectron1BoxTransform,
    FloatBoxTransform,
    PyFasterRCNNBoxTransform,
)
from d2align.registry import BOX_TRANSFORM_REGISTRY, build_box_transform

WEIGHTS = [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0), (30.0, 20.0, 15.0, 10.0)]


def random_boxes(n: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(n, 2, generator=generator) * 800
    return torch.cat([corners, corners + 10 + torch.rand(n, 2, generator=generator) * 490], dim=1)


def random_deltas(n: int, columns: int) -> Tensor:
    return torch.randn(n, columns, generator=torch.Generator().manual_seed(3)) * 4


@pytest.mark.parametrize("weights", WEIGHTS)
def test_float_box_transform_equals_detectron2_bit_for_bit(weights: tuple[float, ...]) -> None:
    ours, theirs = FloatBoxTransform(weights), Box2BoxTransform(weights)
    src, target = random_boxes(200, 0), random_boxes(200, 1)
    assert torch.equal(ours.get_deltas(src, target), theirs.get_deltas(src, target))
    deltas = random_deltas(200, 12)  # some beyond the clamp
    assert torch.equal(ours.apply_deltas(deltas, src), theirs.apply_deltas(deltas, src))
    half = deltas.half()
    assert torch.equal(ours.apply_deltas(half, src), theirs.apply_deltas(half, src))


def test_float_box_transform_has_detectron2s_clamp() -> None:
    theirs = Box2BoxTransform((1.0, 1.0, 1.0, 1.0))
    assert FloatBoxTransform().scale_clamp == theirs.scale_clamp


@pytest.mark.parametrize("name", ["float", "detectron1", "py_faster_rcnn"])
def test_box_transform_decodes_in_float32_and_keeps_shapes(name: str) -> None:
    transform = build_box_transform(name, (10, 10, 5, 5))
    boxes = random_boxes(5, 0)
    decoded = transform.apply_deltas(random_deltas(5, 8).half(), boxes)
    assert decoded.dtype == torch.float32 and decoded.shape == (5, 8)
    empty = transform.apply_deltas(torch.zeros(0, 8), torch.zeros(0, 4))
    assert empty.shape == (0, 8)
    assert transform.get_deltas(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0, 4)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize(
    ("cls", "error"),
    [
        (FloatBoxTransform, [0, 0, 0, 0]),
        (Detectron1BoxTransform, [0, 0, 0, 0]),
        (PyFasterRCNNBoxTransform, [0, 0, 1, 1]),
    ],
)
def test_box_transform_round_trip_has_its_known_error(
    cls: type, error: list[float], weights: tuple[float, ...]
) -> None:
    transform = cls(weights)
    src, target = random_boxes(200, 0), random_boxes(200, 1)
    # Targets within the clamp, and coordinates below 2^11, whose spacing is 1.2e-4.
    found = transform.apply_deltas(transform.get_deltas(src, target), src) - target
    torch.testing.assert_close(
        found, torch.tensor(error).expand_as(found).float(), atol=1e-3, rtol=0
    )


def test_detectron1_box_transform_equals_the_geometry() -> None:
    src, target = random_boxes(50, 0), random_boxes(50, 1)
    weights = WEIGHTS[1]
    transform = Detectron1BoxTransform(weights)
    expected = geometry.get_deltas_detectron1(src, target, weights)
    assert torch.equal(transform.get_deltas(src, target), expected)
    decoded = geometry.apply_deltas_detectron1(expected, src, weights)
    assert torch.equal(transform.apply_deltas(expected, src), decoded)


def test_py_faster_rcnn_box_transform_is_clamped_unlike_the_original() -> None:
    deltas = torch.tensor([[0.0, 0.0, 50.0, 50.0]])
    box = torch.tensor([[0.0, 0.0, 15.0, 15.0]])
    decoded = PyFasterRCNNBoxTransform().apply_deltas(deltas, box)
    torch.testing.assert_close(decoded, torch.tensor([[-492.0, -492.0, 508.0, 508.0]]))


@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 1, 1, 0), (1, 1, 1, -1), (1, 1, 1, 1, 1)])
def test_box_transform_refuses_bad_weights(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="weights"):
        FloatBoxTransform(weights)


def test_build_box_transform_refuses_unknown_names_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"'v2'.*float.*detectron1.*py_faster_rcnn"):
        build_box_transform("v2", (1, 1, 1, 1))
    assert list(BOX_TRANSFORM_REGISTRY) == ["float", "detectron1", "py_faster_rcnn"]


def test_build_box_transform_passes_the_clamp_on() -> None:
    assert build_box_transform("float", (1, 1, 1, 1), 2.5).scale_clamp == 2.5


def test_box_transform_is_differentiable() -> None:
    deltas = random_deltas(4, 4).requires_grad_()
    build_box_transform("detectron1", (1, 1, 1, 1)).apply_deltas(
        deltas, random_boxes(4, 0)
    ).sum().backward()
    assert torch.isfinite(deltas.grad).all() and (deltas.grad != 0).any()
