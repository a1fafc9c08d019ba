"""Keypoints: from ground truth to a cell of the heatmap, and from the heatmap back to the image.

Which cell a keypoint is trained to is read off the gradient of the loss at a flat heatmap. A
dome is then put over that cell, and the model asked where it sees the keypoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from d2align.audit.guard import ProbeFailure
from d2align.audit.pipeline.drift import Drift, find_drift
from d2align.audit.pipeline.load import Pipeline
from d2align.audit.pipeline.rig import Rig, rigged
from d2align.audit.pipeline.scene import SCALE, Scene, make_scene
from d2align.audit.pipeline.targets import Target
from d2align.audit.record import Finding

_STAGE = "keypoints"
_TOLERANCE_PX = 0.1  # a cell is about a pixel, and means are over hundreds of keypoints
_PROPOSALS = 8
_GOLDEN = (0.7548776662, 0.5698402910)  # steps of an even sequence over the unit square
_LIT = 20.0


def audit_keypoints(pipeline: Pipeline) -> list[Finding]:
    """Measure the keypoint head of an R-CNN.

    Args:
        pipeline: what is audited.

    Returns:
        Findings for encoding, for decoding and for both together; none without a keypoint head.
    """
    if not getattr(getattr(pipeline.model, "roi_heads", None), "keypoint_on", False):
        return []
    scene = make_scene(_PROPOSALS)
    points = keypoint_places(scene.objects, pipeline.num_keypoints)
    with rigged(pipeline.model) as rig:
        rows, cells, side = keypoint_targets(rig, scene, points)
        found = decode_keypoints(rig, scene, rows, cells, side)
    boxes = scene.proposals[rows][:, None]
    unit = (boxes[..., 2:] - boxes[..., :2]) / side
    centres = boxes[..., :2] + (cells + 0.5) * unit
    given = points[scene.owners[rows]]
    pieces = {
        "encoded, cells against ground truth": (given, centres, 1.0),
        "decoded, detections against cells": (centres / SCALE, found, 1 / SCALE),
        "encoded and decoded": (given / SCALE, found, 1 / SCALE),
    }
    return [
        find_drift(
            _STAGE,
            field,
            _mean_drift(*pair),
            tolerance=_TOLERANCE_PX,
            scatter=3.0,
            parameters={"cell_px": float(unit.mean())},
        )
        for field, pair in pieces.items()
    ]


def keypoint_places(objects: Sequence[Target], count: int) -> np.ndarray:
    """Return (objects, count, 2) points inside the objects' boxes, at even fractions of a pixel.

    Args:
        objects: in an image.
        count: keypoints of each, perhaps 0.
    """
    boxes = np.array([o.box for o in objects])
    steps = np.arange(1, len(boxes) * count + 1)[:, None] * np.array(_GOLDEN) % 1
    inside = 0.1 + 0.8 * steps.reshape(len(boxes), count, 2)
    places: np.ndarray = boxes[:, None, :2] + inside * (boxes[:, None, 2:] - boxes[:, None, :2])
    return places


def keypoint_targets(
    rig: Rig, scene: Scene, points: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the cells to which the keypoints of a scene's proposals are trained.

    Args:
        rig: of the model.
        scene: its objects and proposals.
        points: (objects, K, 2), network pixels; None if the scene has a ground truth of its own.

    Returns:
        (R,) which proposal each row is of, (R, K, 2) cells (x, y), and cells a side.

    Raises:
        ProbeFailure: the loss does not tell.
    """
    masks = "polygon" if getattr(rig.model.roi_heads, "mask_on", False) else None
    losses = rig.train(scene.inputs(scene.truth(masks=masks, keypoints=points)))
    if "keypoint_head" not in rig.seen or "loss_keypoint" not in losses:
        raise ProbeFailure("the keypoint head has no layers() whose heatmaps could be given")
    (_, instances), heatmaps = rig.seen["keypoint_head"]
    gradient: Any = torch.autograd.grad(losses["loss_keypoint"], heatmaps)[0]
    side = gradient.shape[-1]
    flat = gradient.flatten(2)
    if float(flat.amin(dim=2).max()) >= 0:
        raise ProbeFailure("loss_keypoint names no cell for some keypoints")
    best = flat.argmin(dim=2).numpy()
    rows = scene.rows_of(torch.cat([i.proposal_boxes.tensor for i in instances]))
    kept = rows >= 0
    return rows[kept], np.stack([best % side, best // side], axis=2)[kept], side


def decode_keypoints(
    rig: Rig, scene: Scene, rows: np.ndarray, cells: np.ndarray, side: int
) -> np.ndarray:
    """Return where a model sees keypoints of which certain cells are lit.

    Args:
        rig: of the model.
        scene: its proposals are the detections.
        rows: (R,) a proposal each.
        cells: (R, K, 2) cells (x, y).
        side: cells a side.

    Returns:
        (R, K, 2) points, original pixels.

    Raises:
        ProbeFailure: the model gives none.
    """
    # A dome over each cell: a lone lit one falls between the samples of a heatmap made smaller.
    place = torch.arange(side)
    x, y = (torch.from_numpy(cells[..., axis])[..., None] for axis in (0, 1))
    away = ((place - x) ** 2)[..., None, :] + ((place - y) ** 2)[..., :, None]
    rig.heatmaps = _LIT - away.float()
    given = scene.detections(scene.proposals[rows])
    found = rig.detect(scene.inputs(given=False), given)
    if len(found) != len(rows) or not found.has("pred_keypoints"):
        raise ProbeFailure(f"the model gave keypoints for {len(found)} of {len(rows)} detections")
    return found.pred_keypoints[:, :, :2].double().numpy()  # type: ignore[no-any-return]


def _mean_drift(wanted: np.ndarray, got: np.ndarray, unit: float) -> Drift:
    """The mean drift: that of one keypoint is up to half a cell."""
    away = (got - wanted).reshape(-1, 2)
    mean = away.mean(axis=0)
    # Half a cell either way is what any heatmap loses.
    scatter = float(np.quantile(np.abs(away - mean), 0.99)) / unit
    return Drift(mean, np.zeros(2), float(np.abs(mean).max()), scatter)
