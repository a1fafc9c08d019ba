"""Anchors of a built model: are they centred on their cells, and not rounded?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from d2align.audit.guard import ProbeFailure
from d2align.audit.pipeline.load import Pipeline
from d2align.audit.record import Finding, status_of

_GRID = (3, 4)
_STAGE = "anchors"
_NAMED_PX = 0.01


def audit_anchors(pipeline: Pipeline) -> list[Finding]:
    """Measure the anchor generators of a model.

    Args:
        pipeline: what is audited.

    Returns:
        A finding for each generator; none if there is none.

    Raises:
        ProbeFailure: anchors are no upright boxes.
    """
    generators = {
        name: module
        for name, module in pipeline.model.named_modules()
        if hasattr(module, "cell_anchors") and hasattr(module, "strides")
    }
    return [_judge(name, generator) for name, generator in generators.items()]


def _judge(name: str, generator: Any) -> Finding:
    strides = [int(s) for s in generator.strides]
    with torch.no_grad():
        levels = generator([torch.zeros(1, 1, *_GRID) for _ in strides])
    centres, whole = [], True
    for anchors in levels:
        boxes = anchors.tensor.double().numpy()
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise ProbeFailure(f"anchors have {boxes.shape[-1]} numbers, expected upright boxes")
        cell = boxes[: len(boxes) // (_GRID[0] * _GRID[1])]
        centres.append((cell[:, :2] + cell[:, 2:]).mean(axis=0) / 2)
        whole &= bool(np.abs(cell - np.round(cell)).max() < 1e-4)
    away = np.array([c - s / 2 for c, s in zip(centres, strides, strict=True)])
    error = float(np.abs(away).max())
    convention = _name(np.array(centres), np.array(strides, dtype=float)[:, None])
    sentence = _SENTENCES[convention].format(
        least=np.abs(away).min(), most=error, x=away[0, 0], y=away[0, 1]
    )
    if whole:
        sentence += " Their coordinates are whole pixels, which changes areas by up to an eighth."
    unknown = convention == "unknown"
    return Finding(
        kind=_STAGE,
        subject=f"{_STAGE}: {name.rpartition('.')[2]}",
        convention=convention,
        status="unknown" if unknown else status_of(error),
        sentence=sentence,
        error_px=0.0 if error <= _NAMED_PX else error,
        residual_px=error if unknown else 0.0,
        parameters={
            "x_px": float(away[0, 0]),
            "y_px": float(away[0, 1]),
            "whole_pixels": whole,
            "strides": strides,
        },
        evidence={"centres": np.array(centres).tolist()},
    )


def _name(centres: np.ndarray, strides: np.ndarray) -> str:
    rules = {"centred": strides / 2, "corner": 0 * strides, "index_centre": (strides - 1) / 2}
    for name, wanted in rules.items():
        if np.abs(centres - wanted).max() <= _NAMED_PX:
            return name
    return "unknown"


_SENTENCES = {
    "centred": "Anchors are centred on their cells.",
    "corner": (
        "Anchors are centred on the corners of their cells, {least:.0f} to {most:.0f} px up and "
        "left of the middle. That is Detectron2's default, with which its published weights were "
        "trained, and costs no accuracy that could be measured, since the offset is learnt. Fix, "
        "for training anew: MODEL.ANCHOR_GENERATOR.OFFSET 0.5."
    ),
    "index_centre": (
        "Anchors are centred on (stride - 1) / 2, the middle of a cell in indices: right for "
        "inclusive boxes, half a pixel off for float ones. Weights need the anchors they had."
    ),
    "unknown": (
        "Anchors are centred neither on their cells nor on the corners of these: at the finest "
        "level {x:+.2f} px (x), {y:+.2f} px (y) from the middle. Fix: an offset of 0.5 strides."
    ),
}
