"""Strategies for the values that geometry takes: every dtype, kind and layout, and corners."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

HALVES = (torch.float16, torch.bfloat16)
WIDE = (torch.float32, torch.float64)
FLOATS = (*WIDE, *HALVES)
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
NUMBERS = (*FLOATS, *INTEGERS)

# How far out values of a dtype may lie so that differences and sums still fit.
_REACH = {torch.float16: 2e3, torch.bfloat16: 1e6, torch.int16: 1.6e4, torch.int8: 60.0}
_CORNERS = (0.0, -0.0, 0.5, 1.0, 0.1, 1e-45, 1e-38, 1e-6, 1e6, 2.0**24 + 1, 1e8, -1e8, 640.0)


def reach(dtype: torch.dtype) -> float:
    """How far from 0 drawn coordinates of a dtype lie at most."""
    return _REACH.get(dtype, 120.0 if dtype == torch.uint8 else 1e8)


def numbers(low: float, high: float) -> SearchStrategy[float]:
    """Finite numbers between two limits, corners among them."""
    corners = [v for v in _CORNERS if low <= v <= high]
    plain = st.floats(low, high, allow_nan=False)
    near = st.floats(max(low, -700.0), min(high, 700.0))
    return st.one_of(near, plain, st.sampled_from(corners)) if corners else near | plain


def coordinates(dtype: torch.dtype) -> SearchStrategy[float]:
    """Coordinates that fit a dtype; whole ones for integers."""
    far = reach(dtype)
    low = 0.0 if dtype == torch.uint8 else -far
    drawn = numbers(low, far)
    return drawn if dtype.is_floating_point else drawn.map(math.floor).map(float)


@st.composite
def rows(
    draw: DrawFn, columns: int, dtype: torch.dtype, values: SearchStrategy[float], most: int = 6
) -> torch.Tensor:
    """(N, columns) of values, N from 0."""
    count = draw(st.integers(0, most))
    drawn = draw(st.lists(values, min_size=count * columns, max_size=count * columns))
    return torch.tensor(drawn, dtype=torch.float64).reshape(count, columns).to(dtype)


@st.composite
def boxes(
    draw: DrawFn, dtype: torch.dtype, *, positive: bool = False, far: float = 1e8, most: int = 6
) -> torch.Tensor:
    """(N, 4) XYXY: tiny, huge, of zero size unless ``positive``, and outside of any image.

    Quotients of positive sides fit the dtype.
    """
    limit = min(far, reach(dtype)) / 2
    corner = draw(rows(2, dtype, numbers(0.0 if dtype == torch.uint8 else -limit, limit), most))
    least = (1.0 if dtype in HALVES else 1e-2) if positive else 0.0
    sides = numbers(least, limit) | st.sampled_from([max(least, v) for v in (0.0, 1e-3, 1.0, 28.0)])
    drawn = draw(st.lists(sides, min_size=2 * len(corner), max_size=2 * len(corner)))
    if not dtype.is_floating_point:
        drawn = [float(math.ceil(side)) for side in drawn]
    size = torch.tensor(drawn, dtype=torch.float64).reshape(-1, 2)
    made = torch.cat([corner.double(), corner.double() + size], dim=1).to(dtype)
    wide = made.double()
    return made[(wide[:, 2:] > wide[:, :2]).all(dim=1)] if positive else made


def seeded(shape: Sequence[int], dtype: torch.dtype, seed: int, low: float = 0.0) -> torch.Tensor:
    """Uniform values on [low, 1), cheap to draw and to write down."""
    generator = torch.Generator().manual_seed(seed)
    made = torch.rand(tuple(shape), generator=generator, dtype=torch.float64)
    return (made * (1 - low) + low).to(dtype)


def seeds() -> SearchStrategy[int]:
    """Seeds of ``seeded``."""
    return st.integers(0, 2**20)


# What a value looks like from outside; none changes a number.
_Dress = Callable[[torch.Tensor], Any]


def _transposed(x: torch.Tensor) -> torch.Tensor:
    return x.transpose(0, -1).contiguous().transpose(0, -1) if x.dim() > 1 else x


def _strided(x: torch.Tensor) -> torch.Tensor:
    return x.repeat_interleave(2, dim=0)[::2] if x.dim() else x


def _numpy(x: torch.Tensor) -> Any:
    return x.numpy().copy() if x.dtype != torch.bfloat16 else x


def _read_only(x: torch.Tensor) -> Any:
    array = _numpy(x)
    if isinstance(array, np.ndarray):
        array.flags.writeable = False
    return array


def _backwards(x: torch.Tensor) -> Any:
    array = _numpy(x)
    return array[::-1].copy()[::-1] if isinstance(array, np.ndarray) and array.ndim else array


def _other_endian(x: torch.Tensor) -> Any:
    array = _numpy(x)
    if not isinstance(array, np.ndarray):
        return array
    return array.astype(array.dtype.newbyteorder())


def _with_gradient(x: torch.Tensor) -> torch.Tensor:
    return x.clone().requires_grad_() if x.is_floating_point() else x


_TENSORS: tuple[_Dress, ...] = (torch.Tensor.clone, _transposed, _strided, _with_gradient)
_ARRAYS: tuple[_Dress, ...] = (_numpy, _read_only, _backwards, _other_endian)


def dressed(value: SearchStrategy[torch.Tensor], arrays: bool = False) -> SearchStrategy[Any]:
    """The same numbers in some layout, needing a gradient, or as a NumPy array."""
    how = st.sampled_from((*_TENSORS, *(_ARRAYS if arrays else ())))
    return st.tuples(value, how).map(lambda pair: pair[1](pair[0]))


def wide(value: Any) -> np.ndarray:
    """The value in float64 (bool and integers too), detached."""
    if isinstance(value, torch.Tensor):
        return value.detach().to(torch.float64, copy=True).numpy()
    return np.array(value, dtype=np.float64)


def dtype_of(value: Any) -> torch.dtype:
    """torch's dtype of a tensor or array."""
    if isinstance(value, torch.Tensor):
        return value.dtype
    return torch.from_numpy(np.zeros(0, value.dtype.newbyteorder("="))).dtype


def eps_of(value: Any) -> float:
    """The relative rounding of a result's dtype; 0 for integers."""
    dtype = dtype_of(value)
    return torch.finfo(dtype).eps if dtype.is_floating_point else 0.0


def images(most: int = 24) -> SearchStrategy[tuple[int, int]]:
    """Small image sizes (h, w), down to a single pixel."""
    side = st.integers(1, most)
    return st.tuples(side, side)


def big_images() -> SearchStrategy[tuple[int, int]]:
    """Image sizes up to 16k, mostly long and narrow, so that dense masks of them stay small."""
    long, narrow = st.sampled_from([257, 2049, 4097, 16384]), st.integers(1, 8)
    return st.tuples(narrow, long) | st.tuples(long, narrow) | st.just((1, 1))
