"""What all tests share: a repeatable hypothesis profile and the devices to test on."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# Lets every test import references.py under every pytest import mode.
sys.path.insert(0, str(Path(__file__).parent))

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("repeatable")


def pytest_report_header() -> str:
    spec = importlib.util.find_spec("detectron2")
    if spec is None:
        return "detectron2: none"
    import detectron2

    return f"detectron2: {detectron2.__version__} in {Path(detectron2.__file__).parent}"


@pytest.fixture(
    params=[
        "cpu",
        pytest.param(
            "cuda",
            marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
        ),
    ]
)
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param)
