"""Box regression: do decoded targets give ground truth back, in the RPN and in the heads?

The targets are read off the loss of the real predictor, whose decode then gets them as its
prediction, so that whatever a project does around encode and decode is part of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from d2align.audit.guard import ProbeFailure
from d2align.audit.pipeline.drift import find_drift, measure_drift
from d2align.audit.pipeline.load import Pipeline
from d2align.audit.pipeline.rig import Rig, predictors, rigged
from d2align.audit.pipeline.scene import SCALE, Scene, make_scene
from d2align.audit.pipeline.words import Rule
from d2align.audit.probes.box_pair import probe_box_pair
from d2align.audit.record import Finding

_STAGE = "box coding"
_TOLERANCE_PX = 0.02
_STEP = 1.0
_SMOOTH = 1e3  # beta at which smooth L1 is quadratic for every delta


def audit_box_coding(pipeline: Pipeline) -> list[Finding]:
    """Measure the box transforms of a model.

    Args:
        pipeline: what is audited.

    Returns:
        A finding for each module with a box transform.
    """
    found = []
    for name, module in pipeline.model.named_modules():
        transform = getattr(module, "box2box_transform", None)
        if transform is not None and len(transform.weights) == 4:
            probed = probe_box_pair(_on_arrays(transform), f"{_STAGE}: {name}")
            found.append(dataclasses.replace(probed, kind=_STAGE))
    return found


def audit_box_round_trip(pipeline: Pipeline) -> list[Finding]:
    """Measure whether the R-CNN heads, trained to perfection, give ground truth back.

    Args:
        pipeline: what is audited.

    Returns:
        One finding; none for a model without such heads.
    """
    return [_round_trip(pipeline)] if predictors(pipeline.model) else []


def _on_arrays(transform: Any) -> tuple[Any, Any]:
    """The pair of a box transform, taking and giving arrays."""

    def encode(sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return transform.get_deltas(*(torch.tensor(a) for a in (sources, targets))).numpy()

    def decode(deltas: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        return transform.apply_deltas(*(torch.tensor(a) for a in (deltas, boxes))).numpy()

    return encode, decode


def _round_trip(pipeline: Pipeline) -> Finding:
    scene = make_scene(per_object=1)
    with rigged(pipeline.model) as rig:
        boxes = detect_trained(rig, scene, scene.boxes / SCALE)
    return find_drift(
        _STAGE,
        "boxes of detections",
        measure_drift(scene.boxes / SCALE, boxes),
        tolerance=_TOLERANCE_PX,
        parameters={"scale": 1 / SCALE},
        words=_WORDS,
    )


def detect_trained(rig: Rig, scene: Scene, wanted: np.ndarray) -> np.ndarray:
    """Return what heads that learnt the boxes of a scene perfectly detect.

    Args:
        rig: of the model.
        scene: one proposal for each object.
        wanted: (N, 4) XYXY, where the objects are, original pixels.

    Returns:
        (N, 4) the detected box nearest to each, original pixels.

    Raises:
        ProbeFailure: the loss does not tell its targets, or boxes are missing.
    """
    with _quadratic_loss(rig.model):
        rig.deltas = _targets(rig, scene)
    rig.scores = 8.0 + 0.2 * torch.arange(len(scene.proposals)).float()
    boxes = rig.detect(scene.inputs()).pred_boxes.tensor.double().numpy()
    if len(boxes) < len(wanted):
        raise ProbeFailure(f"the heads found {len(boxes)} of {len(wanted)} boxes given to them")
    centres = [(b[:, :2] + b[:, 2:]) / 2 for b in (wanted, boxes)]
    nearest = np.abs(centres[0][:, None] - centres[1][None]).sum(axis=2).argmin(axis=1)
    found: np.ndarray = boxes[nearest]
    return found


def _targets(rig: Rig, scene: Scene) -> torch.Tensor:
    """The (N, 4) deltas at which the loss of each proposal is least."""
    gradients = []
    for value in (0.0, _STEP):
        rig.deltas = torch.full((1000, 4), value)
        losses = rig.train(scene.inputs(scene.truth(*_also(rig))))
        name = next((n for n in losses if "box_reg" in n), None)
        if name is None or "losses" not in rig.seen:
            raise ProbeFailure(f"the losses are {sorted(losses)}, expected one of box regression")
        deltas = rig.seen["predictor0"][1]
        grad = torch.autograd.grad(losses[name], deltas, allow_unused=True)[0]
        if grad is None:
            raise ProbeFailure(f"{name} does not depend on the predicted deltas")
        gradients.append(grad[:, :4])
        proposals = rig.seen["losses"][0][1]
    rows = scene.rows_of(torch.cat([p.proposal_boxes.tensor for p in proposals]))
    change = gradients[1] - gradients[0]
    found = torch.zeros(len(scene.proposals), 4)
    for row, proposal in enumerate(rows):
        if proposal >= 0 and change[row].abs().min() > 0:
            found[proposal] = -gradients[0][row] * _STEP / change[row]
    if len(set(rows[rows >= 0])) < len(found):
        raise ProbeFailure("some proposals that overlap ground truth are not trained on")
    return found


def _also(rig: Rig) -> tuple[str | None, Any]:
    """What ground truth the model wants beside boxes: the form of masks, and keypoints."""
    heads = rig.model.roi_heads
    masks = "polygon" if getattr(heads, "mask_on", False) else None
    keypoints = None
    if getattr(heads, "keypoint_on", False):
        count = heads.keypoint_head.num_keypoints
        centres = np.array([o.centre for o in make_scene().objects])
        keypoints = np.repeat(centres[:, None], count, axis=1)
    return masks, keypoints


@contextlib.contextmanager
def _quadratic_loss(model: Any) -> Iterator[None]:
    """Make the heads' smooth L1 quadratic, so that its gradient tells its target."""
    predictor = predictors(model)[0]
    before = {k: getattr(predictor, k) for k in ("smooth_l1_beta",) if hasattr(predictor, k)}
    if not before or getattr(predictor, "box_reg_loss_type", "smooth_l1") != "smooth_l1":
        raise ProbeFailure(
            f"{type(predictor).__name__} has no smooth_l1 loss off which to read its targets"
        )
    predictor.smooth_l1_beta = _SMOOTH
    try:
        yield
    finally:
        predictor.smooth_l1_beta = before["smooth_l1_beta"]


def _is_2015(drift: Any, near: float, parameters: Any) -> bool:
    return bool(np.abs(drift.mean - [0, 0, 1, 1]).max() < near)


_WORDS = (
    Rule(
        "py_faster_rcnn",
        _is_2015,
        "{field}: right and bottom edges come back {x2_px:+.2f} px too far, as in py-faster-rcnn, "
        "which encodes widths with + 1 but forgets the - 1 when it decodes. Fix: "
        "d2align.geometry.get_deltas and apply_deltas, or D2ALIGN.BOX_TRANSFORM float",
    ),
)
