"""Calls to functions that nobody vouches for: every fault becomes one clear message."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

# Two runs of one function on one input may differ by this much of the largest value.
_REPEAT_TOLERANCE = 1e-5


class ProbeFailure(Exception):
    """A function did something that no probe can measure; the message says what."""


class Guarded:
    """A function that is called on copies, twice, and whose answers are checked."""

    def __init__(self, fn: Callable[..., Any], name: str = "it") -> None:
        """Guard a function.

        Args:
            fn: any callable.
            name: what messages call it.

        Raises:
            ProbeFailure: it is not callable.
        """
        if not callable(fn):
            raise ProbeFailure(f"{name} is {type(fn).__name__}, which cannot be called")
        self.fn = fn
        self.name = name

    def __call__(self, *args: Any, shape: Sequence[int | None] | None = None) -> np.ndarray:
        """Call the function and return its answer as a float64 array.

        Args:
            args: arrays, numbers and tuples; the function gets copies.
            shape: what the answer's shape must be; None in it stands for any length.

        Returns:
            The answer, float64.

        Raises:
            ProbeFailure: the function raises, changes its input, answers differently the second
                time, or answers with anything but finite numbers of that shape.
        """
        return self.check(self.raw(*args), shape)

    def raw(self, *args: Any) -> Any:
        """Call the function as ``__call__`` does and return its answer as it came."""
        first = self._once(args)
        again = self._once(args)
        if not _same(first, again):
            raise ProbeFailure(
                f"{self.name} answers differently to the same input: fix its random choices "
                "(a probability of 1, a fixed seed) before the audit"
            )
        return first

    def check(self, answer: Any, shape: Sequence[int | None] | None) -> np.ndarray:
        """Return one answer as a float64 array of a shape; see ``__call__``."""
        array = as_array(answer)
        if array is None:
            raise ProbeFailure(
                f"{self.name} returned {type(answer).__name__}, expected an array of numbers"
            )
        if shape is not None and not _fits(array.shape, shape):
            hint = ""
            if len(shape) == 2 and _fits(array.shape[::-1], shape):
                hint = ": are height and width swapped?"
            expected = tuple("any" if side is None else side for side in shape)
            raise ProbeFailure(
                f"{self.name} returned shape {array.shape}, expected {expected}{hint}"
            )
        if not np.isfinite(array).all():
            raise ProbeFailure(f"{self.name} returned NaN or infinity for finite input")
        return array

    def _once(self, args: tuple[Any, ...]) -> Any:
        given = copy.deepcopy(args)
        try:
            answer = self.fn(*given)
        except (Exception, SystemExit) as e:
            raise ProbeFailure(f"{self.name} raised {type(e).__name__}: {_short(e)}") from e
        if not _same(given, args):
            raise ProbeFailure(f"{self.name} changes its input: give it a copy inside")
        return copy.deepcopy(answer) if isinstance(answer, np.ndarray) else answer


def as_array(value: Any) -> np.ndarray | None:
    """Return numbers of any library as a float64 array, or None if they are none."""
    if value is None or isinstance(value, str | bytes):
        return None
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
        array = np.asarray(value)
        return array.astype(np.float64) if array.dtype.kind in "biufO" else None
    except Exception:  # whatever an object raises that is asked for its numbers
        return None


def _fits(shape: Sequence[int], expected: Sequence[int | None]) -> bool:
    return len(shape) == len(expected) and all(
        want is None or side == want for side, want in zip(shape, expected, strict=True)
    )


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    x, y = as_array(a), as_array(b)
    if x is None or y is None:
        return type(a) is type(b)
    if x.shape != y.shape:
        return False
    scale = max(1.0, float(np.abs(x[np.isfinite(x)]).max(initial=0.0)))
    return bool(np.allclose(x, y, rtol=0.0, atol=_REPEAT_TOLERANCE * scale, equal_nan=True))


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 160 else text[:157] + "..."
