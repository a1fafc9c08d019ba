"""Read a checkpoint's file, whatever wrote it: Detectron, Detectron2 or PyTorch."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from d2align.checkpoint import restricted_pickle


def load_file(path: str, *, trust: bool = False) -> Any:
    """Return what a checkpoint's file holds, as data.

    Args:
        path: of a local file: .pkl (Detectron's and Detectron2's model zoos) is read as a pickle
            of Python 2 or 3, all else by ``torch.load``, onto the CPU.
        trust: whether to run whatever code a pickle holds, as Python's own loader does.

    Returns:
        Tensors, NumPy arrays, numbers and strings in plain containers; with ``trust``, anything.

    Raises:
        ValueError: it holds more than data, whose name the message gives, or cannot be read.
        OSError: it cannot be opened.
    """
    with Path(path).open("rb"):
        pass  # a file that is not there is told by its own error
    try:
        return _load_trusted(path) if trust else _load_data(path)
    except restricted_pickle.RefusedClass as e:
        raise ValueError(
            f"{path}: got a file that asks for {e}, expected a checkpoint of tensors, NumPy "
            "arrays, plain containers and numbers. To unpickle anything else is to run its code: "
            "if you trust whoever made the file, set D2ALIGN.TRUST_CHECKPOINTS True"
        ) from None
    except Exception as e:  # whatever is wrong with the file, the way out is the same
        if trust:
            raise
        raise ValueError(
            f"{path}: got a file that cannot be read ({type(e).__name__}: {_first_line(e)}), "
            "expected a checkpoint: .pkl, .pth or .pyth"
        ) from e


def _load_trusted(path: str) -> Any:
    if path.endswith(".pkl"):
        with Path(path).open("rb") as file:
            return pickle.load(file, encoding="latin1")
    return torch.load(path, map_location="cpu", weights_only=False)


def _load_data(path: str) -> Any:
    if path.endswith(".pkl"):
        with Path(path).open("rb") as file:
            return restricted_pickle.load(file, encoding="latin1")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        # NumPy arrays are not among torch's own data; of what is refused, ours tells the name.
        return torch.load(
            path, map_location="cpu", pickle_module=restricted_pickle, weights_only=False
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]
