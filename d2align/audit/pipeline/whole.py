"""The whole way: from a file of annotations to a file of results, through heads that learnt it all.

What the training mapper makes of the annotations is what the heads are taught, what they then
detect goes to the evaluator, and its file is compared with the annotations: errors of stages that
cancel are none here.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.data import DatasetCatalog
from detectron2.structures import Boxes

from d2align.audit.guard import ProbeFailure
from d2align.audit.pipeline.box_coding import detect_trained
from d2align.audit.pipeline.drift import Drift, find_drift, measure_drift
from d2align.audit.pipeline.keypoints import decode_keypoints, keypoint_places, keypoint_targets
from d2align.audit.pipeline.load import Pipeline, quiet
from d2align.audit.pipeline.mapped import call_mapper, image_centre
from d2align.audit.pipeline.mask_target import mask_targets
from d2align.audit.pipeline.results import DATASET, places_of, read_results, registered
from d2align.audit.pipeline.rig import Rig, predictors, rigged
from d2align.audit.pipeline.scene import ORIGINAL, SCALE, Scene, make_scene
from d2align.audit.pipeline.targets import Target, mask_extent, write_image
from d2align.audit.pipeline.words import Rule
from d2align.audit.record import Finding

_STAGE = "whole"
_BOX_PX, _MASK_PX, _KEYPOINT_PX = 0.05, 0.3, 0.15
_SEEDS = 20
_NEAR_PX = 3.0
_SURE = 12.0  # logit of a cell


def audit_whole(pipeline: Pipeline) -> list[Finding]:
    """Measure a pipeline from annotations to results, on an image that is not flipped or cropped.

    Args:
        pipeline: what is audited.

    Returns:
        A finding for boxes, and one each for masks and keypoints if there are any; none for models
        without regions.

    Raises:
        ProbeFailure: no such image comes, or a part of it cannot be measured.
    """
    if not predictors(pipeline.model):
        return []
    objects = [
        Target(ORIGINAL, (x / SCALE, y / SCALE), o.radius / SCALE)
        for o in make_scene().objects
        for x, y in [o.centre]
    ]
    points = keypoint_places(objects, pipeline.num_keypoints)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_image(objects[0], folder / "1.png")
        stack.enter_context(registered(objects, pipeline.num_keypoints, folder, points))
        stack.enter_context(quiet())
        mapped = _map_unflipped(pipeline, objects[0])
        rig = stack.enter_context(rigged(pipeline.model))
        detected = _detect(rig, mapped, objects)
        rows = read_results(pipeline, detected, folder / "inference")
    return _judge(objects, points, places_of(rows))


def _map_unflipped(pipeline: Pipeline, shown: Target) -> dict[str, Any]:
    """What the training mapper makes of the image when it only resizes it."""
    (record,) = DatasetCatalog.get(DATASET)
    h, w = ORIGINAL
    for seed in range(_SEEDS):
        mapped = call_mapper(pipeline.train_mapper, record, seed)
        size = np.array(mapped["image"].shape[-2:])
        centre, wanted = image_centre(mapped), np.array(shown.centre) * size[::-1] / [w, h]
        if centre is not None and np.abs(centre - wanted).max() < _NEAR_PX:
            return mapped
    raise ProbeFailure("the training mapper flips, crops or turns every image")


def _detect(rig: Rig, mapped: dict[str, Any], objects: list[Target]) -> Any:
    """The Instances that perfectly trained heads find, best first, in original pixels."""
    truth = mapped["instances"]
    if len(truth) != len(objects):
        raise ProbeFailure(f"the training mapper keeps {len(truth)} of {len(objects)} objects")
    image = torch.zeros(mapped["image"].shape, dtype=torch.float32)
    base = {k: v for k, v in mapped.items() if k not in ("instances", "sem_seg")}
    network = (int(image.shape[-2]), int(image.shape[-1]))
    boxes = truth.gt_boxes.tensor.double().numpy()
    outward = np.random.default_rng(0).uniform(1.5, 5.0, boxes.shape) * [-1, -1, 1, 1]
    scene = Scene(
        objects,
        (boxes + outward).astype(np.float32).astype(np.float64),
        np.arange(len(boxes)),
        network,
        {**base, "image": image, "height": ORIGINAL[0], "width": ORIGINAL[1]},
        truth,
    )
    wanted = np.array([o.box for o in objects])
    found = detect_trained(rig, scene, wanted)
    # Masks and keypoints are learnt in boxes that are as those detected.
    scale = np.tile(np.array(network[::-1]) / ORIGINAL[::-1], 2)
    proposals = (found * scale).astype(np.float32).astype(np.float64)
    scene = Scene(objects, proposals, scene.owners, network, scene.base, truth)
    rig.deltas = None
    instances = _with_masks(rig, scene)
    instances.pred_boxes = Boxes(torch.tensor(found).float())
    return instances


def _with_masks(rig: Rig, scene: Scene) -> Any:
    """Detections at a scene's proposals, with the masks and keypoints that heads learn there."""
    heads, count = rig.model.roi_heads, len(scene.proposals)
    if getattr(heads, "mask_on", False):
        rows, masks = mask_targets(rig, scene, "as mapped")
        logits = torch.full((count, *masks.shape[1:]), -_SURE)
        logits[torch.from_numpy(rows)] = torch.from_numpy(np.where(masks, _SURE, -_SURE)).float()
        rig.mask_logits = logits
    points = None
    if getattr(heads, "keypoint_on", False):
        rows, cells, side = keypoint_targets(rig, scene)
        order = np.argsort(rows)
        if len(rows) < count:
            raise ProbeFailure("some proposals are not trained for keypoints")
        points = decode_keypoints(rig, scene, rows[order], cells[order], side)
    found = rig.detect(scene.inputs(given=False), scene.detections(scene.proposals))
    if points is not None:
        visible = torch.ones(*points.shape[:2], 1)
        found.pred_keypoints = torch.cat([torch.from_numpy(points).float(), visible], dim=2)
    if len(found) != count:
        raise ProbeFailure(f"of {count} detections {len(found)} came out")
    return found


