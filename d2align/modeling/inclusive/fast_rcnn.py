"""The box predictor as Detectron's: every +1 in original pixels."""

from __future__ import annotations

from typing import Any

import torch
from detectron2.structures import Boxes, Instances
from torch import Tensor

from d2align.geometry.boxes import clip_boxes_detectron1
from d2align.modeling.fast_rcnn import EncodeInOriginalPixels
from d2align.modeling.image_scale import box_scale, check_knows_scale
from d2align.modeling.inclusive.boxes import InclusiveBoxes
from d2align.modeling.inclusive.nms import nms_detectron1


class InclusivePredictor(EncodeInOriginalPixels):
    """A mixin over FastRCNNOutputLayers: encode, decode, clip and suppress as Detectron did.

    Convention: proposals and detections are inclusive indices in original pixels times the scale.
    Which decode, right or one pixel too far, is the box transform's.
    Differs from: FastRCNNOutputLayers in the +1 of overlaps, in the clip to W - 1 and in NMS at
        >=, all in original pixels.
    Source: facebookresearch/Detectron, detectron/core/test.py (im_detect_bbox,
        box_results_with_nms_and_limit).
    """

    def inference(
        self, predictions: Any, proposals: list[Instances]
    ) -> tuple[list[Instances], list[Tensor]]:
        """Return the detections.

        Args:
            predictions: what ``forward`` returned.
            proposals: one Instances an image, whose image_size knows its scale.

        Returns:
            N Instances with pred_boxes (InclusiveBoxes), scores, pred_classes and original_boxes,
            the same boxes in original pixels, unrounded by scaling; and for each image the
            proposals that they come from.
        """
        boxes = self.predict_boxes(predictions, proposals)
        scores = self.predict_probs(predictions, proposals)  # type: ignore[attr-defined]
        sizes = [p.image_size for p in proposals]
        return detections_detectron1(self, boxes, scores, sizes)


def detections_detectron1(
    predictor: Any, boxes: Any, scores: Any, sizes: list[tuple[int, int]]
) -> tuple[list[Instances], list[Tensor]]:
    """Choose detections from decoded boxes as Detectron did.

    Convention: inclusive indices in original pixels times the scale.

    Args:
        predictor: its test_score_thresh, test_nms_thresh and test_topk_per_image are used.
        boxes: (R_i, 4) or (R_i, 4K) for each image, before the clip.
        scores: (R_i, K + 1) probabilities for each image, background last.
        sizes: of the images; they know their scales.

    Returns:
        N Instances, best first, and for each the rows that they come from.
    """
    chosen = [_choose(predictor, *image) for image in zip(boxes, scores, sizes, strict=True)]
    return [found for found, _ in chosen], [rows for _, rows in chosen]


def _choose(
    predictor: Any, boxes: Tensor, scores: Tensor, size: tuple[int, int]
) -> tuple[Instances, Tensor]:
    scale, columns = box_scale(size, boxes), boxes.shape[1] // 4
    original = clip_boxes_detectron1(
        boxes / scale.repeat(columns), check_knows_scale(size).original
    )
    finite = torch.isfinite(boxes).all(dim=1) & torch.isfinite(scores).all(dim=1)
    likely = (scores[:, :-1] > predictor.test_score_thresh) & finite[:, None]
    rows, classes = likely.nonzero(as_tuple=True)
    candidates = original.view(len(boxes), columns, 4)[rows, classes if columns > 1 else 0]
    confidences = scores[rows, classes]
    keep = nms_detectron1(candidates, confidences, classes, predictor.test_nms_thresh)
    if predictor.test_topk_per_image >= 0:
        keep = keep[: predictor.test_topk_per_image]
    found = Instances(size)
    found.original_boxes = Boxes(candidates[keep])
    found.pred_boxes = InclusiveBoxes(candidates[keep] * scale)
    found.scores, found.pred_classes = confidences[keep], classes[keep]
    return found, rows[keep]
