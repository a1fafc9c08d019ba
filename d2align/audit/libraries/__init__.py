"""Adapters: one small file a library, with one function a kind of probe.

An adapter names its library (``NAME``, ``PACKAGES``) and has functions called as the kinds of
``d2align.audit.KINDS`` are: each returns the library's functions in the contract of that kind, by
the text that a table shows. Adapters are imported when they are asked for, never before.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import io
from collections.abc import Iterator
from contextlib import redirect_stdout
from types import ModuleType
from typing import Any

from d2align.audit.probes import KINDS

# Modules of this package, in the order in which tables show them.
ADAPTERS = (
    "opencv",
    "pillow",
    "torch",
    "torchvision",
    "detectron2",
    "pycocotools",
    "skimage",
    "scipy",
    "onnxruntime",
    "kornia",
    "albumentations",
    "jax",
    "tensorflow",
    "mmcv",
    "supervision",
    "ultralytics",
)
# What an adapter needs to be importable, where that is not its own name.
_IMPORTS = {"opencv": "cv2", "pillow": "PIL"}


def find_adapter(name: str) -> ModuleType | str:
    """Import an adapter and its library.

    Args:
        name: one of ADAPTERS.

    Returns:
        The adapter, or the reason why there is none.

    Raises:
        ValueError: an unknown name.
    """
    if name not in ADAPTERS:
        raise ValueError(f"--libraries: got {name!r}, expected some of {', '.join(ADAPTERS)}")
    if importlib.util.find_spec(_IMPORTS.get(name, name)) is None:
        return "not installed"
    try:
        with redirect_stdout(io.StringIO()):
            return importlib.import_module(f"d2align.audit.libraries.{name}")
    except Exception as e:  # whatever a library raises when it is imported
        return f"cannot be imported: {type(e).__name__}: {' '.join(str(e).split())[:120]}"


def cases(adapter: ModuleType) -> Iterator[tuple[str, str, Any]]:
    """Yield (kind, label, function) of everything that an adapter offers.

    Args:
        adapter: its module.

    Yields:
        The kind, the text by which a table names the function, and the function.
    """
    for kind in KINDS:
        offered = getattr(adapter, kind, None)
        for label, fn in offered().items() if offered else ():
            yield kind, label, fn


def versions(adapter: ModuleType) -> dict[str, str]:
    """Return the versions of an adapter's packages, by the names that pip knows them by."""
    found = {}
    for package in adapter.PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
