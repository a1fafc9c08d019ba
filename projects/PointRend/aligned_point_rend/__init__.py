"""Detectron2's PointRend with d2align sampling its points; importing this registers the heads."""

from .command import load_config, run
from .mask_head import AlignCornersPointRendMaskHead, PixelExactPointRendMaskHead
from .roi_heads import PixelExactPointRendROIHeads
from .sampling import ALIGN_CORNERS, ALIGNED, PointSampling

__all__ = [
    "ALIGNED",
    "ALIGN_CORNERS",
    "AlignCornersPointRendMaskHead",
    "PixelExactPointRendMaskHead",
    "PixelExactPointRendROIHeads",
    "PointSampling",
    "load_config",
    "run",
]
