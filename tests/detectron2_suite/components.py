"""Adapters: d2align's functions behind the names and arguments of Detectron2's tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pycocotools.mask as mask_util
import torch
from detectron2 import model_zoo
from detectron2.config import CfgNode
from detectron2.layers import ROIAlign
from detectron2.modeling import build_model
from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.proposal_generator import build_proposal_generator
from detectron2.modeling.roi_heads import StandardROIHeads
from detectron2.structures import Boxes, PolygonMasks
from detectron2.utils.testing import get_model_no_weights
from torch import Tensor

import d2align.data
from d2align.config import add_d2align_config
from d2align.geometry import (
    box_iou,
    cell_anchors,
    paste_masks,
    paste_masks_to_rle,
    rasterize_polygons_within_box,
    roi_align_grid_sample,
    tile_anchors,
)
from d2align.geometry.roi_align_gather import Regions, roi_align_gather
from d2align.geometry.roi_align_samples import bins_of_boxes, bins_of_boxes_unaligned
from d2align.geometry.roi_align_separable import roi_align_separable
from d2align.modeling import apply, use_fast_poolers, use_fast_rpn
from d2align.modeling.fast_class import with_class

_ARCHITECTURES = {"GeneralizedRCNN": "PixelExactRCNN", "RetinaNet": "PixelExactRetinaNet"}


class GeometryAnchorGenerator(DefaultAnchorGenerator):
    """DefaultAnchorGenerator on d2align's anchors and tiling; scripted, with Detectron2's."""

    def generate_cell_anchors(self, sizes: Any = (32,), aspect_ratios: Any = (1,)) -> Tensor:
        return cell_anchors(sizes, aspect_ratios)

    def _grid_anchors(self, grid_sizes: Any) -> list[Tensor]:
        return [
            tile_anchors(anchors, size, stride, self.offset)
            for size, stride, (_, anchors) in zip(
                grid_sizes, self.strides, self.cell_anchors.named_buffers(), strict=True
            )
        ]

    def __prepare_scriptable__(self) -> DefaultAnchorGenerator:
        return with_class(self, DefaultAnchorGenerator)


class _ForcedROIAlign(ROIAlign):
    """ROIAlign in one of d2align's ways, whatever the size."""

    def forward(self, input: Tensor, rois: Tensor) -> Tensor:
        if not len(rois):
            return input.new_zeros(0, input.shape[1], *self.output_size)
        sizes = torch.tensor(input.shape[2:]).expand(len(rois), 2)
        bins_of = bins_of_boxes if self.aligned else bins_of_boxes_unaligned
        bins = bins_of(
            rois[:, 1:].detach(), self.output_size, sizes, self.spatial_scale, self.sampling_ratio
        )
        return self.pool(input, rois[:, 0].to(torch.int64), *bins)


class GatherROIAlign(_ForcedROIAlign):
    """ROIAlign by roi_align_gather."""

    def pool(self, input: Tensor, images: Tensor, bins_y: Any, bins_x: Any) -> Tensor:
        number = len(images)
        regions = Regions(images, [number], torch.arange(number), bins_y, bins_x)
        return roi_align_gather([input], regions)


class SeparableROIAlign(_ForcedROIAlign):
    """ROIAlign by roi_align_separable."""

    def pool(self, input: Tensor, images: Tensor, bins_y: Any, bins_x: Any) -> Tensor:
        return roi_align_separable(input, images, bins_y, bins_x)


class GridSampleROIAlign(ROIAlign):
    """ROIAlign by roi_align_grid_sample, which is aligned."""

    def forward(self, input: Tensor, rois: Tensor) -> Tensor:
        if not self.aligned:
            return super().forward(input, rois)
        return roi_align_grid_sample(
            input, rois, self.output_size, self.spatial_scale, self.sampling_ratio
        )


class GeometryPolygonMasks(PolygonMasks):
    """PolygonMasks cropped by rasterize_polygons_within_box."""

    def crop_and_resize(self, boxes: Tensor, mask_size: int) -> Tensor:
        return torch.stack(
            [
                rasterize_polygons_within_box(polygons, box, mask_size)
                for polygons, box in zip(self.polygons, boxes.numpy(), strict=True)
            ]
        )


def paste_masks_in_image(
    masks: Tensor, boxes: Any, image_shape: Sequence[int], threshold: float = 0.5
) -> Tensor:
    """paste_masks with Detectron2's arguments."""
    return paste_masks(masks, getattr(boxes, "tensor", boxes), image_shape, threshold)


def paste_masks_by_rle(
    masks: Tensor, boxes: Any, image_shape: Sequence[int], threshold: float = 0.5
) -> Tensor:
    """paste_masks_to_rle with Detectron2's arguments, decoded by pycocotools."""
    rles = paste_masks_to_rle(masks, getattr(boxes, "tensor", boxes), image_shape, threshold)
    decoded = mask_util.decode(rles).transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(decoded)).bool()


def pairwise_iou(boxes1: Boxes, boxes2: Boxes) -> Tensor:
    """box_iou with Detectron2's arguments."""
    return box_iou(boxes1.tensor, boxes2.tensor)


def aligned_roi_heads(cfg: CfgNode, input_shape: Any) -> Any:
    """StandardROIHeads with every detail turned to d2align's aligned component."""
    heads = StandardROIHeads(cfg, input_shape)
    apply(heads, box_transform="float", roi_align="aligned", mask_target="aligned")
    return use_fast_poolers(heads)


def aligned_proposal_generator(cfg: CfgNode, input_shape: Any) -> Any:
    """A proposal generator with d2align's box transform, made fast."""
    generator = build_proposal_generator(cfg, input_shape)
    return use_fast_rpn(apply(generator, box_transform="float"))


def pixel_exact_model(config_path: str) -> Any:
    """A model of the zoo as d2align's meta-architecture of it, where there is one."""
    cfg = model_zoo.get_config(config_path)
    if not isinstance(cfg, CfgNode) or cfg.MODEL.META_ARCHITECTURE not in _ARCHITECTURES:
        return get_model_no_weights(config_path)
    add_d2align_config(cfg)
    cfg.MODEL.META_ARCHITECTURE = _ARCHITECTURES[cfg.MODEL.META_ARCHITECTURE]
    cfg.D2ALIGN.FAST_CPU = True
    if not torch.cuda.is_available():
        cfg.MODEL.DEVICE = "cpu"
    return build_model(cfg)


def build_augmentation(cfg: CfgNode, is_train: bool) -> list[Any]:
    """build_augmentation with d2align's keys added to the config."""
    cfg = cfg.clone()
    add_d2align_config(cfg)
    return d2align.data.build_augmentation(cfg, is_train)
