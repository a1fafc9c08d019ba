"""Panoptic FPN with every pixel detail chosen by name."""

from __future__ import annotations

from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.modeling.meta_arch import PanopticFPN

from d2align.modeling.factors import TurnedByFactors
from d2align.modeling.inference import PixelExactPanopticInference


@META_ARCH_REGISTRY.register()
class PixelExactPanopticFPN(TurnedByFactors, PixelExactPanopticInference, PanopticFPN):
    """PanopticFPN with every pixel detail chosen by name.

    Convention: integer corners unless a factor says otherwise.
    """
