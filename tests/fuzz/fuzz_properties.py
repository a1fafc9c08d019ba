"""Everything that is fuzzed, by name: each property draws, calls, counts and asserts."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial

from fuzz_checkpoint import check_file
from fuzz_config import check_options
from fuzz_geometry import TARGETS
from fuzz_readers import READERS, check_reader
from fuzz_target import Tally, check_good, check_odd
from hypothesis.strategies import DataObject

Property = Callable[[DataObject, Tally], None]

_HAS_ONNX = importlib.util.find_spec("onnx") is not None
PROPERTIES: dict[str, Property] = {
    **{f"geometry.{name}": partial(check_good, target) for name, target in TARGETS.items()},
    **{f"geometry.{name}, odd": partial(check_odd, target) for name, target in TARGETS.items()},
    "config": check_options,
    "checkpoint": check_file,
    **{
        name: partial(check_reader, name) for name in READERS if _HAS_ONNX or name != "audit --onnx"
    },
}


def select(only: list[str] | None) -> dict[str, Property]:
    """Return the properties whose names contain one of some texts; all without any.

    Raises:
        ValueError: a text that is in no name.
    """
    for text in only or ():
        if not any(text in name for name in PROPERTIES):
            raise ValueError(f"--only: got {text!r}, expected part of one of {list(PROPERTIES)}")
    return {
        name: run
        for name, run in PROPERTIES.items()
        if not only or any(text in name for text in only)
    }
