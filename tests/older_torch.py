"""What older releases of torch cannot do, for tests to skip."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F


def skip_unless_sampled_on_cpu(dtype: torch.dtype) -> None:
    """Skip a test where torch has no bilinear sampling on the CPU in a precision.

    Args:
        dtype: of the image.
    """
    image = torch.ones(1, 1, 2, 2).to(dtype)
    try:
        F.grid_sample(image, image.new_zeros(1, 1, 1, 2), align_corners=False)
    except RuntimeError:
        pytest.skip(f"torch {torch.__version__} samples no {dtype} on the CPU")
