"""What the trouble tests share: a data set of a few images, and tiny runs on it."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))  # coco_synthetic


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a registered data set of six images."""
    from d2align.data.shapes.register import prepare_shapes, register_shapes_subset

    logging.getLogger("detectron2").setLevel(logging.WARNING)
    name = "hardening_data"
    register_shapes_subset(name, "shapes_128_train", 6, cache=tmp_path_factory.mktemp("cache"))
    prepare_shapes([name])
    return name
