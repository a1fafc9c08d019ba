"""Generalized R-CNN with every pixel detail chosen by name."""

from __future__ import annotations

from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.modeling.meta_arch import GeneralizedRCNN

from d2align.modeling.factors import TurnedByFactors
from d2align.modeling.inference import PixelExactInference


@META_ARCH_REGISTRY.register()
class PixelExactRCNN(TurnedByFactors, PixelExactInference, GeneralizedRCNN):
    """GeneralizedRCNN with every pixel detail chosen by name, in whatever heads it has.

    Convention: integer corners unless a factor says otherwise.
    """
