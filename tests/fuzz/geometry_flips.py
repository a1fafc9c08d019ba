"""Fuzzed: flips of coordinates, boxes, polygons, keypoints, rotated boxes and masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from fuzz_laws import assert_near, assert_same_kind
from fuzz_target import Arguments, Target
from fuzz_values import NUMBERS, coordinates, dressed, numbers, rows, seeded, seeds, wide
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from d2align import geometry

_LENGTHS = st.integers(1, 16384) | numbers(0.5, 16384.0)


def _array(columns: int) -> Any:
    made = st.sampled_from(NUMBERS).flatmap(lambda d: rows(columns, d, coordinates(d)))
    shaped = made | made.map(lambda x: x[None]) | made.map(lambda x: x[0] if len(x) else x)
    return dressed(shaped, arrays=True)


def _with_length(value: str, strategy: Any, length: str) -> Any:
    return st.fixed_dictionaries({value: strategy, length: _LENGTHS})


def _split(arguments: Arguments) -> tuple[Any, float]:
    """What is flipped, and the side of the image."""
    (length,) = (v for name, v in arguments.items() if name in ("width", "height"))
    (value,) = (v for name, v in arguments.items() if name not in ("width", "height"))
    return value, length


def _flips(formula: Callable[[np.ndarray, float], np.ndarray]) -> Callable[..., None]:
    def law(out: Any, **arguments: Any) -> None:
        value, length = _split(arguments)
        assert_same_kind(out, value)
        expected = formula(wide(value).copy(), length)
        assert_near(out, expected, np.abs(wide(value)).max(initial=0) + length)

    return law


def _coords(axis: int) -> Callable[[np.ndarray, float], np.ndarray]:
    def formula(x: np.ndarray, length: float) -> np.ndarray:
        x[..., axis] = length - x[..., axis]
        return x

    return formula


def _boxes(axis: int, less: float = 0.0) -> Callable[[np.ndarray, float], np.ndarray]:
    def formula(x: np.ndarray, length: float) -> np.ndarray:
        near, far = x[..., axis].copy(), x[..., axis + 2].copy()
        x[..., axis], x[..., axis + 2] = length - less - far, length - less - near
        return x

    return formula


def _rotated(axis: int) -> Callable[[np.ndarray, float], np.ndarray]:
    def formula(x: np.ndarray, length: float) -> np.ndarray:
        x[..., axis], x[..., 4] = length - x[..., axis], -x[..., 4]
        return x

    return formula


def _polygons() -> Any:
    array = st.sampled_from(NUMBERS).flatmap(lambda d: rows(2, d, coordinates(d)))
    flat = dressed(array.map(lambda x: x.reshape(-1)), arrays=True)
    as_list = array.map(lambda x: x.reshape(-1).tolist())
    return st.lists(flat | as_list, max_size=3)


def _flips_polygons(axis: int, less: float = 0.0) -> Callable[..., None]:
    def law(out: Any, **arguments: Any) -> None:
        polygons, length = _split(arguments)
        assert isinstance(out, list) and len(out) == len(polygons)
        for flipped, polygon in zip(out, polygons, strict=True):
            assert isinstance(flipped, list) == isinstance(polygon, list)
            expected = wide(polygon).reshape(-1, 2).copy()
            expected[:, axis] = length - less - expected[:, axis]
            if isinstance(flipped, list):
                flipped = np.asarray(flipped)
            scale = np.abs(expected).max(initial=0) + length
            assert_near(flipped, expected.reshape(-1), scale)

    return law


@st.composite
def _keypoints(draw: DrawFn, columns: tuple[int, ...]) -> Arguments:
    value = draw(_array(draw(st.sampled_from(columns))).filter(lambda x: x.ndim > 1))
    order = draw(st.none() | st.permutations(range(value.shape[-2])))
    return {"keypoints": value, "width": draw(_LENGTHS), "flip_indices": order}


def _flips_keypoints(out: Any, keypoints: Any, width: float, flip_indices: Any) -> None:
    expected = _coords(0)(wide(keypoints).copy(), width)
    expected = expected if flip_indices is None else expected[..., flip_indices, :]
    assert_near(out, expected, np.abs(wide(keypoints)).max(initial=0) + width)


def _flips_keypoints_detectron1(out: Any, keypoints: Any, width: float, flip_indices: Any) -> None:
    expected = _coords(0)(wide(keypoints).copy(), width - 1)
    expected[..., 0] = np.where(expected[..., 2] == 0, 0, expected[..., 0])
    expected = expected if flip_indices is None else expected[..., flip_indices, :]
    assert_near(out, expected, np.abs(wide(keypoints)).max(initial=0) + width)


def _masks() -> Any:
    shape = st.lists(st.integers(0, 5), min_size=2, max_size=4)
    dtype = st.sampled_from((torch.bool, *NUMBERS))
    made = st.builds(
        lambda s, d, seed: seeded(s, torch.float64, seed).mul(9).to(d), shape, dtype, seeds()
    )
    return st.fixed_dictionaries({"masks": dressed(made, arrays=True)})


def _flips_masks(axis: int) -> Callable[..., None]:
    def law(out: Any, masks: Any) -> None:
        assert_same_kind(out, masks)
        assert out.dtype == (masks.dtype if isinstance(masks, torch.Tensor) else out.dtype)
        np.testing.assert_array_equal(wide(out), np.flip(wide(masks), axis))

    return law


TARGETS = {
    "flip_coords": Target(
        geometry.flip_coords, _with_length("coords", _array(2), "width"), _flips(_coords(0))
    ),
    "flip_coords_vertical": Target(
        geometry.flip_coords_vertical,
        _with_length("coords", _array(2), "height"),
        _flips(_coords(1)),
    ),
    "flip_boxes": Target(
        geometry.flip_boxes, _with_length("boxes", _array(4), "width"), _flips(_boxes(0))
    ),
    "flip_boxes_vertical": Target(
        geometry.flip_boxes_vertical, _with_length("boxes", _array(4), "height"), _flips(_boxes(1))
    ),
    "flip_boxes_detectron1": Target(
        geometry.flip_boxes_detectron1,
        _with_length("boxes", _array(4), "width"),
        _flips(_boxes(0, 1.0)),
    ),
    "flip_polygons": Target(
        geometry.flip_polygons, _with_length("polygons", _polygons(), "width"), _flips_polygons(0)
    ),
    "flip_polygons_vertical": Target(
        geometry.flip_polygons_vertical,
        _with_length("polygons", _polygons(), "height"),
        _flips_polygons(1),
    ),
    "flip_polygons_detectron1": Target(
        geometry.flip_polygons_detectron1,
        _with_length("polygons", _polygons(), "width"),
        _flips_polygons(0, 1.0),
    ),
    "flip_keypoints": Target(geometry.flip_keypoints, _keypoints((2, 3)), _flips_keypoints),
    "flip_keypoints_detectron1": Target(
        geometry.flip_keypoints_detectron1, _keypoints((3,)), _flips_keypoints_detectron1
    ),
    "flip_rotated_boxes": Target(
        geometry.flip_rotated_boxes, _with_length("boxes", _array(5), "width"), _flips(_rotated(0))
    ),
    "flip_rotated_boxes_vertical": Target(
        geometry.flip_rotated_boxes_vertical,
        _with_length("boxes", _array(5), "height"),
        _flips(_rotated(1)),
    ),
    "flip_masks": Target(geometry.flip_masks, _masks(), _flips_masks(-1)),
    "flip_masks_vertical": Target(geometry.flip_masks_vertical, _masks(), _flips_masks(-2)),
}
