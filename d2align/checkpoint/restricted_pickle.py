"""A pickle module that builds data only: tensors, NumPy arrays, plain containers and numbers.

It has the names of ``pickle`` that ``torch.load`` asks of its ``pickle_module``. What a pickle
calls is looked up in a list of our own functions, so nothing that it names is ever imported.
"""

from __future__ import annotations

import io
import pickle
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch

UnpicklingError = pickle.UnpicklingError
_NDARRAY = object()  # stands for the class, which can do more than be rebuilt
_NUMBERS = "biufc"


class RefusedClass(ValueError):
    """A pickle that asks for something other than data."""


class Unpickler(pickle._Unpickler):
    """An unpickler of data; whatever else a pickle names is refused before it is imported.

    The one in Python, since that in C lets nobody look at what an object's state is set to.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name in a pickle.

        Args:
            module: as the pickle has it, of any version of Python and NumPy.
            name: likewise.

        Raises:
            RefusedClass: it is no part of data.
        """
        place = _PLACES_TODAY.get(module, module)
        if (place, name) in _ALLOWED:
            return _ALLOWED[place, name]
        if place == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        raise RefusedClass(f"{module}.{name}")

    def load_build(self) -> None:
        """Set the state of the object below it on the stack, if it is a kind of data."""
        state, target = self.stack[-1], self.stack[-2]
        if isinstance(target, np.dtype):
            plain = isinstance(state, tuple) and state[2:8] == (None, None, None, -1, -1, 0)
            if not plain or state[1] not in ("<", ">", "|", "="):
                raise RefusedClass("numpy.dtype with fields or flags")
        elif not isinstance(target, np.ndarray | OrderedDict):
            raise RefusedClass(f"the state of a {type(target).__name__}")
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build


def load(file: Any, **kwargs: Any) -> Any:
    """Return the data of a pickle.

    Args:
        file: opened in binary mode.
        **kwargs: as ``pickle.load``; encoding "latin1" for pickles of Python 2.

    Raises:
        RefusedClass: it holds more than data.
    """
    return Unpickler(file, **kwargs).load()


def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise RefusedClass(f"_codecs.encode to {encoding!r}")
    return text.encode("latin1")


def _empty_bytes() -> bytes:
    return b""


def _dtype(name: str, align: object = False, copy: object = True) -> np.dtype[Any]:
    del align, copy  # always a copy: its state is about to be set
    made = np.dtype(name, copy=True) if isinstance(name, str) else None
    if made is None or made.kind not in _NUMBERS:
        raise RefusedClass(f"numpy.dtype({name!r})")
    return made


def _empty_array(kind: object, shape: object, typecode: object) -> np.ndarray[Any, Any]:
    del shape, typecode  # (0,) and "b" in every pickle; the state has the real ones
    if kind is not _NDARRAY:
        raise RefusedClass("numpy array of a subclass")
    return np.empty(0, dtype=np.int8)


def _number(dtype: np.dtype[Any], data: str | bytes) -> Any:
    return np.frombuffer(data.encode("latin1") if isinstance(data, str) else data, dtype)[0]


def _from_buffer(
    data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], order: Any
) -> np.ndarray[Any, Any]:
    return np.frombuffer(data, dtype).reshape(shape, order=order)


def _tensor_from_bytes(data: bytes) -> Any:
    # torch's own function of this name would run any code in these bytes.
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


_PLACES_TODAY = {
    "__builtin__": "builtins",
    "numpy.core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric",
}
_ALLOWED: dict[tuple[str, str], Any] = {
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "complex"): complex,
    ("builtins", "bytes"): _empty_bytes,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "Counter"): Counter,
    ("numpy", "dtype"): _dtype,
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "scalar"): _number,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("torch", "Size"): torch.Size,
    ("torch", "device"): torch.device,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
    ("torch.storage", "_load_from_bytes"): _tensor_from_bytes,
}
