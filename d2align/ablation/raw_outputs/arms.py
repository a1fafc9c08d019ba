"""What can be turned on recorded outputs, and what needs the network to run again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from detectron2.structures import Instances

from d2align.ablation.raw_outputs import boxes
from d2align.ablation.raw_outputs.boxes import BoxStage
from d2align.ablation.raw_outputs.store import RawOutputs
from d2align.ablation.study import Arm

Replay = Callable[[RawOutputs, BoxStage], Instances]


@dataclass(frozen=True)
class ReplayArm:
    """An arm that recorded outputs are enough for.

    Attributes:
        arm: its name, factor, value and note in the table.
        detections: gives the detections of one image.
        paste: a value of the factor paste_mask; "" where there are no masks to paste, since other
            boxes would have had other masks.
    """

    arm: Arm
    detections: Replay
    paste: str


def _recorded(raw: RawOutputs, stage: BoxStage) -> Instances:
    return boxes.recorded(raw)


def _decoded_in_original_pixels(box_transform: str) -> Replay:
    def detections(raw: RawOutputs, stage: BoxStage) -> Instances:
        decoded = boxes.decode_in_original_pixels(raw, stage, box_transform)
        return boxes.select(raw, stage, decoded)

    return detections


def _decoded_in_network_pixels(box_transform: str) -> Replay:
    def detections(raw: RawOutputs, stage: BoxStage) -> Instances:
        decoded = boxes.decode_in_network_pixels(raw, stage, box_transform)
        return boxes.select(raw, stage, decoded)

    return detections


def _clipped_inclusive(raw: RawOutputs, stage: BoxStage) -> Instances:
    decoded = boxes.decode_in_network_pixels(raw, stage, "float")
    return boxes.select(raw, stage, boxes.clip_inclusive(raw, decoded))


REFERENCE = ReplayArm(Arm("reference", "replay", "reference", "aligned"), _recorded, "aligned")
# Every number of the reference again, from its raw outputs: what is recorded must give it exactly.
SELF_CHECK = _decoded_in_network_pixels("float")

_LAST = "replay, last stage"
REPLAY_ARMS = (
    ReplayArm(
        Arm("paste_mask_detectron1", "replay", "paste_mask", "detectron1", "replay"),
        _recorded,
        "detectron1",
    ),
    ReplayArm(
        Arm("last_decode_py_faster_rcnn", "replay", "box_transform", "py_faster_rcnn",
            f"{_LAST}, original px"),
        _decoded_in_original_pixels("py_faster_rcnn"),
        "",
    ),
    ReplayArm(
        Arm("last_decode_py_faster_rcnn_network_px", "replay", "box_transform", "py_faster_rcnn",
            f"{_LAST}, network px"),
        _decoded_in_network_pixels("py_faster_rcnn"),
        "",
    ),
    ReplayArm(
        Arm("last_decode_detectron1", "replay", "box_transform", "detectron1",
            f"{_LAST}, original px"),
        _decoded_in_original_pixels("detectron1"),
        "",
    ),
    ReplayArm(
        Arm("clip_inclusive", "replay", "clip", "to W - 1", f"{_LAST}, original px"),
        _clipped_inclusive,
        "",
    ),
)  # fmt: skip

# What changes proposals, or which boxes get masks: the network runs again, with this turned.
RERUN_ARMS = (
    Arm("box_transform_py_faster_rcnn", "inference", "box_transform", "py_faster_rcnn",
        "network run again"),
    Arm("box_transform_detectron1", "inference", "box_transform", "detectron1",
        "network run again"),
)  # fmt: skip
