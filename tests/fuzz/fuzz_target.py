"""One fuzzed function: what it takes, the law that it keeps, and the contract that all keep.

The contract: good arguments give a result that keeps the law; others give a result, too, or a
ValueError that names an argument. No argument is changed, and nothing takes long.
"""

from __future__ import annotations

import contextlib
import inspect
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from fuzz_odd import odd_of
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

LIMIT_SECONDS = 5.0  # of the processor
Arguments = dict[str, Any]


class Finding(AssertionError):
    """A call that broke the contract."""


@dataclass(frozen=True)
class Target:
    """A function under test.

    Attributes:
        function: the function.
        arguments: draws good arguments, by name.
        law: called as law(result, **arguments); asserts what the docstring promises.
        names: what a refusal may call its arguments; those of the signature by default.
    """

    function: Callable[..., Any]
    arguments: SearchStrategy[Arguments]
    law: Callable[..., None]
    names: tuple[str, ...] = ()

    def argument_names(self) -> tuple[str, ...]:
        """What a refusal must name one of."""
        return self.names or tuple(inspect.signature(self.function).parameters)


@dataclass
class Tally:
    """How many calls there were, and how they ended."""

    good: int = 0
    odd_accepted: int = 0
    odd_refused: int = 0
    slowest_seconds: float = 0.0
    last_seconds: float = 0.0


def check_good(target: Target, data: DataObject, tally: Tally | None = None) -> None:
    """Good arguments are taken, and the law holds."""
    arguments = data.draw(target.arguments, label="arguments")
    tally = tally or Tally()
    with described(target, arguments):
        outcome = call(target, arguments, tally)
        tally.good += 1
        if isinstance(outcome, ValueError):
            raise Finding(f"good arguments were refused: {outcome}")
        target.law(outcome, **arguments)


def check_odd(target: Target, data: DataObject, tally: Tally | None = None) -> None:
    """With one or two arguments exchanged, the call succeeds or names an argument."""
    arguments = dict(data.draw(target.arguments, label="arguments"))
    names = st.sampled_from(sorted(arguments))
    for name in sorted(data.draw(st.sets(names, min_size=1, max_size=2), label="exchanged")):
        arguments[name] = data.draw(odd_of(arguments[name]), label=name)
    tally = tally or Tally()
    with described(target, arguments):
        outcome = call(target, arguments, tally)
        if not isinstance(outcome, ValueError):
            tally.odd_accepted += 1
            _assert_no_garbage(outcome)
            return
        tally.odd_refused += 1
        if not any(re.search(rf"\b{n}\b", str(outcome)) for n in target.argument_names()):
            raise Finding(f"a refusal that names no argument: {outcome!r}")


@contextlib.contextmanager
def described(target: Target, arguments: Mapping[str, Any]) -> Iterator[None]:
    """Add the call to whatever is found wrong with it, so that it can be repeated."""
    try:
        yield
    except AssertionError as error:
        shown = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        text = str(error) if isinstance(error, Finding) else f"the law is broken: {error}"
        raise Finding(f"{text}\n{target.function.__name__}({shown})") from error


def call(target: Target, arguments: Mapping[str, Any], tally: Tally) -> Any:
    """Return what a function gives, or the ValueError that it raises."""
    before = {name: _copy(value) for name, value in arguments.items()}
    started = time.process_time()
    try:
        outcome = target.function(**arguments)
    except ValueError as error:
        outcome = error
    except (MemoryError, RecursionError):
        raise
    except Exception as error:
        raise Finding(f"raised a {type(error).__name__}: {error}") from error
    seconds = time.process_time() - started
    tally.last_seconds = seconds
    tally.slowest_seconds = max(tally.slowest_seconds, seconds)
    if seconds > LIMIT_SECONDS:
        raise Finding(f"took {seconds:.1f} s")
    for name, value in arguments.items():
        if not _same(value, before[name]):
            raise Finding(f"{name} was changed")
    return outcome


def _assert_no_garbage(outcome: Any) -> None:
    """No NaN or infinity has become a whole number."""
    for value in outcome if isinstance(outcome, list | tuple) else [outcome]:
        if isinstance(value, np.ndarray) and value.dtype.kind == "i":
            value = torch.from_numpy(value)
        whole = isinstance(value, torch.Tensor) and value.dtype == torch.int64
        if whole and value.numel() and value.double().abs().max() > 2**62:
            raise Finding(f"whole numbers out of any range: {value.flatten()[:8].tolist()}")


def _copy(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) in (list, tuple):
        return type(value)(_copy(v) for v in value)
    return value


def _same(value: Any, before: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return value.shape == before.shape and _bits(value) == _bits(before)
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            return len(value) == len(before)
        return value.shape == before.shape and value.tobytes() == before.tobytes()
    if type(value) in (list, tuple):
        return len(value) == len(before) and all(map(_same, value, before))
    return value is before


def _bits(value: torch.Tensor) -> bytes:
    value = value.detach().to_dense()
    if value.is_floating_point() and value.dtype not in (torch.float16, torch.float64):
        value = value.float()  # NumPy knows no other small floats; each is a float32, too
    return value.numpy().tobytes()
