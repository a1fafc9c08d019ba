"""Region pooling several times faster on the CPU, with the values of Detectron2's poolers."""

from __future__ import annotations

from typing import Any, TypeVar

from detectron2.layers import ROIAlign
from detectron2.modeling.poolers import (
    ROIPooler,
    assign_boxes_to_levels,
    convert_boxes_to_pooler_format,
)
from torch import Tensor, nn

from d2align.geometry.roi_align import roi_align_unaligned_unchecked, roi_align_unchecked
from d2align.geometry.roi_align_choice import is_recorded
from d2align.geometry.roi_align_cpu import roi_align_pyramid_cpu
from d2align.geometry.roi_align_samples import bins_of_boxes, bins_of_boxes_unaligned
from d2align.modeling.fast_class import with_class

Model = TypeVar("Model", bound=nn.Module)


class FastROIAlign(ROIAlign):
    """Detectron2's ROIAlign, faster on the CPU.

    Convention: that of its ``aligned``.
    """

    def forward(self, input: Tensor, rois: Tensor) -> Tensor:
        """Crop and resize regions.

        Args:
            input: (B, C, H, W) features; fastest if channels_last.
            rois: (N, 5) rows (batch index, x1, y1, x2, y2), in pixels of the image.

        Returns:
            (N, C, h, w), where (h, w) is ``output_size``.
        """
        if input.is_quantized:
            return super().forward(input, rois)
        pool = roi_align_unchecked if self.aligned else roi_align_unaligned_unchecked
        return pool(input, rois, self.output_size, self.spatial_scale, self.sampling_ratio)

    def __prepare_scriptable__(self) -> ROIAlign:
        return with_class(self, ROIAlign)


class FastROIPooler(ROIPooler):
    """Detectron2's ROIPooler, faster on the CPU.

    Convention: that of its level poolers.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Build the pooler.

        Args:
            *args: those of ROIPooler.
            **kwargs: those of ROIPooler.
        """
        super().__init__(*args, **kwargs)
        use_fast_poolers(self)

    def forward(self, x: list[Tensor], box_lists: list[Any]) -> Tensor:
        """Pool every box from the level of its size.

        Args:
            x: (B, C, H, W) features of each level; fastest if channels_last.
            box_lists: Boxes of each image.

        Returns:
            (N, C, h, w), the boxes of one image after those of another.
        """
        pooled = _pool_levels_at_once(self, x, box_lists)
        return super().forward(x, box_lists) if pooled is None else pooled

    def __prepare_scriptable__(self) -> ROIPooler:
        return with_class(self, ROIPooler)


def use_fast_poolers(model: Model) -> Model:
    """Make the ROIPooler and ROIAlign modules of a built model the fast ones.

    Convention: unchanged; values are equal but for rounding. Features are read fastest with
    their channels side by side: ``model.to(memory_format=torch.channels_last)`` does that.

    Args:
        model: any module; in place, and only the classes of those modules change. Subclasses of
            ROIPooler and ROIAlign are left as they are.

    Returns:
        The same model.
    """
    for module in model.modules():
        if type(module) is ROIAlign:
            module.__class__ = FastROIAlign
        elif type(module) is ROIPooler:
            module.__class__ = FastROIPooler
    return model


def _pool_levels_at_once(pooler: ROIPooler, x: Any, box_lists: Any) -> Tensor | None:
    """Pool in one go, or return None where ROIPooler shall go from level to level."""
    levels = list(pooler.level_poolers)
    if is_recorded() or len(levels) == 1:
        return None
    if any(type(level) is not FastROIAlign for level in levels):
        return None
    if not (len(x) == len(levels) and len(box_lists) == len(x[0]) > 0):
        return None  # ROIPooler says what is wrong
    assigned = assign_boxes_to_levels(
        box_lists,
        pooler.min_level,
        pooler.max_level,
        pooler.canonical_box_size,
        pooler.canonical_level,
    )
    if len(assigned) and not (assigned.min() >= 0 and assigned.max() < len(levels)):
        return None  # a box turned inside out has no level; ROIPooler gives zeros
    first = levels[0]
    return roi_align_pyramid_cpu(
        x,
        convert_boxes_to_pooler_format(box_lists).to(x[0].dtype),
        assigned,
        first.output_size,
        [level.spatial_scale for level in levels],
        first.sampling_ratio,
        bins_of_boxes if first.aligned else bins_of_boxes_unaligned,
    )
