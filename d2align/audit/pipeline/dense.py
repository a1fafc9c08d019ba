"""One-stage detectors of RetinaNet's kind: lit anchors against the boxes that come out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from d2align.audit.guard import ProbeFailure
from d2align.audit.pipeline.drift import find_drift, measure_drift
from d2align.audit.pipeline.load import Pipeline, quiet
from d2align.audit.pipeline.rig import BlankBackbone
from d2align.audit.pipeline.scene import NETWORK, ORIGINAL, SCALE
from d2align.audit.record import Finding

_STAGE = "output"
_EXACT_PX = 0.01
_COUNT, _MARGIN = 6, 4.0
_LIT = 6.0


def audit_dense(pipeline: Pipeline) -> list[Finding]:
    """Measure a model's boxes, from anchors with deltas of zero to original pixels.

    Args:
        pipeline: what is audited.

    Returns:
        One finding; none for models with regions, or without a head and anchors.
    """
    model = pipeline.model
    parts = all(hasattr(model, name) for name in ("head", "anchor_generator", "backbone"))
    if hasattr(model, "roi_heads") or not parts:
        return []
    h, w = ORIGINAL
    inputs = {"image": torch.zeros(3, *NETWORK), "height": h, "width": w}
    with _replaced_head(model) as head, torch.no_grad(), quiet():
        model.eval()
        model([inputs])
        lit = _choose(head)
        found = model([inputs])[0]["instances"]
    boxes = found.pred_boxes.tensor.double().numpy()[: len(lit)]
    if len(boxes) < len(lit):
        raise ProbeFailure(f"of {len(lit)} anchors lit {len(boxes)} came out as boxes")
    away = np.abs(lit[:, None] / SCALE - boxes[None]).sum(axis=2)
    drift = measure_drift(lit / SCALE, boxes[away.argmin(axis=1)])
    return [
        find_drift(_STAGE, "boxes", drift, tolerance=_EXACT_PX, parameters={"scale": 1 / SCALE})
    ]


class _Head(torch.nn.Module):
    """A head that lights some anchors and moves none."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = [model]  # in a list, so that it is no part of this module
        self.lit: dict[int, list[int]] = {}
        self.anchors: list[np.ndarray] = []

    def forward(self, features: list[torch.Tensor]) -> Any:
        """Return logits and deltas of each level."""
        levels = self.model[0].anchor_generator(features)
        self.anchors = [a.tensor.double().numpy() for a in levels]
        classes = self.model[0].num_classes
        logits, deltas = [], []
        for level, (feature, anchors) in enumerate(zip(features, self.anchors, strict=True)):
            h, w = feature.shape[-2:]
            per_cell = len(anchors) // (h * w)
            scores = torch.full((h * w * per_cell, classes), -20.0)
            for k, index in enumerate(self.lit.get(level, [])):
                scores[index, 0] = _LIT - 0.1 * k
            grid = scores.view(h, w, per_cell * classes).permute(2, 0, 1)
            logits.append(grid[None])
            deltas.append(torch.zeros(1, per_cell * 4, h, w))
        return logits, deltas


def _choose(head: _Head) -> np.ndarray:
    """Light some anchors of the first level that lie inside the image and far from each other."""
    anchors = head.anchors[0]
    h, w = NETWORK
    inside = (anchors[:, :2] > _MARGIN).all(axis=1)
    inside &= (anchors[:, 2:] < np.array([w, h]) - _MARGIN).all(axis=1)
    places = np.flatnonzero(inside)
    if len(places) < _COUNT:
        raise ProbeFailure("the finest anchors do not fit into an image of 320 x 416 px")
    chosen = places[np.linspace(0, len(places) - 1, _COUNT).astype(int)]
    head.lit = {0: chosen.tolist()}
    lit: np.ndarray = anchors[chosen]
    return lit


@contextmanager
def _replaced_head(model: Any) -> Iterator[_Head]:
    before, training = (model.backbone, model.head), model.training
    head = _Head(model)
    model.backbone, model.head = BlankBackbone(model.backbone), head
    try:
        yield head
    finally:
        model.backbone, model.head = before
        model.train(training)
