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
    """Let a tensor function take NumPy arrays too and answer in the same kind."""

    @functools.wraps(fn)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        if not any(isinstance(a, np.ndarray) for a in (*args, *kwargs.values())):
            return fn(*args, **kwargs)
        as_tensor = [_from_numpy(a) for a in args]
        as_tensor_kw = {k: _from_numpy(a) for k, a in kwargs.items()}
        return _to_numpy(fn(*as_tensor, **as_tensor_kw))  # type: ignore[no-any-return]

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
    bad = ~torch.isfinite(value)
    if bad.any():
        row = int(bad.nonzero()[0, 0])
        raise fail(name, f"a non-finite value in row {row}: {value[row].tolist()}", "finite values")


def check_boxes(name: str, boxes: object, *, min_size: float | None = 0.0) -> None:
    """Refuse what is not (N, 4) finite floating XYXY boxes with x2 - x1 and y2 - y1 >= min_size.

    ``min_size`` None accepts inverted boxes; the smallest positive float excludes zero sizes.
    """
    check_tensor(name, boxes, 2, "a tensor of shape (N, 4), XYXY boxes")
    assert isinstance(boxes, Tensor)
    if boxes.shape[1] != 4:
        raise fail(name, describe(boxes), "shape (N, 4), XYXY boxes")
    check_floating(name, boxes)
    check_finite(name, boxes)
    if min_size is None or len(boxes) == 0:
        return
    sizes = boxes.detach()[:, 2:] - boxes.detach()[:, :2]
    bad = (sizes < min_size).any(dim=1)
    if bad.any():
        row = int(bad.nonzero()[0, 0])
        kind = "inverted" if bool((sizes[row] < min(min_size, 0.0)).any()) else "too small"
        raise fail(
            name,
            f"an {kind} box in row {row}: {boxes[row].tolist()}".replace("an too", "a too"),
            f"x2 - x1 and y2 - y1 of at least {min_size:g}",
        )


def check_same_length(name_a: str, a: Tensor, name_b: str, b: Tensor) -> None:
    """Refuse two tensors of different first dimension."""
    if len(a) != len(b):
        raise fail(f"{name_a}, {name_b}", f"lengths {len(a)} and {len(b)}", "equal lengths")


def check_image_size(name: str, size: Sequence[int]) -> tuple[int, int]:
    """Return (h, w) as ints, refusing anything else and sizes below one pixel."""
    try:
        h, w = (int(s) for s in size)
        exact = all(int(s) == s for s in size)
    except (TypeError, ValueError):
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


def check_length(name: str, value: float) -> None:
    """Refuse an image side that is not positive and finite."""
    if not math.isfinite(value) or value <= 0:
        raise fail(name, repr(value), "a positive side in pixels")
