"""Detectron2's PointRendMaskHead, its losses and layers unchanged, with points sampled here."""

from __future__ import annotations

from typing import Any

import torch
from detectron2.modeling import ROI_MASK_HEAD_REGISTRY
from detectron2.modeling.roi_heads.mask_head import mask_rcnn_inference
from detectron2.projects.point_rend import PointRendMaskHead
from detectron2.projects.point_rend.mask_head import calculate_uncertainty
from detectron2.structures import BitMasks, Boxes, Instances
from torch import Tensor

from d2align.geometry import regular_points, unit_to_image_coords

from .sampling import ALIGN_CORNERS, ALIGNED, PointSampling
from .subdivision import subdivide
from .uncertain_points import draw_uncertain_points

Features = dict[str, Tensor]


@ROI_MASK_HEAD_REGISTRY.register()
class PixelExactPointRendMaskHead(PointRendMaskHead):
    """PointRendMaskHead that samples points by d2align's functions; the same values.

    Convention: integer corners; cell j of W is centred on (j + 0.5) / W.

    Attributes:
        sampling: how features, coarse masks and ground truth are read at points.
    """

    sampling: PointSampling = ALIGNED

    def _roi_pooler(self, features: Features, boxes: list[Boxes]) -> Tensor:
        side = self.roi_pooler_size
        points = regular_points(side, sum(map(len, boxes)), device=boxes[0].device)
        pooled = self._features_at(features, self.roi_pooler_in_features, boxes, points)
        return pooled.unflatten(2, (side, side))

    def _point_pooler(self, features: Features, boxes: list[Boxes], unit_coords: Tensor) -> Tensor:
        return self._features_at(features, self.mask_point_in_features, boxes, unit_coords)

    def _get_point_logits(self, fine: Tensor, unit_coords: Tensor, coarse_mask: Tensor) -> Tensor:
        logits: Tensor = self.point_head(fine, self.sampling.unit(coarse_mask, unit_coords))
        return logits

    @torch.no_grad()
    def _sample_train_points(
        self, coarse_mask: Tensor, instances: list[Instances]
    ) -> tuple[Tensor, Tensor]:
        classes = torch.cat([i.gt_classes for i in instances])

        def uncertainty(unit_coords: Tensor) -> Tensor:
            logits = self.sampling.unit(coarse_mask, unit_coords)
            return calculate_uncertainty(logits, classes)[:, 0]

        unit_coords = draw_uncertain_points(
            uncertainty,
            len(coarse_mask),
            self.mask_point_train_num_points,
            self.mask_point_oversample_ratio,
            self.mask_point_importance_sample_ratio,
            coarse_mask.device,
        )
        return unit_coords, self._labels_at(instances, unit_coords)

    def _subdivision_inference(
        self, features: Features, coarse_mask: Tensor, instances: list[Instances]
    ) -> list[Instances]:
        boxes = [i.pred_boxes for i in instances]

        def predict(unit_coords: Tensor) -> Tensor:
            fine = self._point_pooler(features, boxes, unit_coords)
            return self._get_point_logits(fine, unit_coords, coarse_mask)

        logits = subdivide(
            predict,
            torch.cat([i.pred_classes for i in instances]),
            self.mask_point_subdivision_init_resolution,
            self.mask_point_subdivision_steps,
            self.mask_point_subdivision_num_points,
        )
        mask_rcnn_inference(logits, instances)
        return instances

    def _features_at(
        self, features: Features, names: list[str], boxes: list[Boxes], unit_coords: Tensor
    ) -> Tensor:
        """Features (R, C, P) of all named maps, one after another, at points of boxes."""
        points = _image_points(boxes, unit_coords)
        found = [
            torch.cat([self._map_at(features[k][i], k, p) for k in names], dim=1)
            for i, p in enumerate(points)
        ]
        return torch.cat(found)

    def _map_at(self, feature_map: Tensor, name: str, coords: Tensor) -> Tensor:
        """One image's map (C, h, w) at points (R, P, 2) of it in pixels, as (R, C, P)."""
        stride = round(1 / self._feature_scales[name])
        size = [n * stride for n in feature_map.shape[-2:]]
        sampled = self.sampling.image(feature_map[None], coords.flatten(0, 1)[None], size)
        return sampled[0].unflatten(1, coords.shape[:2]).transpose(0, 1)

    def _labels_at(self, instances: list[Instances], unit_coords: Tensor) -> Tensor:
        """Ground truth (R, P) in [0, 1] at points of proposals."""
        points = _image_points([i.proposal_boxes for i in instances], unit_coords)
        return torch.cat(
            [self._masks_at(i, p) for i, p in zip(instances, points, strict=True) if len(i)]
            or [unit_coords.new_zeros(unit_coords.shape[:2])]
        )

    def _masks_at(self, instances: Instances, coords: Tensor) -> Tensor:
        masks: Any = instances.gt_masks
        if not isinstance(masks, BitMasks):
            raise ValueError(
                f"gt_masks: got {type(masks).__name__}, expected BitMasks, which can be read at "
                "points: set INPUT.MASK_FORMAT bitmask"
            )
        pixels = masks.tensor[:, None].to(coords.dtype)
        return self.sampling.image(pixels, coords, masks.image_size)[:, 0]


@ROI_MASK_HEAD_REGISTRY.register()
class AlignCornersPointRendMaskHead(PixelExactPointRendMaskHead):
    """PointRendMaskHead that samples points as if edges were the outermost centres.

    Convention: grid 1 of the article (align_corners) for maps, on points made for grid 2.
    Differs from: PixelExactPointRendMaskHead by up to half a cell of each map: at a box's edges in
        the coarse mask, at the image's in features and ground truth.
    Source: pytorch/pytorch, F.grid_sample before 1.3, whose default was align_corners=True.
    """

    sampling = ALIGN_CORNERS


def _image_points(boxes: list[Boxes], unit_coords: Tensor) -> tuple[Tensor, ...]:
    """Points of all boxes as points of their images, pixels, one tensor an image."""
    all_boxes = torch.cat([b.tensor for b in boxes])
    with torch.no_grad():
        coords = unit_to_image_coords(unit_coords, all_boxes)
    return coords.split([len(b) for b in boxes])
