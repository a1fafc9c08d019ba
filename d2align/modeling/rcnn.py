"""Generalized R-CNN with every pixel detail chosen by name."""

from __future__ import annotations

from typing import Any

from detectron2.config import configurable
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.modeling.meta_arch import GeneralizedRCNN

from d2align.modeling.apply import apply, factors_from_config
from d2align.modeling.inference import PixelExactInference


@META_ARCH_REGISTRY.register()
class PixelExactRCNN(PixelExactInference, GeneralizedRCNN):
    """GeneralizedRCNN with every pixel detail chosen by name, in whatever heads it has.

    Convention: integer corners unless a factor says otherwise.
    """

    @configurable
    def __init__(self, *, factors: dict[str, str], **kwargs: Any) -> None:
        """Build a GeneralizedRCNN and apply factors to it.

        Args:
            factors: factor -> value, as the keyword arguments of ``d2align.modeling.apply``.
            **kwargs: those of GeneralizedRCNN.

        Raises:
            ValueError: an unknown factor or value, or nothing for it to act on.
        """
        super().__init__(**kwargs)
        apply(self, **factors)

    @classmethod
    def from_config(cls, cfg: Any) -> dict[str, Any]:
        """Return the arguments of __init__ that a config stands for."""
        return {**super().from_config(cfg), "factors": factors_from_config(cfg)}
