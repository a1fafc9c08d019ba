"""How close a result must be to what the definition gives in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from fuzz_values import eps_of, wide


def assert_near(
    got: Any, expected: Any, scale: Any, ulps: float = 8.0, dtype_of: Any = None
) -> None:
    """``got`` is ``expected`` within some roundings of numbers as large as ``scale``."""
    got_wide, expected = wide(got), np.asarray(expected, np.float64)
    assert got_wide.shape == expected.shape, (got_wide.shape, expected.shape)
    eps = max(eps_of(got), eps_of(dtype_of) if dtype_of is not None else 0.0)
    error = np.abs(got_wide - expected)
    allowed = ulps * eps * np.broadcast_to(scale, expected.shape) + 1e-30
    # Not "error <= allowed" alone: NaN must fail.
    bad = ~(error <= allowed)
    assert not bad.any(), f"got {got_wide[bad][:4]}, expected {expected[bad][:4]}"


def assert_same_kind(got: Any, like: Any) -> None:
    """A tensor for a tensor, an array for an array, and its own memory."""
    assert isinstance(got, torch.Tensor) == isinstance(like, torch.Tensor), type(got)
    if isinstance(got, torch.Tensor):
        if got.numel() and got.untyped_storage().data_ptr() == like.untyped_storage().data_ptr():
            raise AssertionError("the result shares the argument's memory")
    elif got.size:
        assert not np.shares_memory(got, like), "the result shares the argument's memory"


def decode(rles: list[dict[str, Any]]) -> np.ndarray:
    """(N, h, w) bool of COCO RLEs, which must be whole and of pycocotools' form."""
    from pycocotools import mask as coco_mask

    assert all(set(r) == {"size", "counts"} and isinstance(r["counts"], bytes) for r in rles)
    if not rles:
        return np.zeros((0, 0, 0), bool)
    return coco_mask.decode(rles).astype(bool).transpose(2, 0, 1)
