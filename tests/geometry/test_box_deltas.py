"""Encode and decode: inverses of one another, except for the 2015 bug."""

from __future__ import annotations

import math

import numpy as np
import pytest
import references
import torch
from hypothesis import given
from hypothesis import strategies as st

from d2align import geometry as g

ENCODE = {
    "float": g.get_deltas,
    "detectron1": g.get_deltas_detectron1,
    "py_faster_rcnn": g.get_deltas_py_faster_rcnn,
}
DECODE = {
    "float": g.apply_deltas,
    "detectron1": g.apply_deltas_detectron1,
    "py_faster_rcnn": g.apply_deltas_py_faster_rcnn,
}
OFFSET = {
    "float": [0, 0, 0, 0],
    "detectron1": [0, 0, 0, 0],
    "py_faster_rcnn": [0, 0, 1, 1],
}
WEIGHTS = [(1, 1, 1, 1), (10, 10, 5, 5)]
side = st.floats(1, 500)
corner = st.floats(-100, 600)


@pytest.mark.parametrize("kind", ENCODE)
@given(corner, corner, side, side, corner, corner, side, side)
def test_apply_deltas_inverts_get_deltas(kind, x, y, w, h, u, v, p, q) -> None:
    src = torch.tensor([[x, y, x + w, y + h]], dtype=torch.float64)
    target = torch.tensor([[u, v, u + p, v + q]], dtype=torch.float64)
    expected = target + torch.tensor(OFFSET[kind])
    for weights in WEIGHTS:
        deltas = ENCODE[kind](src, target, weights)
        decoded = DECODE[kind](deltas, src, weights, math.inf)
        torch.testing.assert_close(decoded, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", ENCODE)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_apply_deltas_inverts_get_deltas_in_float32(kind, weights) -> None:
    rng = np.random.default_rng(0)
    src, target = (references.random_boxes(rng, 2000, 1333, 20).astype(np.float32) for _ in "ab")
    assert (np.log((target - src[:, [0, 1, 0, 1]])[:, 2:]) < 10).any()
    decoded = DECODE[kind](ENCODE[kind](src, target, weights), src, weights)
    assert decoded.dtype == np.float32
    error = decoded.astype(np.float64) - target - OFFSET[kind]
    assert np.abs(error).max() < 1e-3


@pytest.mark.parametrize("kind", ENCODE)
def test_get_deltas_inverts_apply_deltas(kind) -> None:
    rng = np.random.default_rng(1)
    src = references.random_boxes(rng, 50)
    deltas = rng.normal(0, 0.5, (50, 4))
    boxes = DECODE[kind](deltas, src) - OFFSET[kind]
    np.testing.assert_allclose(ENCODE[kind](src, boxes), deltas, atol=1e-12)


def test_apply_deltas_py_faster_rcnn_is_detectron1_plus_one_on_far_edges() -> None:
    rng = np.random.default_rng(2)
    src, deltas = references.random_boxes(rng, 50), rng.normal(0, 1, (50, 12))
    difference = g.apply_deltas_py_faster_rcnn(deltas, src) - g.apply_deltas_detectron1(deltas, src)
    np.testing.assert_allclose(difference, np.tile([0, 0, 1, 1] * 3, (50, 1)), atol=1e-9)


def test_apply_deltas_py_faster_rcnn_error_grows_with_each_round() -> None:
    box = torch.tensor([[10.0, 20, 50, 90]], dtype=torch.float64)
    again = box
    for _ in range(3):
        deltas = g.get_deltas_py_faster_rcnn(box, again)
        again = g.apply_deltas_py_faster_rcnn(deltas, box)
    assert (again - box)[0].tolist() == pytest.approx([0, 0, 3, 3], abs=1e-9)


@pytest.mark.parametrize(("kind", "plus"), [("float", 0), ("detectron1", 1), ("py_faster_rcnn", 1)])
def test_get_deltas_equals_reference(kind, plus) -> None:
    rng = np.random.default_rng(3)
    src, target = references.random_boxes(rng, 40), references.random_boxes(rng, 40)
    expected = [references.encode(s, t, plus) for s, t in zip(src, target, strict=True)]
    np.testing.assert_allclose(ENCODE[kind](src, target), expected, atol=1e-12)
    scaled = ENCODE[kind](src, target, (10, 20, 5, 6))
    np.testing.assert_allclose(scaled, np.array(expected) * [10, 20, 5, 6], atol=1e-11)


def test_get_deltas_hand_worked() -> None:
    src, target = torch.tensor([[0.0, 0, 10, 20]]), torch.tensor([[5.0, 10, 25, 20]])
    expected = [1.0, 0.25, math.log(2), -math.log(2)]
    assert g.get_deltas(src, target)[0].tolist() == pytest.approx(expected)
    inclusive = g.get_deltas_detectron1(*(g.float_to_inclusive(b) for b in (src, target)))
    assert inclusive[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("kind", ENCODE)
def test_get_deltas_of_a_box_to_itself_are_zero(kind) -> None:
    boxes = references.random_boxes(np.random.default_rng(4), 20)
    assert not ENCODE[kind](boxes, boxes).any()


@pytest.mark.parametrize("kind", ["float", "detectron1"])
def test_apply_deltas_clamps_growth_by_1000_over_16(kind) -> None:
    src = torch.tensor([[0.0, 0, 15, 15]] if kind == "detectron1" else [[0.0, 0, 16, 16]]).double()
    boxes = DECODE[kind](torch.tensor([[0.0, 0, 50, 4]]).double(), src)
    sizes = g.box_sizes_detectron1(boxes) if kind == "detectron1" else g.box_sizes(boxes)
    assert sizes[0, 0].item() == pytest.approx(1000)
    assert sizes[0, 1].item() == pytest.approx(16 * math.exp(4))


def test_apply_deltas_py_faster_rcnn_has_no_clamp() -> None:
    src = torch.tensor([[0.0, 0, 15, 15]]).double()
    boxes = g.apply_deltas_py_faster_rcnn(torch.tensor([[0.0, 0, 9, 0]]).double(), src)
    assert g.box_sizes(boxes)[0, 0].item() == pytest.approx(16 * math.exp(9))


@pytest.mark.parametrize("kind", DECODE)
def test_apply_deltas_of_k_classes_are_those_of_each(kind) -> None:
    rng = np.random.default_rng(5)
    src, deltas = references.random_boxes(rng, 7), rng.normal(0, 1, (7, 12))
    together = DECODE[kind](deltas, src)
    for k in range(0, 12, 4):
        np.testing.assert_array_equal(
            together[:, k : k + 4], DECODE[kind](deltas[:, k : k + 4], src)
        )


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_deltas_equal_detectron2(weights, dtype) -> None:
    from detectron2.modeling.box_regression import Box2BoxTransform

    rng = np.random.default_rng(6)
    src, target = (torch.from_numpy(references.random_boxes(rng, 300)).to(dtype) for _ in "ab")
    theirs = Box2BoxTransform(weights)
    deltas = g.get_deltas(src, target, weights)
    assert torch.equal(deltas, theirs.get_deltas(src, target))
    many = torch.from_numpy(rng.normal(0, 3, (300, 8))).to(dtype)
    # Detectron2 of version 0.5 decodes in float32 whatever it is given.
    expected = theirs.apply_deltas(many, src)
    tolerance = {"rtol": 0, "atol": 0} if dtype == torch.float32 else {"rtol": 1e-5, "atol": 1e-3}
    decoded = g.apply_deltas(many, src, weights)
    torch.testing.assert_close(decoded, expected.to(dtype), **tolerance)


def test_apply_deltas_keeps_a_zero_size_box() -> None:
    boxes = torch.tensor([[3.0, 4, 3, 4]])
    assert g.apply_deltas(torch.ones(1, 4), boxes).tolist() == boxes.tolist()


@pytest.mark.parametrize("kind", ENCODE)
def test_deltas_gradcheck(kind) -> None:
    rng = np.random.default_rng(7)
    src, target = (
        torch.from_numpy(references.random_boxes(rng, 3, 50, 5)).requires_grad_() for _ in "ab"
    )
    deltas = torch.from_numpy(rng.normal(0, 0.5, (3, 8))).requires_grad_()
    assert torch.autograd.gradcheck(ENCODE[kind], (src, target))
    assert torch.autograd.gradcheck(DECODE[kind], (deltas, src))


@pytest.mark.parametrize("kind", ENCODE)
@pytest.mark.parametrize("n", [0, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_deltas_numpy_equals_torch_empty_and_pure(kind, n, dtype) -> None:
    rng = np.random.default_rng(8)
    src, target = (references.random_boxes(rng, n).astype(dtype) for _ in "ab")
    for fn, args in ((ENCODE[kind], (src, target)), (DECODE[kind], (src / 900, target))):
        out = fn(*args)
        assert isinstance(out, np.ndarray)
        assert out.dtype == dtype
        assert out.shape == (n, 4)
        tensors = [torch.from_numpy(a) for a in args]
        np.testing.assert_array_equal(out, fn(*tensors).numpy())
        references.assert_pure(fn, *args)
        references.assert_pure(fn, *tensors)


@pytest.mark.parametrize("kind", ENCODE)
def test_deltas_stay_on_their_device(kind, device) -> None:
    src = torch.tensor([[0.0, 0, 10, 10]], device=device)
    deltas = ENCODE[kind](src, src + 1)
    assert deltas.device == src.device
    assert DECODE[kind](deltas, src).device == src.device


def test_get_deltas_kind_is_that_of_the_boxes() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10]])
    assert isinstance(g.get_deltas(boxes, boxes, np.ones(4)), torch.Tensor)
    boxes.requires_grad_()
    assert isinstance(g.apply_deltas(boxes, boxes, np.ones(4)), torch.Tensor)


GOOD = torch.tensor([[0.0, 0, 4, 4]])
BAD = {
    "list": [[0.0, 0, 1, 1]],
    "one-dimensional": torch.zeros(4),
    "three columns": torch.zeros(1, 3),
    "integer": torch.ones(1, 4, dtype=torch.int64),
    "NaN": torch.tensor([[0, 0, math.nan, 1]]),
    "infinite": torch.tensor([[0, 0, math.inf, 1]]),
}
BAD_BOX = {**BAD, "five columns": torch.zeros(1, 5), "inverted": torch.tensor([[9.0, 9, 1, 1]])}


@pytest.mark.parametrize("kind", ENCODE)
@pytest.mark.parametrize("case", BAD_BOX)
def test_get_deltas_refuses_bad_boxes(kind, case) -> None:
    with pytest.raises(ValueError, match="src_boxes"):
        ENCODE[kind](BAD_BOX[case], GOOD)
    with pytest.raises(ValueError, match="target_boxes"):
        ENCODE[kind](GOOD, BAD_BOX[case])


@pytest.mark.parametrize("kind", ENCODE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("axis", [0, 1])
def test_get_deltas_refuses_zero_size(kind, dtype, axis) -> None:
    good, flat = GOOD.to(dtype), GOOD.to(dtype).clone()
    flat[0, axis + 2] = 0 if kind == "float" else -1  # inclusive: no pixel
    with pytest.raises(ValueError, match="src_boxes"):
        ENCODE[kind](flat, good)
    with pytest.raises(ValueError, match="target_boxes"):
        ENCODE[kind](good, flat)


def test_get_deltas_detectron1_accepts_one_pixel() -> None:
    pixel = torch.tensor([[3.0, 4, 3, 4]])
    assert g.get_deltas_detectron1(pixel, pixel).tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize("kind", DECODE)
@pytest.mark.parametrize("case", BAD)
def test_apply_deltas_refuses_bad_deltas(kind, case) -> None:
    with pytest.raises(ValueError, match="deltas"):
        DECODE[kind](BAD[case], GOOD)


@pytest.mark.parametrize("kind", DECODE)
@pytest.mark.parametrize("case", BAD_BOX)
def test_apply_deltas_refuses_bad_boxes(kind, case) -> None:
    with pytest.raises(ValueError, match="boxes"):
        DECODE[kind](torch.zeros(1, 4), BAD_BOX[case])


@pytest.mark.parametrize("kind", DECODE)
def test_deltas_refuse_different_lengths(kind) -> None:
    with pytest.raises(ValueError, match="src_boxes"):
        ENCODE[kind](GOOD, GOOD.repeat(2, 1))
    with pytest.raises(ValueError, match="deltas"):
        DECODE[kind](GOOD, GOOD.repeat(2, 1))


@pytest.mark.parametrize("kind", DECODE)
@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 1, 1, 0), (1, 1, -1, 1), (1, 1, math.nan, 1)])
def test_deltas_refuse_bad_weights(kind, weights) -> None:
    with pytest.raises(ValueError, match="weights"):
        ENCODE[kind](GOOD, GOOD, weights)
    with pytest.raises(ValueError, match="weights"):
        DECODE[kind](GOOD, GOOD, weights)


@pytest.mark.parametrize("kind", DECODE)
def test_apply_deltas_refuses_nan_clamp(kind) -> None:
    with pytest.raises(ValueError, match="scale_clamp"):
        DECODE[kind](GOOD, GOOD, scale_clamp=math.nan)
