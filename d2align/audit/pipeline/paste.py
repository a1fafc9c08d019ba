"""Pasting: where the mask of a detection lands in the image, through the model's own inference."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from detectron2.structures import Boxes, Instances

from d2align.audit.guard import ProbeFailure
from d2align.audit.pipeline.load import Pipeline
from d2align.audit.pipeline.rig import Rig, rigged
from d2align.audit.probes.paste_mask import RULES, probe_paste_mask
from d2align.audit.record import Finding

_STAGE = "paste"
_CERTAIN = 1e-6
_HARD_PX = 0.05


def audit_paste(pipeline: Pipeline) -> list[Finding]:
    """Measure how an R-CNN's masks are pasted.

    Args:
        pipeline: what is audited.

    Returns:
        One finding; none without a mask head.
    """
    if not getattr(getattr(pipeline.model, "roi_heads", None), "mask_on", False):
        return []
    with rigged(pipeline.model) as rig:

        def paste(mask: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
            return dense_mask(paste_in(rig, mask, box, size)).astype(np.float64)

        finding = probe_paste_mask(paste, f"{_STAGE}: masks of detections")
    return [_name_inclusive(dataclasses.replace(finding, kind=_STAGE))]


def _name_inclusive(finding: Finding) -> Finding:
    """Name Detectron's paste where, as in Detectron, its box ends with its last pixel."""
    edges = np.array(finding.evidence["edges"])
    wanted = np.array([RULES["detectron1"](low, high - 1) for low, high in edges[:, :2]])
    residual = float(np.abs(edges[:, 2:] - wanted).max())
    if finding.convention != "unknown" or residual > _HARD_PX:
        return finding
    return dataclasses.replace(
        finding,
        convention="detectron1",
        status="deviates",
        residual_px=residual,
        sentence=(
            "Pads the mask, widens the inclusive box and cuts it to whole pixels, as Detectron "
            f"did: edges are up to {finding.error_px:.2f} px off, on average by "
            f"{finding.parameters['shift_px']:+.2f} px. Fix: D2ALIGN.PASTE_MASK aligned."
        ),
    )


def paste_in(rig: Rig, mask: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> Any:
    """Return the Instances that a model makes of one detection with a known mask.

    Args:
        rig: of the model.
        mask: (M, M) probabilities.
        box: (4,) XYXY, pixels.
        size: (h, w) of the image, which is not resized.
    """
    h, w = size
    given = Instances(
        (h, w),
        pred_boxes=Boxes(torch.tensor(np.asarray(box)[None]).float()),
        scores=torch.tensor([0.9]),
        pred_classes=torch.tensor([0]),
    )
    probability = torch.tensor(mask).clamp(_CERTAIN, 1 - _CERTAIN)
    rig.mask_logits = torch.logit(probability)[None].float()
    return rig.detect({"image": torch.zeros(3, h, w), "height": h, "width": w}, given)


def dense_mask(instances: Any) -> np.ndarray:
    """Return the first (h, w) mask of some detections, dense or encoded.

    Raises:
        ProbeFailure: there is none.
    """
    if len(instances) and instances.has("pred_masks"):
        return np.asarray(instances.pred_masks[0].cpu())
    if len(instances) and instances.has("pred_masks_rle"):
        from pycocotools import mask as coco_mask

        return np.asarray(coco_mask.decode(instances.pred_masks_rle[0]))
    raise ProbeFailure("the model's detections have no masks")
