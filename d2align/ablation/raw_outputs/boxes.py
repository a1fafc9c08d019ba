"""Replay the last box stage: other decodes and clips of the same deltas, without the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from detectron2.modeling.roi_heads.fast_rcnn import fast_rcnn_inference
from detectron2.structures import Boxes, Instances
from torch import Tensor

from d2align.ablation.raw_outputs.store import RawOutputs
from d2align.geometry.boxes import clip_boxes_detectron1
from d2align.registry import build_box_transform


@dataclass(frozen=True)
class BoxStage:
    """What Detectron2's last box stage does with deltas, as its predictor was configured.

    Attributes:
        weights: (wx, wy, ww, wh) of the deltas.
        scale_clamp: upper limit of dw and dh.
        score_threshold: detections at or below it are dropped.
        nms_threshold: IoU above which the lower-scored box of a class is dropped.
        max_detections: of an image; negative for no limit.
    """

    weights: tuple[float, float, float, float]
    scale_clamp: float
    score_threshold: float
    nms_threshold: float
    max_detections: int


def box_stage(predictor: Any) -> BoxStage:
    """Read a box predictor's settings.

    Args:
        predictor: a FastRCNNOutputLayers.

    Returns:
        Its BoxStage.
    """
    transform = predictor.box2box_transform
    return BoxStage(
        weights=tuple(transform.weights),
        scale_clamp=transform.scale_clamp,
        score_threshold=predictor.test_score_thresh,
        nms_threshold=predictor.test_nms_thresh,
        max_detections=predictor.test_topk_per_image,
    )


def decode_in_network_pixels(raw: RawOutputs, stage: BoxStage, box_transform: str) -> Tensor:
    """Decode deltas as Detectron2 does, on the resized image.

    Convention: that of the transform, in network pixels.

    Args:
        raw: one image.
        stage: the predictor's settings.
        box_transform: a value of the factor box_transform.

    Returns:
        (R, 4) or (R, 4K) XYXY, network pixels.
    """
    transform = build_box_transform(box_transform, stage.weights, stage.scale_clamp)
    boxes: Tensor = transform.apply_deltas(_tensor(raw.deltas), _tensor(raw.proposals))
    return boxes


def decode_in_original_pixels(raw: RawOutputs, stage: BoxStage, box_transform: str) -> Tensor:
    """Decode deltas as Detectron and py-faster-rcnn did, on the original image.

    Convention: that of the transform, in original pixels: +1 there is +im_scale in network pixels.

    Args:
        raw: one image.
        stage: the predictor's settings.
        box_transform: a value of the factor box_transform.

    Returns:
        (R, 4) or (R, 4K) XYXY, network pixels.
    """
    transform = build_box_transform(box_transform, stage.weights, stage.scale_clamp)
    deltas, scale = _tensor(raw.deltas), network_scale(raw)
    boxes: Tensor = transform.apply_deltas(deltas, _tensor(raw.proposals) / scale)
    return boxes * scale.repeat(deltas.shape[1] // 4)


def clip_inclusive(raw: RawOutputs, boxes: Tensor) -> Tensor:
    """Clip boxes to [0, W - 1] x [0, H - 1] of the original image, as Detectron clips.

    Convention: integer corners in, though the limit is that of inclusive indices.

    Args:
        raw: one image.
        boxes: (R, 4) or (R, 4K) XYXY, network pixels.

    Returns:
        Boxes of the same shape, network pixels.

    Differs from: Detectron2's clip to [0, W] x [0, H] of the resized image.
    Source: facebookresearch/Detectron, detectron/utils/boxes.py (clip_tiled_boxes).
    """
    scale = network_scale(raw).repeat(boxes.shape[1] // 4)
    clipped: Tensor = clip_boxes_detectron1(boxes / scale, raw.size)
    return clipped * scale


def select(raw: RawOutputs, stage: BoxStage, boxes: Tensor) -> Instances:
    """Choose detections from decoded boxes, by Detectron2's own threshold, NMS and limit.

    Args:
        raw: one image.
        stage: the predictor's settings.
        boxes: (R, 4) or (R, 4K) XYXY, network pixels.

    Returns:
        Instances in network pixels, without masks.
    """
    limits = (stage.score_threshold, stage.nms_threshold, stage.max_detections)
    # A copy: Detectron2 clips in place.
    scores = _tensor(raw.scores)
    found, _ = fast_rcnn_inference([boxes.clone()], [scores], [raw.network_size], *limits)
    return found[0]


def recorded(raw: RawOutputs) -> Instances:
    """Return the detections that the model itself gave, with their RoI masks.

    Args:
        raw: one image.

    Returns:
        Instances in network pixels.
    """
    found = Instances(raw.network_size)
    found.pred_boxes = Boxes(_tensor(raw.boxes).clone())
    found.scores, found.pred_classes = _tensor(raw.confidences), torch.from_numpy(raw.labels)
    if raw.masks.shape[-1]:
        found.pred_masks = _tensor(raw.masks)[:, None]
    return found


def network_scale(raw: RawOutputs) -> Tensor:
    """Return what multiplies a box in original pixels to give it in network pixels.

    Args:
        raw: one image.

    Returns:
        (4,) scales of x1, y1, x2, y2.
    """
    y, x = (n / o for n, o in zip(raw.network_size, raw.size, strict=True))
    return torch.tensor([x, y, x, y])


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(array)
