"""What a torch model means: the conventions of the resizes and crops that it calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


@dataclass(frozen=True)
class Call:
    """One call of a model that samples.

    Attributes:
        op: the ONNX operator that stands for it.
        convention: as ``audit_onnx`` names them.
        may_vanish: whether an export may write it with other operators.
    """

    op: str
    convention: str
    may_vanish: bool = False


def record_calls(model: Any, inputs: Sequence[Any]) -> list[Call]:
    """Return the sampling calls of a model, in order.

    Args:
        model: a module or function of tensors.
        inputs: its arguments.

    Returns:
        One Call for each resize, RoIAlign and grid sampling.
    """
    recorder = _Recorder()
    with torch.no_grad(), recorder:
        model(*inputs)
    return recorder.calls


class _Recorder(TorchDispatchMode):
    """Notes the sampling operators that run under it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        names = [argument.name for argument in func._schema.arguments]
        given = {**dict(zip(names, args, strict=False)), **(kwargs or {})}
        call = _call_of(func._schema.name, given)
        if call is not None:
            self.calls.append(call)
        return func(*args, **(kwargs or {}))


def _call_of(name: str, given: dict[str, Any]) -> Call | None:
    op = name.partition("::")[2].lstrip("_")
    if "backward" in op:
        return None
    if op.startswith("upsample_nearest_exact"):
        return Call("Resize", "half_pixel", may_vanish=True)
    if op.startswith("upsample_nearest"):
        return Call("Resize", "asymmetric_floor")
    corners = "align_corners" if given.get("align_corners") else "half_pixel"
    if op.startswith("upsample_"):
        return Call("Resize", corners)
    if op.startswith("grid_sampler"):
        return Call("GridSample", corners)
    if op == "affine_grid_generator":
        return Call("AffineGrid", corners, may_vanish=True)
    if op == "roi_align":
        return Call("RoiAlign", "aligned" if given.get("aligned") else "unaligned")
    if op == "roi_pool":
        return Call("MaxRoiPool", "quantised")
    return None
