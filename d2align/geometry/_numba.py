"""numba's compiler as this package uses it: no Python inside, cached on disk where it can be."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.extending import intrinsic


def inner(function: Callable[..., Any]) -> Any:
    """Compile a function that only compiled functions call."""
    return numba.njit(nogil=True, error_model="numpy")(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a function into those that call it: a call with arrays costs like 50 additions."""
    return numba.njit(nogil=True, error_model="numpy", inline="always")(function)


def entry(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls, cached on disk where that can be written."""
    try:
        compiled: Any = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # no folder to write to
        warn_no_cache()
        return inner(function)
    _forget_stale(Path(compiled.stats.cache_path), Path(function.__code__.co_filename))

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        try:
            return compiled(*args)
        except OSError:  # it was compiled, but not written
            warn_no_cache()
            return compiled(*args)

    return call


def _forget_stale(folder: Path, file: Path) -> None:
    """Remove what was cached before a change to what a function calls: numba sees only its file."""
    changed = max((source.stat().st_mtime for source in file.parent.glob("rle_*.py")), default=0.0)
    for index in folder.glob(f"{file.stem}.*.nbi"):
        with contextlib.suppress(OSError):
            if index.stat().st_mtime < changed:
                index.unlink()


@functools.cache
def warn_no_cache() -> None:
    """Say once that the cache cannot be written."""
    warnings.warn(
        "numba's cache cannot be written, so pasting masks is compiled anew in every process, "
        "which takes seconds: set NUMBA_CACHE_DIR to a folder that can be written",
        RuntimeWarning,
        stacklevel=3,
    )


@intrinsic
def fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a b + c, rounded once."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return a(a, a, a), build
