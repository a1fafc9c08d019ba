"""Fuzzed: box sizes, areas, clips, IoU and conversions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from fuzz_laws import assert_near, assert_same_kind
from fuzz_target import Target
from fuzz_values import (
    FLOATS,
    HALVES,
    NUMBERS,
    boxes,
    dressed,
    dtype_of,
    images,
    numbers,
    reach,
    wide,
)
from hypothesis import strategies as st

from d2align import geometry


def _boxes(dtypes: tuple[torch.dtype, ...] = NUMBERS, tiles: int = 1) -> Any:
    made = st.sampled_from(dtypes).flatmap(boxes)
    return dressed(made.map(lambda b: b.repeat(1, tiles)), arrays=True)


def _is(formula: Callable[..., Any]) -> Callable[..., None]:
    """The result is a formula of columns, in float64, within the rounding of the largest."""

    def law(out: Any, **arguments: Any) -> None:
        b = wide(arguments["boxes"])
        x1, y1, x2, y2 = b.T
        expected = np.stack(formula(x1, y1, x2, y2), axis=1) if len(b) else b[:, :0]
        assert_same_kind(out, arguments["boxes"])
        if len(b):
            assert_near(out, expected, np.abs(b).max(axis=1, keepdims=True) + 1)

    return law


def _areas(extra: float) -> Callable[..., None]:
    def law(out: Any, boxes: Any) -> None:
        b = wide(boxes)
        w, h = b[:, 2] - b[:, 0] + extra, b[:, 3] - b[:, 1] + extra
        rounding = (np.abs(b).max(axis=1, initial=0) + 1) * (np.abs(w) + np.abs(h) + 1)
        assert_near(out, w * h, np.abs(w * h) + rounding, dtype_of=boxes)

    return law


def _clipped(less: int) -> Callable[..., None]:
    def law(out: Any, boxes: Any, image_size: tuple[int, int]) -> None:
        h, w = (side - less for side in image_size)
        limits = np.tile([w, h], wide(boxes).shape[1] // 2)
        assert_same_kind(out, boxes)
        narrow = dtype_of(boxes) in (torch.uint8, torch.int8, torch.int16)
        assert dtype_of(out) == (torch.int64 if narrow else dtype_of(boxes))
        assert_near(out, np.minimum(np.maximum(wide(boxes), 0), limits), max(h, w))

    return law


def _iou(extra: float) -> Callable[..., None]:
    def law(out: Any, boxes1: Any, boxes2: Any) -> None:
        a, b = wide(boxes1), wide(boxes2)
        got = wide(out)
        assert got.shape == (len(a), len(b))
        assert np.isfinite(got).all() and (got >= 0).all() and (got <= 1).all(), got
        low = np.maximum(a[:, None, :2], b[None, :, :2])
        high = np.minimum(a[:, None, 2:], b[None, :, 2:])
        inter = np.maximum(high - low + extra, 0).prod(axis=2)
        areas = [(c[:, 2:] - c[:, :2] + extra).prod(axis=1) for c in (a, b)]
        union = areas[0][:, None] + areas[1][None] - inter
        large = union > 1e-6  # else it underflows in halves
        expected = np.where(large, inter / np.where(large, union, 1), 0)
        # A side is off by the rounding of its + 1, at coordinates as large as these.
        most = max(np.abs(a).max(initial=0), np.abs(b).max(initial=0))
        least = min((c[:, 2:] - c[:, :2] + extra).min(initial=np.inf) for c in (a, b))
        wobble = 1 + (most if extra else 0) / max(least, 1e-6)
        tolerance = 32 * wobble * max(_eps(boxes1), _eps(boxes2))
        assert (np.abs(got - expected)[large] <= tolerance).all(), (got, expected)

    return law


def _eps(value: Any) -> float:
    return torch.finfo(dtype_of(value)).eps


def _iou_arguments() -> Any:
    def pair(dtype: torch.dtype) -> Any:
        far = reach(dtype) if dtype in HALVES else 1e6
        one = dressed(boxes(dtype, far=far))
        same = one.map(lambda b: {"boxes1": b, "boxes2": b})
        return same | st.fixed_dictionaries({"boxes1": one, "boxes2": one})

    return st.sampled_from(FLOATS).flatmap(pair)


def _scaled(out: Any, boxes: Any, factor: float) -> None:
    b = wide(boxes)
    half, centre = (b[:, 2:] - b[:, :2]) * factor / 2, (b[:, 2:] + b[:, :2]) / 2
    expected = np.concatenate([centre - half, centre + half], axis=1)
    scale = (np.abs(b).max(axis=1, initial=0, keepdims=True) + 1) * (factor + 1)
    assert_near(out, expected, scale, dtype_of=boxes)


def _one(function: Any, law: Any, dtypes: Any = NUMBERS) -> Target:
    return Target(function, st.fixed_dictionaries({"boxes": _boxes(dtypes)}), law)


def _clip(function: Any, less: int) -> Target:
    tiled = _boxes(tiles=1) | _boxes(tiles=3)
    sizes = images() | st.just((16384, 16384))
    return Target(
        function, st.fixed_dictionaries({"boxes": tiled, "image_size": sizes}), _clipped(less)
    )


TARGETS = {
    "box_sizes": _one(geometry.box_sizes, _is(lambda a, b, c, d: (c - a, d - b))),
    "box_sizes_detectron1": _one(
        geometry.box_sizes_detectron1, _is(lambda a, b, c, d: (c - a + 1, d - b + 1))
    ),
    "box_areas": _one(geometry.box_areas, _areas(0.0)),
    "box_areas_detectron1": _one(geometry.box_areas_detectron1, _areas(1.0)),
    "clip_boxes": _clip(geometry.clip_boxes, 0),
    "clip_boxes_detectron1": _clip(geometry.clip_boxes_detectron1, 1),
    "box_iou": Target(geometry.box_iou, _iou_arguments(), _iou(0.0)),
    "box_iou_detectron1": Target(geometry.box_iou_detectron1, _iou_arguments(), _iou(1.0)),
    "float_to_inclusive": _one(
        geometry.float_to_inclusive, _is(lambda a, b, c, d: (a, b, c - 1, d - 1))
    ),
    "inclusive_to_float": _one(
        geometry.inclusive_to_float, _is(lambda a, b, c, d: (a, b, c + 1, d + 1))
    ),
    "xywh_to_xyxy": _one(geometry.xywh_to_xyxy, _is(lambda a, b, c, d: (a, b, a + c, b + d))),
    "xywh_to_xyxy_detectron1": _one(
        geometry.xywh_to_xyxy_detectron1,
        _is(lambda a, b, c, d: (a, b, a + np.maximum(c - 1, 0), b + np.maximum(d - 1, 0))),
    ),
    "xyxy_to_xywh": _one(geometry.xyxy_to_xywh, _is(lambda a, b, c, d: (a, b, c - a, d - b))),
    "xyxy_to_xywh_detectron1": _one(
        geometry.xyxy_to_xywh_detectron1, _is(lambda a, b, c, d: (a, b, c - a + 1, d - b + 1))
    ),
    "scale_boxes": Target(
        geometry.scale_boxes,
        st.fixed_dictionaries({"boxes": _boxes(FLOATS), "factor": numbers(0.01, 16.0)}),
        _scaled,
    ),
}
