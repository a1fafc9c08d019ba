"""Fuzzed: the checkpoint loader on damaged and hostile files: data or a refusal, never code."""

from __future__ import annotations

import builtins
import functools
import io
import os
import pickle
import subprocess
import sys
import tempfile
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuzz_mutations import mutated_bytes
from fuzz_target import Finding, Tally
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from d2align.checkpoint import load_file

_FORBIDDEN = {"os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen"}
_DATA = (
    *(torch.Tensor, torch.Size, torch.device, torch.dtype, torch.storage.TypedStorage),
    *(torch.UntypedStorage, np.ndarray, np.generic, np.dtype),
    *(int, float, complex, str, bytes, bytearray, bool, type(None)),
)
# Not the functions that stand for names in a pickle: they are ours and harmless, yet no data.
_heard: list[str] = []
_listening = False


class _Calls:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def _attacks() -> list[Any]:
    code = "__import__('fuzz_payload').run()"
    return [
        _Calls(os.system, "echo fuzz_payload"),
        _Calls(builtins.eval, code),
        _Calls(builtins.exec, code),
        _Calls(subprocess.Popen, ["echo", "fuzz_payload"]),
        _Calls(builtins.__import__, "fuzz_payload"),
        _Calls(functools.partial, os.system, "echo fuzz_payload"),
        _Calls(getattr, "", "join"),
        _Calls(torch.load, "fuzz_payload"),
    ]


def _weights() -> dict[str, Any]:
    model = OrderedDict(w=torch.arange(6.0).reshape(2, 3), b=torch.ones(2, dtype=torch.float16))
    return {"model": model, "iteration": 3, "blobs": {"a": np.arange(4, dtype=np.float32)}}


def _saved(value: Any, **kwargs: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **kwargs)
    return buffer.getvalue()


def _script() -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        buffer = io.BytesIO()
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), buffer)
    return buffer.getvalue()


@functools.cache
def originals() -> tuple[tuple[str, bytes], ...]:
    """(ending, content) of good and of hostile files of every kind."""
    arrays = {"model": {"w": np.arange(6.0).reshape(2, 3), "n": np.float64(1.5)}, "s": {1, 2}}
    numpy_file = io.BytesIO()
    np.savez(numpy_file, w=np.arange(3))
    files = [(".pkl", pickle.dumps(arrays, protocol)) for protocol in range(6)]
    files += [(".pth", _saved(_weights())), (".pyth", _saved({"model_state": _weights()["model"]}))]
    files += [(".pth", _saved(_weights(), _use_new_zipfile_serialization=False))]
    files += [(".pth", _script()), (".pth", numpy_file.getvalue()), (".pth", b"")]
    for attack in _attacks():
        hidden = {"model": {"w": attack}}
        files += [(".pkl", pickle.dumps(hidden, protocol)) for protocol in (0, 2, 4)]
        files += [(".pth", _saved(hidden)), (".pth", pickle.dumps(hidden, 2))]
        files += [(".pth", _saved(hidden, _use_new_zipfile_serialization=False))]
    return tuple(files)


@functools.cache
def listen() -> None:
    """Hear of every process that is started, for good: an audit hook cannot be taken out."""

    def hook(event: str, arguments: Any) -> None:
        if _listening and (event in _FORBIDDEN or (event == "import" and _is_payload(arguments))):
            _heard.append(event)

    sys.addaudithook(hook)


def _is_payload(arguments: Any) -> bool:
    return bool(arguments) and arguments[0] == "fuzz_payload"


def check_file(data: DataObject, tally: Tally | None = None) -> None:
    """A file, damaged or not, is read as data or refused by its name; nothing in it is run."""
    global _listening
    listen()
    ending, original = data.draw(st.sampled_from(originals()), label="original")
    content = data.draw(mutated_bytes(original) | st.just(original), label="content")
    tally = tally or Tally()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / f"checkpoint{ending}"
        path.write_bytes(content)
        _listening = True
        try:
            loaded = load_file(str(path))
        except ValueError as error:
            tally.odd_refused += 1
            if str(path) not in str(error):
                raise Finding(f"a refusal that names no file: {error!r}") from error
        except Exception as error:
            raise Finding(f"raised a {type(error).__name__}: {error}") from error
        else:
            tally.odd_accepted += 1
            _assert_data(loaded)
        finally:
            _listening = False
    if _heard:
        heard = sorted(set(_heard))
        _heard.clear()
        raise Finding(f"reading the file did {heard}")


def _assert_data(value: Any, depth: int = 0) -> None:
    if isinstance(value, dict):
        _assert_data([*value, *value.values()], depth + 1)
    elif isinstance(value, list | tuple | set | frozenset) and not isinstance(value, torch.Size):
        for one in value if depth < 50 else ():
            _assert_data(one, depth + 1)
    elif not isinstance(value, _DATA):
        raise Finding(f"read a {type(value).__name__}, which is no data: {value!r:.100}")
