"""R-CNN heads that match proposals to ground truth as Detectron did."""

from __future__ import annotations

from typing import Any

import torch
from detectron2.structures import Boxes, Instances, PolygonMasks
from torch import Tensor

from d2align.geometry.boxes import clip_boxes_detectron1, inclusive_to_float
from d2align.modeling.image_scale import box_scale, check_knows_scale
from d2align.modeling.inclusive.boxes import InclusiveBoxes, iou_detectron1
from d2align.modeling.inclusive.fast_rcnn import detections_detectron1


class InclusiveROIHeads:
    """A mixin over ROIHeads: overlaps have their +1 in original pixels.

    Convention: boxes are inclusive indices in original pixels times the scale.
    Differs from: ROIHeads also in the polygons that a proposal is trained on: those whose own
        box it overlaps most, whatever ground-truth box it is matched to.
    Source: facebookresearch/Detectron, detectron/datasets/json_dataset.py (add_proposals) and
        roi_data/mask_rcnn.py.
    """

    def label_and_sample_proposals(
        self, proposals: list[Instances], targets: list[Instances]
    ) -> list[Instances]:
        """Match proposals to ground truth and sample them.

        Args:
            proposals: one Instances an image, with proposal_boxes.
            targets: one Instances an image, with gt_boxes and gt_classes.

        Returns:
            The sampled proposals, with what ROIHeads adds to them.
        """
        sampled: list[Instances] = super().label_and_sample_proposals(  # type: ignore[misc]
            [_to_match(p) for p in proposals], [_to_match(t) for t in targets]
        )
        for found, target in zip(sampled, targets, strict=True):
            _restore(found)
            if found.has("gt_masks") and isinstance(target.gt_masks, PolygonMasks):
                found.gt_masks = target.gt_masks[_most_overlapping_polygons(found, target)]
        return sampled


class InclusiveCascadeROIHeads(InclusiveROIHeads):
    """A mixin over CascadeROIHeads: what Detectron did in its one stage, in every stage.

    Convention: boxes are inclusive indices in original pixels times the scale.
    """

    def _match_and_label_boxes(
        self, proposals: list[Instances], stage: int, targets: list[Instances]
    ) -> list[Instances]:
        labelled: list[Instances] = super()._match_and_label_boxes(  # type: ignore[misc]
            [_to_match(p) for p in proposals], stage, [_to_match(t) for t in targets]
        )
        for found in labelled:
            _restore(found)
        return labelled

    def _create_proposals_from_boxes(
        self, boxes: list[Tensor], image_sizes: list[tuple[int, int]]
    ) -> list[Instances]:
        proposals = []
        for of_image, size in zip(boxes, image_sizes, strict=True):
            scale = box_scale(size, of_image)
            original = of_image.detach() / scale
            clipped = clip_boxes_detectron1(original, check_knows_scale(size).original)
            proposals.append(Instances(size, proposal_boxes=InclusiveBoxes(clipped * scale)))
        return proposals

    def _forward_box(
        self, features: dict[str, Tensor], proposals: list[Instances], targets: Any = None
    ) -> Any:
        if self.training:  # type: ignore[attr-defined]
            return super()._forward_box(features, proposals, targets)  # type: ignore[misc]
        # Detectron2's own last stage clips and suppresses float boxes.
        levels = [features[name] for name in self.box_in_features]  # type: ignore[attr-defined]
        sizes = [p.image_size for p in proposals]
        scores: list[Any] = []
        boxes: list[Tensor] = []
        for stage, predictor in enumerate(self.box_predictor):  # type: ignore[attr-defined]
            if stage:
                proposals = self._create_proposals_from_boxes(boxes, sizes)
            predictions = self._run_stage(levels, proposals, stage)  # type: ignore[attr-defined]
            boxes = predictor.predict_boxes(predictions, proposals)
            scores.append(predictor.predict_probs(predictions, proposals))
        means = [sum(of_image) / len(scores) for of_image in zip(*scores, strict=True)]
        return detections_detectron1(predictor, boxes, means, sizes)[0]


class _BoxesToMatch(Boxes):
    """Float boxes over the same original pixels as inclusive ones, which they bring along."""

    def __init__(self, tensor: Tensor, inclusive: Tensor) -> None:
        super().__init__(tensor)
        self.inclusive = inclusive

    def __getitem__(self, item: Any) -> _BoxesToMatch:
        return _BoxesToMatch(self.tensor[item], self.inclusive[item])

    @classmethod
    def cat(cls, boxes_list: list[Any]) -> _BoxesToMatch:
        tensors = torch.cat([b.tensor for b in boxes_list])
        return cls(tensors, torch.cat([b.inclusive for b in boxes_list]))


def _to_match(instances: Instances) -> Instances:
    out = Instances(instances.image_size, **instances.get_fields())
    for name in ("proposal_boxes", "gt_boxes"):
        if out.has(name):
            boxes = out.get(name).tensor
            original = boxes / box_scale(instances.image_size, boxes)
            out.set(name, _BoxesToMatch(inclusive_to_float(original), boxes))
    return out


def _restore(instances: Instances) -> None:
    for name in ("proposal_boxes", "gt_boxes"):
        if instances.has(name):  # without ground truth, Detectron2 fills in boxes of its own
            boxes = instances.get(name)
            instances.set(name, InclusiveBoxes(getattr(boxes, "inclusive", boxes.tensor)))


def _most_overlapping_polygons(proposals: Instances, targets: Instances) -> Tensor:
    """For each proposal, the ground truth whose polygons' box it overlaps most."""
    boxes = proposals.proposal_boxes.tensor
    scale = box_scale(proposals.image_size, boxes)
    # Tight boxes of the polygons, continuous numbers read as first and last pixels.
    polygons = targets.gt_masks.get_bounding_boxes().tensor.to(boxes.device)
    return iou_detectron1(boxes / scale, polygons / scale).argmax(dim=1)
