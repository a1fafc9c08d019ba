"""numba's compiler as this package uses it: no Python inside, cached on disk where it can be."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numba
from numba.extending import intrinsic


def inner(function: Callable[..., Any]) -> Any:
    """Compile a function that only compiled functions call."""
    return numba.njit(nogil=True, error_model="numpy")(function)


def entry(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls, cached on disk where that can be written.

    The cache looks only at the file of this function: after a change to what it calls in other
    files, remove the *.nbi files beside it.
    """
    try:
        compiled: Any = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # no folder to write to
        warn_no_cache()
        return inner(function)

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        try:
            return compiled(*args)
        except OSError:  # it was compiled, but not written
            warn_no_cache()
            return compiled(*args)

    return call


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
