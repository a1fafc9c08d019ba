"""Box regression deltas: encode a target box against a source box, and decode it again.

Three conventions stand side by side. ``float`` and ``detectron1`` decode what they encoded;
``py_faster_rcnn`` is the 2015 bug, whose decoded right and bottom edges are one pixel too far.
The ``*_unchecked`` kernels read no values back, so they do not synchronise a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from d2align.geometry._checks import (
    accepts_numpy,
    as_number,
    check_boxes,
    check_boxes_above,
    check_finite,
    check_floating,
    check_same_length,
    check_tensor,
    check_weights,
    describe,
    fail,
)

# A 16-pixel anchor may grow into a 1000-pixel box, and no further.
SCALE_CLAMP = math.log(1000.0 / 16)
_UNIT_WEIGHTS = (1.0, 1.0, 1.0, 1.0)


@accepts_numpy
def get_deltas(
    src_boxes: Tensor, target_boxes: Tensor, weights: Sequence[float] = _UNIT_WEIGHTS
) -> Tensor:
    """Return the deltas (dx, dy, dw, dh) that turn source boxes into target boxes.

    Convention: integer corners; width = x2 - x1. ``apply_deltas`` is the exact inverse.

    Args:
        src_boxes: (N, 4) XYXY, pixels, of positive size: proposals or anchors.
        target_boxes: (N, 4) XYXY, pixels, of positive size: ground truth.
        weights: (wx, wy, ww, wh), positive factors on the deltas.

    Returns:
        (N, 4) deltas.

    Raises:
        ValueError: a box is NaN, inverted or of zero size, or a shape or dtype is wrong.
    """
    weights = check_weights(weights)
    _check_pair(src_boxes, target_boxes, 0.0)
    return get_deltas_unchecked(src_boxes, target_boxes, weights)


@accepts_numpy
def apply_deltas(
    deltas: Tensor,
    boxes: Tensor,
    weights: Sequence[float] = _UNIT_WEIGHTS,
    scale_clamp: float = SCALE_CLAMP,
) -> Tensor:
    """Return the boxes that deltas make of source boxes.

    Convention: integer corners; width = x2 - x1. Inverts ``get_deltas`` inside the clamp.

    Args:
        deltas: (N, 4k), k deltas for each box.
        boxes: (N, 4) XYXY, pixels; a box of zero size stays so.
        weights: (wx, wy, ww, wh) as given to ``get_deltas``.
        scale_clamp: upper limit of dw and dh, a natural logarithm.

    Returns:
        (N, 4k) XYXY, pixels.

    Raises:
        ValueError: a value is NaN, a box inverted, or a shape or dtype is wrong.
    """
    weights = check_weights(weights)
    scale_clamp = _checked_clamp(deltas, boxes, 0.0, scale_clamp)
    return apply_deltas_unchecked(deltas, boxes, weights, scale_clamp)


@accepts_numpy
def get_deltas_detectron1(
    src_boxes: Tensor, target_boxes: Tensor, weights: Sequence[float] = _UNIT_WEIGHTS
) -> Tensor:
    """Return the deltas between inclusive-index boxes, as Detectron encoded them.

    Convention: inclusive indices; width = x2 - x1 + 1.

    Args:
        src_boxes: (N, 4) first and last pixel, XYXY, x2 - x1 > -1.
        target_boxes: (N, 4) first and last pixel, XYXY, x2 - x1 > -1.
        weights: (wx, wy, ww, wh), positive factors on the deltas.

    Returns:
        (N, 4) deltas.

    Raises:
        ValueError: a box is NaN or has no positive width, or a shape or dtype is wrong.

    Differs from: get_deltas by +1 on widths and heights.
    Source: facebookresearch/Detectron, detectron/utils/boxes.py (bbox_transform_inv).
    """
    weights = check_weights(weights)
    _check_pair(src_boxes, target_boxes, -1.0)
    return get_deltas_detectron1_unchecked(src_boxes, target_boxes, weights)


@accepts_numpy
def apply_deltas_detectron1(
    deltas: Tensor,
    boxes: Tensor,
    weights: Sequence[float] = _UNIT_WEIGHTS,
    scale_clamp: float = SCALE_CLAMP,
) -> Tensor:
    """Return the inclusive-index boxes that deltas make, as Detectron decoded them.

    Convention: inclusive indices; x2 = centre + width / 2 - 1. Inverts
    ``get_deltas_detectron1`` inside the clamp.

    Args:
        deltas: (N, 4k), k deltas for each box.
        boxes: (N, 4) first and last pixel, XYXY.
        weights: (wx, wy, ww, wh) as given to the encoder.
        scale_clamp: upper limit of dw and dh, a natural logarithm.

    Returns:
        (N, 4k) first and last pixel, XYXY.

    Raises:
        ValueError: a value is NaN, a box has x2 < x1 - 1, or a shape or dtype is wrong.

    Differs from: apply_deltas by +1 on widths and heights and -1 on x2 and y2.
    Source: facebookresearch/Detectron, detectron/utils/boxes.py (bbox_transform).
    """
    weights = check_weights(weights)
    scale_clamp = _checked_clamp(deltas, boxes, -1.0, scale_clamp)
    return apply_deltas_detectron1_unchecked(deltas, boxes, weights, scale_clamp)


@accepts_numpy
def get_deltas_py_faster_rcnn(
    src_boxes: Tensor, target_boxes: Tensor, weights: Sequence[float] = _UNIT_WEIGHTS
) -> Tensor:
    """Return the deltas between inclusive-index boxes, as py-faster-rcnn encoded them.

    Convention: inclusive indices; width = x2 - x1 + 1. The encoder is Detectron's; the bug
    is in the decoder.

    Args:
        src_boxes: (N, 4) first and last pixel, XYXY, x2 - x1 > -1.
        target_boxes: (N, 4) first and last pixel, XYXY, x2 - x1 > -1.
        weights: (wx, wy, ww, wh), positive factors on the deltas (the original had none).

    Returns:
        (N, 4) deltas.

    Raises:
        ValueError: a box is NaN or has no positive width, or a shape or dtype is wrong.

    Differs from: get_deltas by +1 on widths and heights.
    Source: rbgirshick/py-faster-rcnn, lib/fast_rcnn/bbox_transform.py (bbox_transform).
    """
    return get_deltas_detectron1(src_boxes, target_boxes, weights)


@accepts_numpy
def apply_deltas_py_faster_rcnn(
    deltas: Tensor,
    boxes: Tensor,
    weights: Sequence[float] = _UNIT_WEIGHTS,
    scale_clamp: float = math.inf,
) -> Tensor:
    """Return the boxes that deltas make, with x2 and y2 one pixel too far, as in 2015.

    Convention: inclusive indices in; out, x2 = centre + width / 2 without the -1, so that
    decode(encode(box)) is the box with +1 on x2 and y2.

    Args:
        deltas: (N, 4k), k deltas for each box.
        boxes: (N, 4) first and last pixel, XYXY.
        weights: (wx, wy, ww, wh) as given to the encoder.
        scale_clamp: upper limit of dw and dh; the original had none.

    Returns:
        (N, 4k) XYXY, right and bottom edges off by +1.

    Raises:
        ValueError: a value is NaN, a box has x2 < x1 - 1, or a shape or dtype is wrong.

    Differs from: apply_deltas_detectron1 by +1 on x2 and y2, and by the absent clamp.
    Source: rbgirshick/py-faster-rcnn, lib/fast_rcnn/bbox_transform.py (bbox_transform_inv).
    """
    weights = check_weights(weights)
    scale_clamp = _checked_clamp(deltas, boxes, -1.0, scale_clamp)
    return apply_deltas_py_faster_rcnn_unchecked(deltas, boxes, weights, scale_clamp)


def get_deltas_unchecked(src: Tensor, target: Tensor, weights: Sequence[float]) -> Tensor:
    """``get_deltas`` without its checks."""
    return _encode(src, target, weights, 0.0)


def get_deltas_detectron1_unchecked(
    src: Tensor, target: Tensor, weights: Sequence[float]
) -> Tensor:
    """``get_deltas_detectron1`` without its checks."""
    return _encode(src, target, weights, 1.0)


def apply_deltas_unchecked(
    deltas: Tensor, boxes: Tensor, weights: Sequence[float], scale_clamp: float
) -> Tensor:
    """``apply_deltas`` without its checks."""
    return _decode(deltas, boxes, weights, scale_clamp, 0.0, 0.0)


def apply_deltas_detectron1_unchecked(
    deltas: Tensor, boxes: Tensor, weights: Sequence[float], scale_clamp: float
) -> Tensor:
    """``apply_deltas_detectron1`` without its checks."""
    return _decode(deltas, boxes, weights, scale_clamp, 1.0, 1.0)


def apply_deltas_py_faster_rcnn_unchecked(
    deltas: Tensor, boxes: Tensor, weights: Sequence[float], scale_clamp: float
) -> Tensor:
    """``apply_deltas_py_faster_rcnn`` without its checks."""
    return _decode(deltas, boxes, weights, scale_clamp, 1.0, 0.0)


def _encode(src: Tensor, target: Tensor, weights: Sequence[float], extra: float) -> Tensor:
    src_w, src_h, src_x, src_y = _widths_and_centers(src, extra)
    target_w, target_h, target_x, target_y = _widths_and_centers(target, extra)
    wx, wy, ww, wh = weights
    dx = wx * (target_x - src_x) / src_w
    dy = wy * (target_y - src_y) / src_h
    dw = ww * torch.log(target_w / src_w)
    dh = wh * torch.log(target_h / src_h)
    return torch.stack((dx, dy, dw, dh), dim=1)


def _decode(
    deltas: Tensor,
    boxes: Tensor,
    weights: Sequence[float],
    scale_clamp: float,
    extra: float,
    last_pixel: float,
) -> Tensor:
    w, h, x, y = (v[:, None] for v in _widths_and_centers(boxes, extra))
    wx, wy, ww, wh = weights
    center_x = deltas[:, 0::4] / wx * w + x
    center_y = deltas[:, 1::4] / wy * h + y
    half_w = 0.5 * (torch.exp(torch.clamp(deltas[:, 2::4] / ww, max=scale_clamp)) * w)
    half_h = 0.5 * (torch.exp(torch.clamp(deltas[:, 3::4] / wh, max=scale_clamp)) * h)
    x2, y2 = center_x + half_w, center_y + half_h
    if last_pixel:
        x2, y2 = x2 - last_pixel, y2 - last_pixel
    out = torch.stack((center_x - half_w, center_y - half_h, x2, y2), dim=-1)
    return out.reshape(deltas.shape)


def _widths_and_centers(boxes: Tensor, extra: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    w = boxes[:, 2] - boxes[:, 0]
    h = boxes[:, 3] - boxes[:, 1]
    if extra:
        w, h = w + extra, h + extra
    return w, h, boxes[:, 0] + 0.5 * w, boxes[:, 1] + 0.5 * h


def _check_pair(src_boxes: Tensor, target_boxes: Tensor, limit: float) -> None:
    check_boxes_above("src_boxes", src_boxes, limit)
    check_boxes_above("target_boxes", target_boxes, limit)
    check_same_length("src_boxes", src_boxes, "target_boxes", target_boxes)


def _checked_clamp(deltas: Tensor, boxes: Tensor, least: float, scale_clamp: float) -> float:
    """Check the arguments of a decode; return the clamp, infinite where the dtype ends before."""
    clamp = as_number("scale_clamp", scale_clamp, "a natural logarithm, or infinity for none")
    if math.isnan(clamp):
        raise fail("scale_clamp", scale_clamp, "a natural logarithm, or infinity for none")
    check_tensor("deltas", deltas, 2, "a tensor of shape (N, 4k)")
    if deltas.shape[1] % 4 or deltas.shape[1] == 0:
        raise fail("deltas", describe(deltas), "shape (N, 4k), k at least 1")
    check_floating("deltas", deltas)
    check_finite("deltas", deltas)
    check_boxes("boxes", boxes, least=least)
    check_same_length("deltas", deltas, "boxes", boxes)
    return clamp if abs(clamp) < torch.finfo(deltas.dtype).max else math.copysign(math.inf, clamp)
