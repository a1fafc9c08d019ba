"""What a campaign or a soak ran on."""

from __future__ import annotations

import platform
from importlib.metadata import version


def describe_machine() -> dict[str, str]:
    """Return versions and the kind of machine."""
    packages = {name: version(name) for name in ("torch", "numpy", "detectron2", "hypothesis")}
    return {"python": platform.python_version(), **packages, "machine": platform.machine()}