def _judge(objects: list[Target], points: np.ndarray, got: dict[str, np.ndarray]) -> list[Finding]:
    wanted = {
        "boxes": np.array([o.box for o in objects]),
        "masks": np.array([mask_extent(o.mask) for o in objects]),
    }
    tolerances = {"boxes": _BOX_PX, "masks": _MASK_PX, "keypoints": _KEYPOINT_PX}
    scatters = {"boxes": 0.3, "masks": 1.5, "keypoints": 2.0}
    found = []
    for name, places in got.items():
        if name == "keypoints":
            mean = (places - points).reshape(-1, 2).mean(axis=0)
            drift = Drift(mean, np.zeros(2), float(np.abs(mean).max()), 0.0)
        else:
            drift = measure_drift(wanted[name], places, 0.3 * (name == "masks"))
        found.append(
            find_drift(
                _STAGE,
                name,
                drift,
                tolerance=tolerances[name],
                scatter=scatters[name],
                parameters={"scale": 1 / SCALE},
                words=_POINT_WORDS if name == "keypoints" else _WORDS,
            )
        )
    return found


_REST = (
    " from annotations to results, the sum of all stages. Fix those that deviate; if none does, "
    "look between them"
)
_WORDS = (
    Rule(
        "sum_of_stages",
        lambda drift, near, parameters: True,
        "{field}: edges lie {x1_px:+.2f} px (left), {y1_px:+.2f} px (top), {x2_px:+.2f} px "
        "(right), {y2_px:+.2f} px (bottom) off" + _REST,
    ),
)
_POINT_WORDS = (
    Rule(
        "sum_of_stages",
        lambda drift, near, parameters: True,
        "{field}: {x_px:+.2f} px (x), {y_px:+.2f} px (y) off" + _REST,
    ),
)
