"""Zeros that take no memory until they are written."""

from __future__ import annotations

import gc
import pickle
from pathlib import Path

import pytest
import torch

from d2align.geometry.paste_dense import lazy_zeros

STATUS = Path("/proc/self/status")


def resident_mib() -> float:
    line = next(x for x in STATUS.read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(2, 30, 40), (3, 4000, 4000), (0, 5, 6), (3, 0, 6)])
def test_zeros_that_can_be_used_as_any(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    zeros = lazy_zeros(shape, dtype)
    assert zeros.shape == shape and zeros.dtype == dtype and not zeros.any()
    if zeros.numel():
        zeros[1, 2, 3] = 1
        other = pickle.loads(pickle.dumps(zeros[1].clone()))
        assert zeros[1].sum() == 1 and other[2, 3] == 1


@pytest.mark.skipif(not STATUS.exists(), reason="resident memory is read from Linux's /proc")
def test_only_written_pages_take_memory() -> None:
    before = resident_mib()
    zeros = lazy_zeros((4, 16_000, 16_000), torch.bool)
    zeros[3, 15_999, 15_999] = True
    assert resident_mib() - before < 50
    zeros[0].fill_(True)
    assert resident_mib() - before > 200
    del zeros
    gc.collect()
    assert resident_mib() - before < 50
