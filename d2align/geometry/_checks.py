"""Input checks at the public edge; the training step calls the unchecked kernels instead."""

from __future__ import annotations

import functools
import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_INTEGERS = (torch.int32, torch.int64)
# Older releases of torch lack some.
_NARROW = tuple(
    getattr(torch, name)
    for name in ("uint8", "int8", "int16", "uint16", "uint32")
    if hasattr(torch, name)
)
_LARGEST_SIDE = 2**31 - 1
# What conversions to a number or an array raise.
_CONVERSION = (TypeError, ValueError, OverflowError, RuntimeError)


def accepts_numpy(fn: Callable[P, R]) -> Callable[P, R]:
    """Let a tensor function take NumPy arrays too; it answers in the kind of its first argument."""
    names = fn.__code__.co_varnames

    @functools.wraps(fn)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        first = args[0] if args else kwargs.get(names[0])
        if not isinstance(first, Tensor | np.ndarray):
            raise fail(names[0], describe(first), "a tensor or a NumPy array")
        as_tensor = [_from_numpy(k, a) for k, a in zip(names, args, strict=False)]
        as_tensor += args[len(as_tensor) :]
        as_tensor_kw = {k: _from_numpy(k, a) for k, a in kwargs.items()}
        out = fn(*as_tensor, **as_tensor_kw)
        return out if isinstance(first, Tensor) else _to_numpy(out)

    return wrapper


