"""RetinaNet with every pixel detail chosen by name."""

from __future__ import annotations

from typing import Any

from detectron2.config import configurable
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.modeling.meta_arch import RetinaNet

from d2align.modeling.apply import apply, factors_from_config


@META_ARCH_REGISTRY.register()
class PixelExactRetinaNet(RetinaNet):
    """RetinaNet with its box transform and anchors chosen by name.

    Convention: integer corners unless a factor says otherwise; historical ones act in network
    pixels, where Detectron's RetinaNet decoded.
    """

    @configurable
    def __init__(self, *, factors: dict[str, str], **kwargs: Any) -> None:
        """Build a RetinaNet and apply factors to it.

        Args:
            factors: factor -> value; those of RoI heads are left out by ``from_config``.
            **kwargs: those of RetinaNet.

        Raises:
            ValueError: an unknown factor or value, or nothing for it to act on.
        """
        super().__init__(**kwargs)
        apply(self, **factors)

    @classmethod
    def from_config(cls, cfg: Any) -> dict[str, Any]:
        """Return the arguments of __init__ that a config stands for."""
        return {**super().from_config(cfg), "factors": factors_from_config(cfg)}
