"""What a result was made with."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

from d2align import __version__


def environment() -> dict[str, str]:
    """Return the versions that decide numbers.

    Returns:
        Name -> version; "code" is the commit, where d2align is in a git checkout.
    """
    import detectron2
    import numpy
    import torch
    import torchvision

    modules = {"torch": torch, "torchvision": torchvision, "numpy": numpy, "detectron2": detectron2}
    versions = {name: str(module.__version__) for name, module in modules.items()}
    return {
        "d2align": __version__,
        "code": code_version(),
        "python": platform.python_version(),
        **versions,
    }


def code_version() -> str:
    """Return the commit of d2align's own checkout.

    Returns:
        Such as "1a2b3c4" or "1a2b3c4-dirty"; "unknown" outside a git checkout.
    """
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return "unknown"
    command = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return found.stdout.strip() or "unknown"
