"""Scripts of projects/ as modules."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

PROJECTS = Path(__file__).parents[2] / "projects"


def load_script(path: str) -> ModuleType:
    """A script of projects/, imported without running it."""
    name = path.replace("/", "_").removesuffix(".py")
    spec = importlib.util.spec_from_file_location(name, PROJECTS / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