def _from_numpy(name: str, value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.kind not in "biufc" or value.dtype.type in (np.longdouble, np.clongdouble):
        raise fail(name, describe(value), "numbers of a dtype that torch has")
    # A copy: torch refuses negative strides and other byte orders, and warns on read-only memory.
    return torch.from_numpy(np.array(value, dtype=value.dtype.newbyteorder("=")))


def _to_numpy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().numpy()
    if isinstance(value, list):
        return [_to_numpy(v) for v in value]
    return value


def fail(name: str, got: object, expected: str) -> ValueError:
    """Return the ValueError that names an argument, what was got and what was expected."""
    return ValueError(f"{name}: got {got}, expected {expected}")


def describe(value: object) -> str:
    """Return a short description of a value for an error message."""
    if isinstance(value, Tensor | np.ndarray):
        sparse = isinstance(value, Tensor) and value.layout != torch.strided
        kind = f"{'sparse ' if sparse else ''}{type(value).__name__}"
        return f"{kind} of shape {tuple(value.shape)} and dtype {value.dtype}"
    return f"{type(value).__name__} {value!r}"[:200]


def check_tensor(name: str, value: object, ndim: int, expected: str) -> None:
    """Refuse anything but a dense tensor with that many dimensions."""
    if not is_dense(value) or value.dim() != ndim:  # type: ignore[attr-defined]
        raise fail(name, describe(value), expected)


def is_dense(value: object) -> bool:
    """Return whether a value is a tensor whose elements all lie in memory."""
    return isinstance(value, Tensor) and value.layout == torch.strided


def as_numbers(name: str, value: Tensor) -> Tensor:
    """Return a tensor as it is, but integers below 32 bits as int64: their sums would wrap around.

    Refuses what is not dense or holds no real numbers (bool, complex, floats of 8 bits).
    """
    if not is_dense(value) or value.dtype not in (*_FLOATS, *_INTEGERS, *_NARROW):
        raise fail(name, describe(value), "a dense tensor of floats or integers")
    return value.to(torch.int64) if value.dtype in _NARROW else value


def as_number(name: str, value: Any, expected: str) -> float:
    """Return a number as a float, refusing texts, containers and whole numbers beyond floats."""
    if isinstance(value, numbers.Real | Tensor | np.ndarray):
        try:
            return float(value)
        except _CONVERSION:
            pass
    raise fail(name, describe(value), expected)


def as_array(name: str, value: Any, dtype: Any, expected: str) -> Any:
    """Return a NumPy array of real numbers, refusing texts and what cannot be made one."""
    try:
        array = np.asarray(value)
        if array.dtype.kind in "biufO":
            with np.errstate(over="ignore"):  # infinity is for the caller to refuse
                return array.astype(dtype)
    except _CONVERSION:
        pass
    raise fail(name, describe(value), expected)


def as_list(name: str, values: Any, expected: str) -> list[Any]:
    """Return a list of what can be iterated over."""
    try:
        return list(values)
    except TypeError:
        raise fail(name, describe(values), expected) from None


def check_floating(name: str, value: Tensor) -> None:
    """Refuse integer and boolean tensors, whose halves would be lost."""
    if value.dtype not in _FLOATS:
        raise fail(name, f"dtype {value.dtype}", "a floating dtype (call .float() on it first)")


def check_finite(name: str, value: Tensor) -> None:
    """Refuse NaN and infinity, naming the first row that has one, and numbers of 8-bit floats."""
    if value.dtype not in (*_FLOATS, *_INTEGERS, *_NARROW, torch.bool):
        raise fail(name, f"dtype {value.dtype}", "a dtype of at least 16 bits to compute with")
    if math.isfinite(value.detach().sum()):  # no sum hides one, and it costs a tenth
        return
    bad = ~torch.isfinite(value)
    if bad.any():
        row = int(bad.nonzero()[0, 0])
        raise fail(name, f"a non-finite value in row {row}: {value[row].tolist()}", "finite values")


def check_mask_dtype(name: str, masks: Tensor) -> None:
    """Refuse masks that are neither bool nor real numbers."""
    if masks.dtype != torch.bool:
        as_numbers(name, masks)


def check_masks(name: str, masks: object, expected: str) -> None:
    """Refuse what is not (N, H, W) masks, not empty, of bool or finite real numbers."""
    check_tensor(name, masks, 3, expected)
    assert isinstance(masks, Tensor)
    if 0 in masks.shape[1:]:
        raise fail(name, describe(masks), "at least one row and column")
    check_mask_dtype(name, masks)
    if masks.is_floating_point():
        check_finite(name, masks)


def check_columns(name: str, value: object, columns: int) -> None:
    """Refuse anything but a tensor of shape (N, columns)."""
    check_tensor(name, value, 2, f"a tensor of shape (N, {columns})")
    assert isinstance(value, Tensor)
    if value.shape[1] != columns:
        raise fail(name, describe(value), f"shape (N, {columns})")


def check_boxes(name: str, boxes: object, *, least: float | None = 0.0) -> None:
    """Refuse what is not (N, 4) finite floating XYXY boxes with sides of at least ``least``.

    ``least`` None accepts inverted boxes.
    """
    check_columns(name, boxes, 4)
    assert isinstance(boxes, Tensor)
    check_floating(name, boxes)
    check_finite(name, boxes)
    if least is not None:
        _check_sides(name, boxes, least, torch.lt, "at least")


def check_boxes_above(name: str, boxes: object, limit: float) -> None:
    """Refuse what is not (N, 4) finite floating XYXY boxes with sides above ``limit``."""
    check_boxes(name, boxes, least=None)
    assert isinstance(boxes, Tensor)
    _check_sides(name, boxes, limit, torch.le, "above")


def _check_sides(
    name: str, boxes: Tensor, limit: float, is_bad: Callable[..., Tensor], words: str
) -> None:
    boxes = boxes.detach()
    sides = boxes[:, 2:] - boxes[:, :2]
    bad = is_bad(sides, limit).any(dim=1)
    if bad.any():
        row = int(bad.nonzero()[0, 0])
        kind = "an inverted box" if bool((sides[row] < min(limit, 0.0)).any()) else "a small box"
        got = f"{kind} in row {row}: {boxes[row].tolist()}"
        raise fail(name, got, f"x2 - x1 and y2 - y1 {words} {limit:g}")


def check_same_length(name_a: str, a: Tensor, name_b: str, b: Tensor) -> None:
    """Refuse two tensors of different first dimension."""
    if len(a) != len(b):
        raise fail(f"{name_a}, {name_b}", f"lengths {len(a)} and {len(b)}", "equal lengths")


def check_image_size(name: str, size: Sequence[int]) -> tuple[int, int]:
    """Return (h, w) as ints, refusing anything else and sizes below one pixel."""
    try:
        given = tuple(size)
        h, w = (int(s) for s in given)
        exact = all(int(s) == s for s in given)
    except _CONVERSION:
        raise fail(name, describe(size), "two integers (h, w)") from None
    if not exact or not (1 <= h <= _LARGEST_SIDE and 1 <= w <= _LARGEST_SIDE):
        raise fail(name, f"{given}", "(h, w) in whole pixels, each from 1 to 2 ** 31 - 1")
    return h, w


def check_weights(weights: Sequence[float]) -> tuple[float, float, float, float]:
    """Return the four delta weights as floats, refusing zeros, negatives and other lengths."""
    expected = "four positive numbers (wx, wy, ww, wh)"
    values = as_positive("weights", weights, expected)
    if len(values) != 4:
        raise fail("weights", describe(weights), expected)
    return values[0], values[1], values[2], values[3]


def as_positive(name: str, values: Any, expected: str) -> list[float]:
    """Return positive finite numbers as floats, refusing anything else and none at all."""
    given = as_list(name, values, expected)
    floats = [as_number(name, v, expected) for v in given]
    if not floats or not all(math.isfinite(v) and v > 0 for v in floats):
        raise fail(name, describe(given), expected)
    return floats


def check_whole(name: str, value: object, least: int = 1) -> None:
    """Refuse anything but a whole number from ``least`` to 2 ** 31 - 1."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not least <= value <= _LARGEST_SIDE:  # type: ignore[operator]
        expected = f"a whole number of at least {least}, and below 2 ** 31"
        raise fail(name, describe(value), expected)


def as_length(name: str, value: Any) -> float:
    """Return an image side, an int if it was one, refusing one that is not positive and finite."""
    length = as_number(name, value, "a positive side in pixels")
    if not math.isfinite(length) or length <= 0:
        raise fail(name, repr(value), "a positive side in pixels")
    whole = isinstance(value, numbers.Integral) and length <= _LARGEST_SIDE
    return int(value) if whole else length
