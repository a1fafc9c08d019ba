"""The RPN as Detectron's: every +1 in network pixels, but for the smallest proposal."""

from __future__ import annotations

from typing import Any

import torch
from detectron2.structures import Boxes, Instances
from detectron2.utils.memory import retry_if_cuda_oom
from torch import Tensor

from d2align.geometry.boxes import clip_boxes_detectron1
from d2align.modeling.image_scale import NetworkSize, check_knows_scale
from d2align.modeling.inclusive.boxes import InclusiveBoxes, iou_detectron1
from d2align.modeling.inclusive.nms import nms_detectron1


class InclusiveRPN:
    """A mixin over RPN: label anchors and choose proposals as Detectron did.

    Convention: anchors, ground truth and proposals are inclusive indices in network pixels.
    Differs from: RPN in the +1 of overlaps, in the clip to W - 1, in NMS at >=, in its smallest
        proposal (one original pixel, +1), and in that anchors across the border, where
        MODEL.RPN.BOUNDARY_THRESH drops them, do not compete for ground truth. Detectron also
        asked for a centre inside the image, which every clipped box has.
    Source: facebookresearch/Detectron, detectron/roi_data/rpn.py and ops/generate_proposals.py.
    """

    training: bool

    @torch.no_grad()
    def label_and_sample_anchors(
        self, anchors: list[Boxes], gt_instances: list[Instances]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Label a sample of the anchors as object or background.

        Args:
            anchors: (R_l, 4) first and last pixel, XYXY, network pixels, for each level.
            gt_instances: one Instances an image, gt_boxes likewise.

        Returns:
            For each image, (R,) labels (1, 0, or -1 to ignore), and (R, 4) matched boxes.
        """
        every = Boxes.cat(anchors).tensor
        labelled = [self._label_image(every, x.gt_boxes.tensor, x.image_size) for x in gt_instances]
        return [labels for labels, _ in labelled], [matched for _, matched in labelled]

    def _label_image(
        self, anchors: Tensor, gt_boxes: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        margin = self.anchor_boundary_thresh  # type: ignore[attr-defined]
        used = torch.ones(len(anchors), dtype=torch.bool, device=anchors.device)
        if margin >= 0:
            used = Boxes(anchors).inside_box(size, margin)
        overlaps = retry_if_cuda_oom(iou_detectron1)(gt_boxes, anchors[used])
        matched, labels_of_used = retry_if_cuda_oom(self.anchor_matcher)(overlaps)  # type: ignore[attr-defined]
        labels = torch.full((len(anchors),), -1, dtype=torch.int8, device=anchors.device)
        labels[used] = labels_of_used.to(anchors.device)
        boxes = torch.zeros_like(anchors)
        if len(gt_boxes):
            boxes[used] = gt_boxes[matched.to(anchors.device)]
        return self._subsample_labels(labels), boxes  # type: ignore[attr-defined]

    @torch.no_grad()
    def predict_proposals(
        self,
        anchors: list[Boxes],
        pred_objectness_logits: list[Tensor],
        pred_anchor_deltas: list[Tensor],
        image_sizes: list[tuple[int, int]],
    ) -> list[Instances]:
        """Decode the deltas and choose the best boxes.

        Args:
            anchors: (R_l, 4) first and last pixel, XYXY, network pixels, for each level.
            pred_objectness_logits: (N, R_l) for each level.
            pred_anchor_deltas: (N, R_l, 4) for each level.
            image_sizes: of N images; they know their scales.

        Returns:
            N Instances with proposal_boxes and objectness_logits, by falling score.
        """
        decoded = self._decode_proposals(anchors, pred_anchor_deltas)  # type: ignore[attr-defined]
        limit = self.pre_nms_topk[self.training]  # type: ignore[attr-defined]
        boxes, scores, levels = _best_of_levels(decoded, pred_objectness_logits, limit)
        return [
            self._choose(boxes[i], scores[i], levels, check_knows_scale(size))
            for i, size in enumerate(image_sizes)
        ]

    def _choose(
        self, boxes: Tensor, scores: Tensor, levels: Tensor, size: NetworkSize
    ) -> Instances:
        finite = torch.isfinite(boxes).all(dim=1) & torch.isfinite(scores)
        if self.training and not finite.all():
            raise FloatingPointError("Predicted boxes or scores are not finite: training diverged")
        # In testing, Detectron took the size of the padded image for the image's own.
        seen = tuple(size) if self.training else size.padded
        boxes = clip_boxes_detectron1(boxes, seen)
        least = max(self.min_box_size, 1.0)  # type: ignore[attr-defined]
        keep = (finite & _is_large_enough(boxes, size, least)).nonzero()[:, 0]
        boxes, scores, levels = boxes[keep], scores[keep], levels[keep]
        keep = nms_detectron1(boxes, scores, levels, self.nms_thresh)  # type: ignore[attr-defined]
        keep = keep[: self.post_nms_topk[self.training]]  # type: ignore[attr-defined]
        out = Instances(size)
        out.proposal_boxes = InclusiveBoxes(boxes[keep])
        out.objectness_logits = scores[keep]
        return out


def _best_of_levels(boxes: list[Tensor], logits: list[Tensor], limit: int) -> tuple[Any, Any, Any]:
    """The boxes (N, R, 4) and scores (N, R) of the best anchors of each level, and their levels."""
    chosen, scores, levels = [], [], []
    for level, (of_level, logit) in enumerate(zip(boxes, logits, strict=True)):
        score, index = logit.topk(min(limit, logit.shape[1]), dim=1)
        chosen.append(of_level.gather(1, index[:, :, None].expand(-1, -1, 4)))
        scores.append(score)
        levels.append(torch.full_like(index[0], level))
    return torch.cat(chosen, dim=1), torch.cat(scores, dim=1), torch.cat(levels)


def _is_large_enough(boxes: Tensor, size: NetworkSize, least: float) -> Tensor:
    """Whether both sides, counted in original pixels, are at least so long."""
    sides = (boxes[:, 2:] - boxes[:, :2]) / boxes.new_tensor([size.scale_x, size.scale_y]) + 1
    return (sides >= least).all(dim=1)
