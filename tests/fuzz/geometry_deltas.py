"""Fuzzed: box deltas, encoded and decoded."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from fuzz_laws import assert_same_kind
from fuzz_target import Arguments, Target
from fuzz_values import FLOATS, HALVES, boxes, dressed, eps_of, numbers, rows, wide
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from d2align import geometry

_WEIGHTS = st.sampled_from([(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0), [1, 2, 3, 4]])
_CLAMP = geometry.SCALE_CLAMP


def _far(dtype: torch.dtype) -> float:
    return 200.0 if dtype in HALVES else 1e6


@st.composite
def _pairs(draw: DrawFn) -> Arguments:
    dtype = draw(st.sampled_from(FLOATS))
    src = draw(boxes(dtype, positive=True, far=_far(dtype)))
    target = draw(boxes(dtype, positive=True, far=_far(dtype)))
    count = min(len(src), len(target))
    both = draw(dressed(st.just(torch.cat([src[:count], target[:count]]))))
    return {"src_boxes": both[:count], "target_boxes": both[count:], "weights": draw(_WEIGHTS)}


@st.composite
def _decodings(draw: DrawFn) -> Arguments:
    dtype = draw(st.sampled_from(FLOATS))
    src = draw(boxes(dtype, far=_far(dtype)))
    k = draw(st.integers(1, 3))
    large = st.just(50.0 if dtype in HALVES else 1e3)
    deltas = draw(rows(4 * k, dtype, numbers(-4.0, 4.0) | large, most=len(src)))
    clamp = draw(st.sampled_from([_CLAMP, 0.0, -1.0]))
    return {
        "deltas": draw(dressed(st.just(deltas), arrays=True)),
        "boxes": src[: len(deltas)],
        "weights": draw(_WEIGHTS),
        "scale_clamp": clamp,
    }


def _encodes(extra: float, decode: Any) -> Callable[..., None]:
    def law(out: Any, src_boxes: Any, target_boxes: Any, weights: Any) -> None:
        assert_same_kind(out, src_boxes)
        src, target = wide(src_boxes), wide(target_boxes)
        back = wide(decode(out.detach(), src_boxes.detach(), weights, math.inf))
        back[:, 2:] -= _too_far(decode)
        size = src[:, 2:] - src[:, :2] + extra
        log_ratio = np.abs(np.log((target[:, 2:] - target[:, :2] + extra) / size))
        largest = np.abs(np.concatenate([src, target], axis=1)).max(axis=1, initial=0) + 2
        scale = largest[:, None] * (1 + log_ratio)
        # Deltas of boxes far apart carry the rounding of their own size.
        allowed = 32 * eps_of(out) * np.tile(scale, 2)
        assert (np.abs(back - target) <= allowed).all(), (back, target)

    return law


def _too_far(decode: Any) -> float:
    return 1.0 if decode is geometry.apply_deltas_py_faster_rcnn else 0.0


def _decodes(extra: float, last: float) -> Callable[..., None]:
    def law(out: Any, deltas: Any, boxes: Any, weights: Any, scale_clamp: float) -> None:
        assert_same_kind(out, deltas)
        d, b = wide(deltas).reshape(len(deltas), deltas.shape[1] // 4, 4), wide(boxes)[:, None]
        size = b[..., 2:] - b[..., :2] + extra
        moves = d / np.asarray(weights, np.float64)
        centre = moves[..., :2] * size + b[..., :2] + size / 2
        half = np.exp(np.minimum(moves[..., 2:], scale_clamp)) * size / 2
        expected = np.concatenate([centre - half, centre + half - last], axis=-1)
        scale = np.abs(b).max(axis=-1, keepdims=True, initial=0) + 2
        scale = scale * (1 + np.abs(moves).max(axis=-1, keepdims=True, initial=0))
        grown = np.concatenate([half, half], axis=-1) * (1 + abs(scale_clamp))
        allowed = 32 * eps_of(out) * (scale + grown)
        got = wide(out).reshape(expected.shape)
        assert (np.abs(got - expected) <= allowed).all(), (got, expected)

    return law


TARGETS = {
    "get_deltas": Target(geometry.get_deltas, _pairs(), _encodes(0.0, geometry.apply_deltas)),
    "get_deltas_detectron1": Target(
        geometry.get_deltas_detectron1, _pairs(), _encodes(1.0, geometry.apply_deltas_detectron1)
    ),
    "get_deltas_py_faster_rcnn": Target(
        geometry.get_deltas_py_faster_rcnn,
        _pairs(),
        _encodes(1.0, geometry.apply_deltas_py_faster_rcnn),
    ),
    "apply_deltas": Target(geometry.apply_deltas, _decodings(), _decodes(0.0, 0.0)),
    "apply_deltas_detectron1": Target(
        geometry.apply_deltas_detectron1, _decodings(), _decodes(1.0, 1.0)
    ),
    "apply_deltas_py_faster_rcnn": Target(
        geometry.apply_deltas_py_faster_rcnn, _decodings(), _decodes(1.0, 0.0)
    ),
}
