"""RetinaNet with every pixel detail chosen by name."""

from __future__ import annotations

from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.modeling.meta_arch import RetinaNet

from d2align.modeling.factors import TurnedByFactors


@META_ARCH_REGISTRY.register()
class PixelExactRetinaNet(TurnedByFactors, RetinaNet):
    """RetinaNet with its box transform and anchors chosen by name.

    Convention: integer corners unless a factor says otherwise; historical ones act in network
    pixels, where Detectron's RetinaNet decoded.
    """
