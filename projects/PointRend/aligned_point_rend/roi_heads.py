"""Detectron2's PointRendROIHeads, for mask heads of any name."""

from __future__ import annotations

from typing import Any

from detectron2.modeling import ROI_HEADS_REGISTRY
from detectron2.projects.point_rend.roi_heads import PointRendROIHeads


@ROI_HEADS_REGISTRY.register()
class PixelExactPointRendROIHeads(PointRendROIHeads):
    """PointRendROIHeads whose mask head is any that pools its own features.

    Detectron2's own takes only the name PointRendMaskHead. Weights of either fit the other.
    """

    @classmethod
    def _init_mask_head(cls, cfg: Any, input_shape: Any) -> dict[str, Any]:
        arguments: dict[str, Any] = super(PointRendROIHeads, cls)._init_mask_head(cfg, input_shape)
        return arguments
