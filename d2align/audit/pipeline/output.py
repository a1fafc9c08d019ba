"""Post-processing: detections in the original image's pixels against those of the network's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from d2align.audit.guard import ProbeFailure
from d2align.audit.pipeline.drift import find_drift, measure_drift
from d2align.audit.pipeline.load import Pipeline
from d2align.audit.pipeline.paste import dense_mask
from d2align.audit.pipeline.rig import Rig, is_panoptic, rigged
from d2align.audit.pipeline.scene import NETWORK, SCALE, Scene, make_scene
from d2align.audit.pipeline.targets import LABEL, mask_extent
from d2align.audit.record import Finding

_STAGE = "output"
_EXACT_PX, _RASTER_PX = 0.01, 0.1
_CELLS = 112


def audit_output(pipeline: Pipeline) -> list[Finding]:
    """Measure what a model does to boxes and masks on the way from network to original pixels.

    Args:
        pipeline: what is audited.

    Returns:
        A finding for boxes, and one each for masks and for labels if there are any; none for models
        without regions.
    """
    if getattr(pipeline.model, "roi_heads", None) is None:
        return []
    scene = make_scene(1)
    boxes = scene.proposals
    has_masks = bool(getattr(pipeline.model.roi_heads, "mask_on", False))
    with rigged(pipeline.model) as rig:
        rig.mask_logits = _round_logits(len(boxes))
        found = rig.detect(scene.inputs(given=False), scene.detections(boxes))
        labels = _labels(rig, scene, boxes) if is_panoptic(pipeline.model) else []
    if len(found) != len(boxes):
        raise ProbeFailure(f"of {len(boxes)} detections {len(found)} came out")
    got = found.pred_boxes.tensor.double().numpy()
    findings = [_judge("boxes", boxes / SCALE, got, _EXACT_PX, 0.0)]
    if has_masks:
        extents = [mask_extent(dense_mask(found[k : k + 1])) for k in range(len(found))]
        if any(e is None for e in extents):
            raise ProbeFailure("masks of some detections are empty")
        findings.append(_judge("masks", boxes / SCALE, np.array(extents), _RASTER_PX, 0.15))
    return findings + labels


def _labels(rig: Rig, scene: Scene, boxes: Any) -> list[Finding]:
    """Where the labels of a panoptic model's semantic head land, one object at a time."""

    def labels_of() -> Any:
        return rig.outputs(scene.inputs(given=False), scene.detections(boxes))["sem_seg"]

    classes = len(labels_of())
    stride = int(rig.model.sem_seg_head.common_stride)
    wanted, got = [], []
    for target in scene.objects:
        y, x = ((torch.arange(n // stride) + 0.5) * stride for n in NETWORK)
        away = torch.hypot(x[None, :] - target.centre[0], y[:, None] - target.centre[1])
        rig.label_logits = torch.zeros(classes, *away.shape)
        rig.label_logits[LABEL] = target.radius - away
        labels = labels_of().argmax(dim=0)
        extent = mask_extent((labels == LABEL).double().numpy())
        if extent is None:
            raise ProbeFailure("labels that the semantic head is sure of do not come out")
        wanted.append(target.box / SCALE)
        got.append(extent)
    rig.label_logits = None
    return [_judge("labels", np.array(wanted), np.array(got), _RASTER_PX, 0.15)]


def _judge(field: str, wanted: Any, got: Any, tolerance: float, noise: float) -> Finding:
    return find_drift(
        _STAGE,
        field,
        measure_drift(wanted, got, noise),
        tolerance=tolerance,
        scatter=1.0 if noise else 0.3,
        parameters={"scale": 1 / SCALE},
    )


def _round_logits(count: int) -> torch.Tensor:
    """(N, M, M) logits of an ellipse that touches its box on all sides, sloping smoothly."""
    place = (torch.arange(_CELLS) + 0.5) / _CELLS * 2 - 1
    radius = torch.hypot(place[:, None], place[None, :])
    return (40 * (1 - radius)).expand(count, -1, -1)
