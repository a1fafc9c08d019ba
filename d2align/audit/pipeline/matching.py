"""Matching: how long is a side, where anchors and proposals are compared with ground truth?

A box of an object's size, moved along one axis by more and more, stops being positive where its
overlap falls below the threshold t: at (side + e) (1 - t) / (1 + t) pixels. Objects of several
sizes tell t and e apart; e is what is added to a side, 0 for float boxes and 1 for inclusive ones.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from detectron2.structures import Boxes, Instances

from d2align.audit.guard import ProbeFailure
from d2align.audit.pipeline.drift import Drift, find_drift
from d2align.audit.pipeline.load import Pipeline, quiet
from d2align.audit.pipeline.rig import Rig, predictors, replaced, rigged
from d2align.audit.pipeline.scene import NETWORK, SCALE, Scene
from d2align.audit.pipeline.targets import Target
from d2align.audit.pipeline.words import Rule
from d2align.audit.record import Finding

_STAGE = "matching"
_TOLERANCE_PX = 0.05
_OFFSETS = 24  # tried at a time, for each object and axis
_FINE_PX = 0.003  # to which the largest positive offset is found
_SPARE = 4096  # samples an image
# Sides (w, h) and centres, so far apart that a box moved by its own side meets no other object.
_SIDES = ((104.6, 98.2), (71.3, 76.9), (44.8, 41.7), (29.9, 33.4))
_CENTRES = ((88.31, 84.57), (290.83, 78.19), (90.13, 236.39), (290.61, 241.07))

# (n, 4) boxes -> (n,) whether each is positive
Label = Callable[[np.ndarray], np.ndarray]


def audit_matching(pipeline: Pipeline) -> list[Finding]:
    """Measure by which overlap a model's anchors and proposals become positive.

    Args:
        pipeline: what is audited.

    Returns:
        A finding for each part that labels anchors, and one for the proposals of R-CNN heads.
    """
    found = []
    for name, module in pipeline.model.named_modules():
        method = next((m for m in _ANCHOR_METHODS if hasattr(module, m)), None)
        if method is not None:
            found.append(_judge(name or "anchors", _label_anchors(module, method)))
    if predictors(pipeline.model):
        with rigged(pipeline.model) as rig:
            found.append(_judge("proposals", _label_proposals(rig)))
    return found


# Of Detectron2's RPN, which says 1, 0 and -1, and of its RetinaNet, which says the class.
_ANCHOR_METHODS = {
    "label_and_sample_anchors": lambda labels: labels == 1,
    "label_anchors": lambda labels: labels == 0,
}


def _label_anchors(module: Any, method: str) -> Label:
    truth = Instances(NETWORK)
    truth.gt_boxes = Boxes(torch.tensor(_objects()).float())
    truth.gt_classes = torch.zeros(len(_SIDES), dtype=torch.int64)

    def label(boxes: np.ndarray) -> np.ndarray:
        with ExitStack() as stack:
            for name, value in (("batch_size_per_image", _SPARE), ("positive_fraction", 1.0)):
                if hasattr(module, name):
                    stack.enter_context(replaced(module, name, value))
            stack.enter_context(quiet())
            anchors = [Boxes(torch.tensor(boxes).float())]
            labels = getattr(module, method)(anchors, [truth])[0][0]
        found: np.ndarray = _ANCHOR_METHODS[method](labels).numpy()
        return found

    return label


def _label_proposals(rig: Rig) -> Label:
    heads = rig.model.roi_heads
    objects = [
        Target(NETWORK, c, min(s) / 2) for c, s in zip(_CENTRES, _SIDES, strict=True)
    ]  # of which only the boxes below count
    masks = "polygon" if getattr(heads, "mask_on", False) else None
    keypoints = None
    if getattr(heads, "keypoint_on", False):
        keypoints = np.repeat(np.array(_CENTRES)[:, None], heads.keypoint_head.num_keypoints, 1)

    def label(boxes: np.ndarray) -> np.ndarray:
        scene = Scene(objects, boxes, np.zeros(len(boxes), dtype=int))
        truth = scene.truth(masks, keypoints)
        truth.gt_boxes = Boxes(torch.tensor(_objects()).float())
        inputs = scene.inputs(truth)
        # Which is which, whatever becomes of the boxes on the way.
        number = torch.arange(len(boxes)).float()
        inputs["proposals"].objectness_logits = -1 - number
        rig.train(inputs)
        if "losses" not in rig.seen:
            raise ProbeFailure("the box predictor was trained on nothing")
        (proposals,) = rig.seen["losses"][0][1]
        if not (proposals.has("gt_classes") and proposals.has("objectness_logits")):
            raise ProbeFailure("the heads' samples have no gt_classes and objectness_logits")
        places = (-1 - proposals.objectness_logits).round().long()
        ours = (places >= 0) & (places < len(boxes))
        found = np.zeros(len(boxes), dtype=bool)
        found[places[ours].numpy()] = (proposals.gt_classes[ours] == 0).numpy()
        return found

    return label


def _objects() -> np.ndarray:
    centres, half = np.array(_CENTRES), np.array(_SIDES) / 2
    return np.concatenate([centres - half, centres + half], axis=1)


def _judge(name: str, label: Label) -> Finding:
    extra, scatter, thresholds = [], 0.0, []
    for axis in (0, 1):
        sides = np.array(_SIDES)[:, axis]
        reach = _reach(label, axis)
        slope, start = np.polyfit(sides, reach, 1)
        scatter = max(scatter, float(np.abs(reach - slope * sides - start).max() / slope))
        extra.append(start / slope)
        thresholds.append((1 - slope) / (1 + slope))
    mean = np.array([0.0, 0.0, *extra])
    drift = Drift(mean, np.zeros(2), float(np.abs(mean).max()), scatter)
    return find_drift(
        _STAGE,
        name,
        drift,
        tolerance=_TOLERANCE_PX,
        parameters={"threshold": float(np.mean(thresholds)), "scale": SCALE},
        words=_WORDS,
    )


def _reach(label: Label, axis: int) -> np.ndarray:
    """The largest offset along an axis at which each object's box is still positive, pixels."""
    sides = np.array(_SIDES)[:, axis]
    low, high = 0.0 * sides, 0.95 * sides
    # The best box of an object may be positive whatever its overlap, so a perfect one is there.
    ends = label(_moved(axis, np.stack([low, high], axis=1))).reshape(-1, 2)
    if (ends != [True, False]).any():
        raise ProbeFailure("what is positive does not follow from the overlap with one object")
    while (high - low).max() > _FINE_PX:
        offsets = np.linspace(low, high, _OFFSETS, axis=1)
        positive = label(_moved(axis, offsets)).reshape(offsets.shape)
        last = positive.cumprod(axis=1).sum(axis=1) - 1
        if (positive.sum(axis=1) != last + 1).any() or (last < 0).any():
            raise ProbeFailure("what is positive is no matter of one threshold of overlap")
        rows = np.arange(len(sides))
        low, high = offsets[rows, last], offsets[rows, np.minimum(last + 1, _OFFSETS - 1)]
    return (low + high) / 2


def _moved(axis: int, offsets: np.ndarray) -> np.ndarray:
    """(objects * n, 4) the objects' boxes, moved by (objects, n) offsets along an axis."""
    boxes = np.repeat(_objects()[:, None], offsets.shape[1], axis=1)
    boxes[:, :, axis::2] += offsets[:, :, None]
    return boxes.reshape(-1, 4)


def _is_wide(drift: Drift, near: float, parameters: Any) -> bool:
    return any(
        np.abs(drift.mean[2:] - size).max() < near for size in {1.0, float(parameters["scale"])}
    )


_WORDS = (
    Rule(
        "inclusive",
        _is_wide,
        "{field}: overlaps count {x2_px:+.2f} px a side, as of inclusive boxes (w = x2 - x1 + 1), "
        "so that IoU {threshold:.2f} is met by boxes that are farther off. Right where boxes hold "
        "first and last pixels, wrong for float ones. Fix: w = x2 - x1 (d2align.geometry.box_iou)",
    ),
)
