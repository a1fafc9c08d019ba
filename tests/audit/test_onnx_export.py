"""Exports of torch models: nodes are held against the calls that they stand for."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from onnx_models import onnx, resize_graph, run

from d2align.audit.onnx_graph import audit_export
from d2align.audit.onnx_meaning import record_calls


class Wrapped(torch.nn.Module):
    """A function as a module."""

    def __init__(self, fn: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.fn(*inputs)


IMAGE = torch.randn(1, 1, 8, 10, generator=torch.Generator().manual_seed(0))
ROIS = torch.tensor([[0, 1.3, 1.1, 7.2, 6.4]])
GRID = torch.rand(1, 5, 6, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
MODELS: dict[str, tuple[Callable[..., torch.Tensor], Sequence[torch.Tensor], tuple[int, ...]]] = {
    "roi_align aligned": (
        lambda x, r: torchvision.ops.roi_align(x, r, 3, aligned=True),
        (IMAGE, ROIS),
        (11, 16),
    ),
    "roi_align unaligned": (
        lambda x, r: torchvision.ops.roi_align(x, r, 3, aligned=False),
        (IMAGE, ROIS),
        (11, 16),
    ),
    "bilinear": (
        lambda x: F.interpolate(x, size=(13, 17), mode="bilinear", align_corners=False),
        (IMAGE,),
        (9, 10, 11, 16),
    ),
    "bilinear align_corners": (
        lambda x: F.interpolate(x, size=(13, 17), mode="bilinear", align_corners=True),
        (IMAGE,),
        (11, 16),
    ),
    "nearest": (lambda x: F.interpolate(x, size=(13, 17)), (IMAGE,), (9, 10, 11, 16)),
    "grid_sample": (
        lambda x, g: F.grid_sample(x, g, align_corners=False),
        (IMAGE, GRID),
        (16,),
    ),
    "grid_sample align_corners": (
        lambda x, g: F.grid_sample(x, g, align_corners=True),
        (IMAGE, GRID),
        (16,),
    ),
}
CASES = [(name, opset) for name, (_, _, opsets) in MODELS.items() for opset in opsets]


def export(model: torch.nn.Module, inputs: Sequence[torch.Tensor], opset: int) -> Any:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, tuple(inputs), buffer, opset_version=opset, dynamo=False)
    return onnx.load_from_string(buffer.getvalue())


@pytest.mark.parametrize(("name", "opset"), CASES)
def test_an_export_deviates_just_where_the_numbers_do(name: str, opset: int) -> None:
    """torch's exporter writes aligned RoIAlign and bilinear wrongly for old operator sets."""
    fn, inputs, _ = MODELS[name]
    model = Wrapped(fn)
    exported = export(model, inputs, opset)
    (finding,) = audit_export(exported, model, inputs)
    feeds = {v.name: t.numpy() for v, t in zip(exported.graph.input, inputs, strict=True)}
    same = np.allclose(run(exported, feeds), model(*inputs).numpy(), atol=1e-3)
    assert (finding.status == "aligned") == same


def test_wart_exporters_that_lose_the_half_pixel() -> None:
    fn, inputs, _ = MODELS["roi_align aligned"]
    (finding,) = audit_export(export(Wrapped(fn), inputs, 11), fn, inputs)
    assert (finding.convention, finding.error_px) == ("unaligned", 0.5)
    fn, inputs, _ = MODELS["bilinear"]
    (finding,) = audit_export(export(Wrapped(fn), inputs, 10), fn, inputs)
    assert finding.convention == "asymmetric"
    assert finding.error_px == pytest.approx(0.35)  # (1.7 - 1) / 2


def test_calls_and_nodes_that_do_not_correspond_are_told() -> None:
    model = resize_graph(13, 2.0, mode="linear")

    def other(x: torch.Tensor) -> torch.Tensor:
        y = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return F.interpolate(y, scale_factor=2)

    (finding,) = audit_export(model, other, [IMAGE])
    assert (finding.status, finding.subject) == ("failed", "1 nodes")
    assert "half_pixel, asymmetric_floor" in finding.sentence


def test_one_node_of_a_loop_stands_for_several_calls() -> None:
    def paste(x: torch.Tensor) -> torch.Tensor:
        for side in (4, 5, 6):
            x = F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)
        return x

    (finding,) = audit_export(resize_graph(13, 2.0, mode="linear"), paste, [IMAGE])
    assert finding.status == "aligned"


def test_calls_are_recorded_in_order() -> None:
    def model(x: torch.Tensor) -> torch.Tensor:
        x = F.interpolate(x, scale_factor=2, mode="nearest-exact")
        x = F.interpolate(x, size=(8, 10), mode="bicubic", align_corners=True)
        return F.grid_sample(torchvision.ops.roi_align(x, ROIS, 4), GRID, align_corners=False)

    calls = [(call.op, call.convention) for call in record_calls(model, [IMAGE])]
    assert calls == [
        ("Resize", "half_pixel"),
        ("Resize", "align_corners"),
        ("RoiAlign", "unaligned"),
        ("GridSample", "half_pixel"),
    ]
