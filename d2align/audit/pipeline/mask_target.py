"""Mask targets: where an object's mask lies in the grid of its proposal.

The loss is asked: the gradient of cross entropy at logits of zero tells its target, whatever made
it.
"""

from __future__ import annotations

import numpy as np
import torch

from d2align.audit.guard import ProbeFailure
from d2align.audit.pipeline.drift import Drift, find_drift, measure_drift
from d2align.audit.pipeline.load import Pipeline
from d2align.audit.pipeline.rig import Rig, rigged
from d2align.audit.pipeline.scene import SCALE, Scene, make_scene
from d2align.audit.pipeline.targets import mask_extent
from d2align.audit.pipeline.words import Rule
from d2align.audit.record import Finding

_STAGE = "mask target"
_TOLERANCE_PX, _SCATTER_PX = 0.2, 1.5  # a cell is three pixels
_FORMATS = ("polygon", "bitmask")


def audit_mask_target(pipeline: Pipeline) -> list[Finding]:
    """Measure the mask targets of an R-CNN, from polygons and from bitmasks.

    Args:
        pipeline: what is audited.

    Returns:
        A finding for each form of ground truth that the model takes; none without a mask head.

    Raises:
        ProbeFailure: it takes neither.
    """
    if not getattr(getattr(pipeline.model, "roi_heads", None), "mask_on", False):
        return []
    scene, found, refused = make_scene(), [], ""
    for form in _FORMATS:
        try:
            with rigged(pipeline.model) as rig:
                rows, masks = mask_targets(rig, scene, form)
        except (ValueError, AssertionError, AttributeError) as e:
            refused = str(e)
            continue
        found.append(_judge(scene, form, rows, masks))
    if not found:
        raise ProbeFailure(f"the mask head takes neither polygons nor bitmasks: {refused}")
    return found


def mask_targets(rig: Rig, scene: Scene, form: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the targets of a scene's proposals.

    Args:
        rig: of the model.
        scene: its objects and proposals.
        form: polygon | bitmask, of the ground truth.

    Returns:
        (R,) which proposal each belongs to, and (R, M, M) bool targets.

    Raises:
        ProbeFailure: the loss does not tell.
    """
    losses = rig.train(scene.inputs(scene.truth(masks=form)))
    if "mask_head" not in rig.seen or "loss_mask" not in losses:
        raise ProbeFailure("the mask head has no layers() whose logits could be given")
    (_, instances), logits = rig.seen["mask_head"]
    gradient = torch.autograd.grad(losses["loss_mask"], logits)[0]
    if gradient.abs().max() == 0:
        raise ProbeFailure("loss_mask does not depend on the logits")
    rows = scene.rows_of(torch.cat([i.proposal_boxes.tensor for i in instances]) * _unit(instances))
    masks = (gradient.abs().amax(dim=1) > 0, gradient.amin(dim=1) < 0)
    assert masks[0].any()
    kept = rows >= 0
    return rows[kept], masks[1].numpy()[kept]


def _unit(instances: list) -> float:  # type: ignore[type-arg]
    """Network pixels a pixel of the boxes: heads of some variants see original ones."""
    largest = max(float(i.proposal_boxes.tensor.max()) for i in instances)
    network = max(max(i.image_size) for i in instances)
    return SCALE if largest * SCALE < network else 1.0


def _judge(scene: Scene, form: str, rows: np.ndarray, masks: np.ndarray) -> Finding:
    wanted, got, cells = [], [], []
    for row, mask in zip(rows, masks, strict=True):
        extent = mask_extent(mask.astype(np.float64))
        if extent is None:
            continue
        x1, y1, x2, y2 = scene.proposals[row]
        cell = np.array([x2 - x1, y2 - y1]) / mask.shape[::-1]
        target = scene.objects[scene.owners[row]]
        drawn = mask_extent(target.mask)
        wanted.append(target.box if form == "polygon" else drawn)
        got.append(extent * np.tile(cell, 2) + [x1, y1, x1, y1])
        cells.append(cell.mean())
    drift: Drift = measure_drift(wanted, got, noise=0.5)
    return find_drift(
        _STAGE,
        f"{form}s",
        drift,
        tolerance=_TOLERANCE_PX,
        scatter=_SCATTER_PX,
        parameters={"cell_px": float(np.mean(cells)), "scale": SCALE},
        words=_WORDS,
    )


def _is_left_out(drift: Drift, near: float, parameters: object) -> bool:
    return bool(np.abs(drift.mean[:2]).max() < near and (drift.mean[2:] > near).all())


_WORDS = (
    Rule(
        "last_pixel_left_out",
        _is_left_out,
        "{field}: drawn in boxes whose last pixel is left out, as in Detectron, so that masks "
        "reach {x2_px:+.2f} px (x), {y2_px:+.2f} px (y) too far right and down. Fix: "
        "D2ALIGN.MASK_TARGET aligned",
    ),
)
