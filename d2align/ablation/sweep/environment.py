"""What a result was made with: the code's version, the libraries, the device."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path

from d2align import __version__

_ROOT = Path(__file__).resolve().parents[3]
_LIBRARIES = ("torch", "torchvision", "numpy", "detectron2", "pycocotools")


@functools.cache
def code_version() -> str:
    """Return d2align's version, with the commit where it runs from a git checkout.

    Returns:
        Such as "0.1.0" or "0.1.0 (1a2b3c4-dirty)".
    """
    if not (_ROOT / ".git").exists():
        return __version__
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return __version__
    return f"{__version__} ({done.stdout.strip()})" if done.returncode == 0 else __version__


def environment(device: str) -> dict[str, str]:
    """Return the versions of what results depend on.

    Args:
        device: MODEL.DEVICE.

    Returns:
        name -> version; "device" is the GPU's name, or the processor's kind.
    """
    import torch

    versions = {name: _version(name) for name in _LIBRARIES}
    if device.startswith("cuda") and torch.cuda.is_available():
        device_name = torch.cuda.get_device_name()
    else:
        device_name = f"cpu ({platform.machine()}, {torch.get_num_threads()} threads)"
    return {"python": platform.python_version(), **versions, "device": device_name}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed as a package"
