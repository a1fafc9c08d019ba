"""What should not be given: other dtypes, NaN, other shapes, and junk of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

_DTYPES = (
    *(torch.bool, torch.uint8, torch.int8, torch.int64),
    *(torch.float16, torch.bfloat16, torch.complex64),
    *(getattr(torch, n) for n in ("uint16", "uint64", "float8_e4m3fn") if hasattr(torch, n)),
)
_BAD_VALUES = (float("nan"), float("inf"), -float("inf"), 3e38, -1e30, 65504.0)


def junk() -> SearchStrategy[Any]:
    """Values of no use to anyone."""
    return st.one_of(
        st.none(),
        st.text(max_size=3),
        st.sampled_from([b"x", "nan", "1.5", [], (), {}, {"a": 1}, set(), object, ..., 1j]),
        st.just([None]),
        st.just(np.array(["a", "b"])),
        st.just(np.array([None, object()], dtype=object)),
        st.just(np.array([np.datetime64("2020-01-01")])),
        st.just(np.float64("nan")),
        st.just(torch.tensor(1.0)),
    )


def odd_numbers() -> SearchStrategy[Any]:
    """Numbers that no size, width or threshold can be, and things that are none."""
    huge = [10**30, 10**400, 1e300, -1, 0, -0.0, 0.5, 1.5, 1e-320, True, False]
    alike = [np.int64(3), np.float32(0.5), np.bool_(True), torch.tensor(3), float("nan")]
    return st.sampled_from([*huge, *alike, float("inf"), -float("inf")]) | junk()


def odd_sequences() -> SearchStrategy[Any]:
    """Sequences of a wrong length, sign or content."""
    numbers = st.lists(odd_numbers(), max_size=5)
    return st.one_of(
        numbers,
        numbers.map(tuple),
        st.sampled_from(
            ["12", "ab", {3: 1, 4: 2}, range(2), (0, 5), (5, -1), (1.5, 2), (2**40, 1)]
        ),
        st.just(np.array([4, 5])),
        st.just(torch.tensor([4, 5])),
        st.just(iter((3, 4))),
        odd_numbers(),
    )


def native(array: np.ndarray) -> np.ndarray:
    """A copy of an array in this machine's byte order."""
    return np.array(array, dtype=array.dtype.newbyteorder("="))


@st.composite
def odd_arrays(draw: DrawFn, value: Any) -> Any:
    """Something near a good tensor or array that is not quite one."""
    tensor = value if isinstance(value, torch.Tensor) else torch.from_numpy(native(value))
    tensor = tensor.detach().clone(memory_format=torch.contiguous_format)
    how = draw(st.integers(0, 8))
    if how == 0:
        return tensor.to(draw(st.sampled_from(_DTYPES)))
    if how == 1 and tensor.is_floating_point() and tensor.numel():
        place = draw(st.integers(0, tensor.numel() - 1))
        tensor.view(-1)[place] = draw(st.sampled_from(_BAD_VALUES))
        return tensor
    if how == 2:
        return tensor[None]
    if how == 3 and tensor.dim():
        return tensor[..., : draw(st.integers(0, 3))]
    if how == 4 and tensor.dim():
        return tensor[0] if len(tensor) else tensor.reshape(-1)
    if how == 5:
        return tensor.tolist()
    if how == 6:
        return tensor.to_sparse() if tensor.dim() and tensor.dtype != torch.bool else "sparse"
    if how == 7 and tensor.dtype != torch.bfloat16:
        return tensor.numpy().astype(draw(st.sampled_from(["O", "U8", ">f8", "g", "?", "u8", "F"])))
    return draw(junk())


def odd_of(value: Any) -> SearchStrategy[Any]:
    """Something in the place of a good argument."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return odd_arrays(value)
    if isinstance(value, list | tuple):
        return odd_sequences()
    return odd_numbers()
