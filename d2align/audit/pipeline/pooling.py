"""The region poolers of a built model, on features that hold their own positions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from d2align.audit.pipeline.drift import Drift, find_drift
from d2align.audit.pipeline.load import Pipeline
from d2align.audit.pipeline.words import Rule
from d2align.audit.record import Finding

_STAGE = "pooling"
_CELLS = 48  # of a feature map, a side
# Where boxes begin and how large they are, in cells of their level.
_BOXES = ((11.3, 12.9, 10.7, 12.1), (14.05, 10.6, 13.3, 9.9), (9.8, 15.45, 11.9, 14.2))
_TOLERANCE_PX = 0.02


def audit_pooling(pipeline: Pipeline) -> list[Finding]:
    """Measure the ROIPooler modules of a model.

    Args:
        pipeline: what is audited.

    Returns:
        A finding for each of them.
    """
    found = []
    for name, module in pipeline.model.named_modules():
        if hasattr(module, "level_poolers") and hasattr(module, "output_size"):
            found.append(_judge(name, module))
    return found


def _judge(name: str, pooler: Any) -> Finding:
    levels = [_level(pooler, k) for k in range(len(pooler.level_poolers))]
    shift = np.concatenate([s for s, _ in levels])  # (n, 2), cells
    scale = np.concatenate([s for _, s in levels])
    strides = _strides(pooler)
    mean = shift.mean(axis=0) * strides[0]
    drift = Drift(
        mean=mean,
        slope=scale.mean(axis=0) - 1,
        error=float(np.abs(shift).max() * strides[0]),
        scatter=float(np.abs(shift - shift.mean(axis=0)).max() * strides[0]),
    )
    parameters = {
        "x_cells": float(shift[:, 0].mean()),
        "y_cells": float(shift[:, 1].mean()),
        "finest": strides[0],
        "coarsest": strides[-1],
        "coarse_px": float(np.abs(shift.mean(axis=0)).max() * strides[-1]),
    }
    return find_drift(
        _STAGE, name, drift, tolerance=_TOLERANCE_PX, parameters=parameters, words=_WORDS
    )


def _strides(pooler: Any) -> list[float]:
    return [1 / float(getattr(p, "spatial_scale", 1.0)) for p in pooler.level_poolers]


@torch.no_grad()
def _level(pooler: Any, level: int) -> tuple[np.ndarray, np.ndarray]:
    """How far one level's samples lie from the centres of their bins, in cells, and their scale.

    One level at a time: it does not matter here to which level a box is sent.
    """
    op = pooler.level_poolers[level]
    stride = _strides(pooler)[level]
    place = torch.arange(_CELLS) + 0.5
    ramps = torch.stack([place.expand(_CELLS, -1), place[:, None].expand(-1, _CELLS)])[None]
    boxes = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in _BOXES])
    rois = torch.cat([torch.zeros(len(boxes), 1), boxes * stride], dim=1)
    pooled = op(ramps.float(), rois).double().numpy()  # (N, 2, K, K), in cells
    shifts, scales = [], []
    for (x, y, w, h), got in zip(_BOXES, pooled, strict=True):
        rows, columns = got.shape[1:]
        for axis, (low, side, n, line) in enumerate(
            ((x, w, columns, got[0].mean(axis=0)), (y, h, rows, got[1].mean(axis=1)))
        ):
            wanted = low + (np.arange(n) + 0.5) / n * side
            slope, _ = np.polyfit(wanted, line, 1)
            shifts.append((axis, float((line - wanted).mean())))
            scales.append((axis, float(slope)))
    return _by_axis(shifts), _by_axis(scales)


def _by_axis(values: list[tuple[int, float]]) -> np.ndarray:
    return np.array([[v for a, v in values if a == axis] for axis in (0, 1)]).T


def _is_unaligned(drift: Any, near: float, parameters: Any) -> bool:
    return bool(abs(parameters["x_cells"] - 0.5) < 0.02 and abs(parameters["y_cells"] - 0.5) < 0.02)


_WORDS = (
    Rule(
        "unaligned",
        _is_unaligned,
        "{field}: features are read half a cell too far right and down ({x:+.2f} px at the finest "
        "level, {coarse_px:.0f} px at the coarsest): RoIAlign with aligned=False. Features fit "
        "such a shift; weights need the pooler they had. Fix, for training anew: POOLER_TYPE "
        "ROIAlignV2",
    ),
)
