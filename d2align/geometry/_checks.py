"""Input checks at the public edge; the training step calls the unchecked kernels instead."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def accepts_numpy(fn: Callable[P, R]) -> Callable[P, R]:
    """Let a tensor function take NumPy arrays too; it answers in the kind of its first argument."""
    name = fn.__code__.co_varnames[0]

    @functools.wraps(fn)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        first = args[0] if args else kwargs.get(name)
        if not isinstance(first, Tensor | np.ndarray):
            raise fail(name, describe(first), "a tensor or a NumPy array")
        as_tensor = [_from_numpy(a) for a in args]
        as_tensor_kw = {k: _from_numpy(a) for k, a in kwargs.items()}
        out = fn(*as_tensor, **as_tensor_kw)
        return out if isinstance(first, Tensor) else _to_numpy(out)

    return wrapper


def _from_numpy(value: Any) -> Any:
    # A copy: torch refuses negative strides and warns on read-only memory.
    return torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value


def _to_numpy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.numpy()
    if isinstance(value, list):
        return [_to_numpy(v) for v in value]
    return value


def fail(name: str, got: object, expected: str) -> ValueError:
    """Return the ValueError that names an argument, what was got and what was expected."""
    return ValueError(f"{name}: got {got}, expected {expected}")


def describe(value: object) -> str:
    """Return a short description of a value for an error message."""
    if isinstance(value, Tensor | np.ndarray):
        return f"{type(value).__name__} of shape {tuple(value.shape)} and dtype {value.dtype}"
    return f"{type(value).__name__} {value!r}"[:200]


def check_tensor(name: str, value: object, ndim: int, expected: str) -> None:
    """Refuse anything but a tensor with that many dimensions."""
    if not isinstance(value, Tensor) or value.dim() != ndim:
        raise fail(name, describe(value), expected)


def check_floating(name: str, value: Tensor) -> None:
    """Refuse integer and boolean tensors, whose halves would be lost."""
    if not value.is_floating_point():
        raise fail(name, f"dtype {value.dtype}", "a floating dtype (call .float() on it first)")


def check_finite(name: str, value: Tensor) -> None:
    """Refuse NaN and infinity, naming the first row that has one."""
    if math.isfinite(value.detach().sum()):  # no sum hides one, and it costs a tenth
        return
    bad = ~torch.isfinite(value)
    if bad.any():
        row = int(bad.nonzero()[0, 0])
        raise fail(name, f"a non-finite value in row {row}: {value[row].tolist()}", "finite values")


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
        h, w = (int(s) for s in size)
        exact = all(int(s) == s for s in size)
    except (TypeError, ValueError, OverflowError):
        raise fail(name, repr(size), "two integers (h, w)") from None
    if not exact or h < 1 or w < 1:
        raise fail(name, f"{tuple(size)}", "(h, w) in whole pixels, each at least 1")
    return h, w


def check_weights(weights: Sequence[float]) -> tuple[float, float, float, float]:
    """Return the four delta weights as floats, refusing zeros, negatives and other lengths."""
    values = tuple(float(w) for w in weights)
    if len(values) != 4 or not all(math.isfinite(w) and w > 0 for w in values):
        raise fail("weights", f"{tuple(weights)}", "four positive numbers (wx, wy, ww, wh)")
    return values


def check_whole(name: str, value: object) -> None:
    """Refuse anything but a whole number of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise fail(name, describe(value), "a whole number of at least 1")


def check_length(name: str, value: float) -> None:
    """Refuse an image side that is not positive and finite."""
    if not math.isfinite(value) or value <= 0:
        raise fail(name, repr(value), "a positive side in pixels")
