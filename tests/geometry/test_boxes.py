"""Sizes, areas, clips, IoU and conversions of float and of inclusive-index boxes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import references
import torch
from hypothesis import given
from hypothesis import strategies as st

from d2align import geometry as g

UNARY = [
    g.box_sizes,
    g.box_sizes_detectron1,
    g.box_areas,
    g.box_areas_detectron1,
    g.float_to_inclusive,
    g.inclusive_to_float,
    g.xywh_to_xyxy,
    g.xywh_to_xyxy_detectron1,
    g.xyxy_to_xywh,
    g.xyxy_to_xywh_detectron1,
]
SIZED = [g.clip_boxes, g.clip_boxes_detectron1]
PAIRS = [g.box_iou, g.box_iou_detectron1]


@st.composite
def pixel_box(draw, size: int = 12) -> list[int]:
    """First and last pixel of a box in a small image."""
    x = sorted([draw(st.integers(0, size - 1)), draw(st.integers(0, size - 1))])
    y = sorted([draw(st.integers(0, size - 1)), draw(st.integers(0, size - 1))])
    return [x[0], y[0], x[1], y[1]]


@given(pixel_box())
def test_box_areas_count_pixels(box) -> None:
    pixels = np.zeros((12, 12), bool)
    pixels[box[1] : box[3] + 1, box[0] : box[2] + 1] = True
    inclusive = torch.tensor([box], dtype=torch.float64)
    assert g.box_areas_detectron1(inclusive).item() == pixels.sum()
    assert g.box_areas(g.inclusive_to_float(inclusive)).item() == pixels.sum()
    assert g.box_sizes_detectron1(inclusive)[0].tolist() == [
        pixels.any(axis=0).sum(),
        pixels.any(axis=1).sum(),
    ]
    assert torch.equal(
        g.box_sizes_detectron1(inclusive), g.box_sizes(g.inclusive_to_float(inclusive))
    )


@given(pixel_box(), pixel_box())
def test_box_iou_counts_pixels(box1, box2) -> None:
    a, b = (torch.tensor([x], dtype=torch.float64) for x in (box1, box2))
    expected = references.iou_by_counting(box1, box2, 12, inclusive=True)
    assert g.box_iou_detectron1(a, b).item() == pytest.approx(expected, abs=1e-12)
    expected = references.iou_by_counting(box1, box2, 12, inclusive=False)
    assert g.box_iou(a, b).item() == pytest.approx(expected, abs=1e-12)
    # The same pixels, named in both ways.
    assert torch.equal(
        g.box_iou(g.inclusive_to_float(a), g.inclusive_to_float(b)), g.box_iou_detectron1(a, b)
    )


def test_box_iou_boxes_that_touch() -> None:
    a, b = torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([[4.0, 0, 8, 4]])
    assert g.box_iou(a, b).item() == 0
    # One column of five in common: 5 / (25 + 25 - 5).
    assert g.box_iou_detectron1(a, b).item() == pytest.approx(1 / 9)


def test_box_iou_of_empty_boxes_is_zero() -> None:
    empty = torch.tensor([[1.0, 1, 1, 1]])
    assert g.box_iou(empty, empty).item() == 0
    assert g.box_iou_detectron1(empty - torch.tensor([0, 0, 1, 1]), empty).item() == 0


@pytest.mark.parametrize("fn", PAIRS)
def test_box_iou_laws(fn) -> None:
    rng = np.random.default_rng(0)
    a, b = references.random_boxes(rng, 30, 40), references.random_boxes(rng, 20, 40)
    iou = fn(a, b)
    assert iou.shape == (30, 20)
    assert ((iou >= 0) & (iou <= 1)).all()
    np.testing.assert_allclose(iou, fn(b, a).T, atol=1e-15)
    np.testing.assert_allclose(np.diag(fn(a, a)), 1, atol=1e-15)
    np.testing.assert_allclose(iou, fn(a + 7.5, b + 7.5), atol=1e-12)


def test_box_iou_equals_torchvision() -> None:
    from torchvision.ops import box_iou

    rng = np.random.default_rng(1)
    a, b = (torch.from_numpy(references.random_boxes(rng, n, 60)) for n in (25, 35))
    torch.testing.assert_close(g.box_iou(a, b), box_iou(a, b), rtol=0, atol=1e-14)


@given(st.lists(st.floats(-50, 100), min_size=8, max_size=8))
def test_clip_boxes_stay_in_the_image_and_twice_is_once(values) -> None:
    boxes = torch.tensor([values], dtype=torch.float64)
    for fn, last in ((g.clip_boxes, 0), (g.clip_boxes_detectron1, 1)):
        clipped = fn(boxes, (20, 30)).reshape(-1, 2)
        assert (clipped >= 0).all()
        assert (clipped[:, 0] <= 30 - last).all()
        assert (clipped[:, 1] <= 20 - last).all()
        assert torch.equal(fn(clipped.reshape(1, 8), (20, 30)), clipped.reshape(1, 8))


def test_clip_boxes_hand_worked() -> None:
    boxes = torch.tensor([[-1.0, -2, 700, 500, 3, 4, 5, 6]])
    assert g.clip_boxes(boxes, (480, 640)).tolist() == [[0, 0, 640, 480, 3, 4, 5, 6]]
    assert g.clip_boxes_detectron1(boxes, (480, 640)).tolist() == [[0, 0, 639, 479, 3, 4, 5, 6]]


def test_float_to_inclusive_round_trip_moves_only_the_far_edges() -> None:
    boxes = torch.tensor([[1.0, 2, 10, 20]])
    assert g.float_to_inclusive(boxes).tolist() == [[1, 2, 9, 19]]
    assert torch.equal(g.inclusive_to_float(g.float_to_inclusive(boxes)), boxes)


@given(pixel_box())
def test_xyxy_to_xywh_round_trip(box) -> None:
    boxes = torch.tensor([box], dtype=torch.float64) + 0.25
    assert torch.equal(g.xywh_to_xyxy(g.xyxy_to_xywh(boxes)), boxes)
    assert torch.equal(g.xywh_to_xyxy_detectron1(g.xyxy_to_xywh_detectron1(boxes)), boxes)


def test_xywh_to_xyxy_detectron1_hand_worked() -> None:
    boxes = torch.tensor([[3.0, 4, 10, 20], [3, 4, 0.5, 0]])
    assert g.xywh_to_xyxy_detectron1(boxes).tolist() == [[3, 4, 12, 23], [3, 4, 3, 4]]
    assert g.xywh_to_xyxy(boxes).tolist() == [[3, 4, 13, 24], [3, 4, 3.5, 4]]


@given(pixel_box(), st.floats(0.1, 5))
def test_scale_boxes_keeps_centres_and_scales_sizes(box, factor) -> None:
    boxes = torch.tensor([box], dtype=torch.float64)
    scaled = g.scale_boxes(boxes, factor)
    torch.testing.assert_close(scaled[:, :2] + scaled[:, 2:], boxes[:, :2] + boxes[:, 2:])
    torch.testing.assert_close(g.box_sizes(scaled), g.box_sizes(boxes) * factor)
    torch.testing.assert_close(g.scale_boxes(scaled, 1 / factor), boxes)


@pytest.mark.parametrize("fn", [*UNARY, *SIZED, *PAIRS, g.scale_boxes])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [0, 3])
def test_boxes_numpy_equals_torch_and_empty(fn, dtype, n) -> None:
    boxes = references.random_boxes(np.random.default_rng(0), n).astype(dtype)
    extra = {g.scale_boxes: 1.5, **dict.fromkeys(SIZED, (100, 200)), **dict.fromkeys(PAIRS, boxes)}
    rest = (extra[fn],) if fn in extra else ()
    out = fn(boxes, *rest)
    assert isinstance(out, np.ndarray)
    assert out.dtype == dtype
    assert len(out) == n
    on_torch = [torch.from_numpy(r) if isinstance(r, np.ndarray) else r for r in rest]
    result = fn(torch.from_numpy(boxes), *on_torch)
    np.testing.assert_array_equal(out, result.numpy())
    references.assert_pure(fn, boxes, *rest)
    references.assert_pure(fn, torch.from_numpy(boxes), *on_torch)


@pytest.mark.parametrize("fn", [*UNARY, *SIZED])
def test_boxes_stay_on_their_device(fn, device) -> None:
    boxes = torch.tensor([[1.0, 2, 30, 40]], device=device)
    out = fn(boxes, (20, 20)) if fn in SIZED else fn(boxes)
    assert out.device == boxes.device


@pytest.mark.parametrize("fn", SIZED)
def test_clip_boxes_kind_is_that_of_the_boxes(fn) -> None:
    boxes = torch.tensor([[1.0, 2, 30, 40]])
    assert isinstance(fn(boxes, np.array([20, 20])), torch.Tensor)


BOX = torch.tensor([[0.0, 0, 4, 4]])
BAD_BOXES = {
    "list": [[0.0, 0, 1, 1]],
    "one-dimensional": torch.zeros(4),
    "three columns": torch.zeros(1, 3),
    "five columns": torch.zeros(1, 5),
    "eight columns": torch.zeros(1, 8),
    "three-dimensional": torch.zeros(1, 1, 4),
}
BAD_VALUES = {
    "integer": torch.zeros(1, 4, dtype=torch.int64),
    "NaN": torch.tensor([[0, 0, math.nan, 1]]),
    "infinite": torch.tensor([[0, 0, math.inf, 1]]),
    "inverted": torch.tensor([[0.0, 3, 4, 1]]),
}


@pytest.mark.parametrize("fn", PAIRS)
@pytest.mark.parametrize("case", [*BAD_BOXES, *BAD_VALUES])
def test_box_iou_refuses_bad_boxes(fn, case) -> None:
    bad = {**BAD_BOXES, **BAD_VALUES}[case]
    with pytest.raises(ValueError, match="boxes1"):
        fn(bad, BOX)
    with pytest.raises(ValueError, match="boxes2"):
        fn(BOX, bad)


@pytest.mark.parametrize("fn", [*UNARY, g.scale_boxes])
@pytest.mark.parametrize("case", BAD_BOXES)
def test_boxes_refuse_bad_shapes(fn, case) -> None:
    with pytest.raises(ValueError, match="boxes"):
        fn(BAD_BOXES[case], *((2.0,) if fn is g.scale_boxes else ()))


@pytest.mark.parametrize("fn", SIZED)
@pytest.mark.parametrize("case", [c for c in BAD_BOXES if c != "eight columns"])
def test_clip_boxes_refuses_bad_shapes(fn, case) -> None:
    with pytest.raises(ValueError, match="boxes"):
        fn(BAD_BOXES[case], (10, 10))


@pytest.mark.parametrize("fn", SIZED)
@pytest.mark.parametrize(
    "size",
    [(0, 5), (5, 0), (-1, 5), (5,), (5, 5, 3), 5, None, (math.nan, 5), (math.inf, 5), (2.5, 5)],
)
def test_clip_boxes_refuses_bad_image_size(fn, size) -> None:
    with pytest.raises(ValueError, match="image_size"):
        fn(BOX, size)


@pytest.mark.parametrize("factor", [0, -1.0, math.nan, math.inf])
def test_scale_boxes_refuses_bad_factor(factor) -> None:
    with pytest.raises(ValueError, match="factor"):
        g.scale_boxes(BOX, factor)
