"""What the registered meta-architectures share: factors, as arguments or from a config."""

from __future__ import annotations

from typing import Any

from detectron2.config import configurable

from d2align.modeling.apply_factors import apply, factors_from_config
from d2align.modeling.fast_cpu import FastOnCpu


class TurnedByFactors(FastOnCpu):
    """A mixin before a Detectron2 meta-architecture: build it, then apply factors to it.

    Convention: integer corners unless a factor says otherwise.
    """

    @configurable
    def __init__(
        self,
        *,
        factors: dict[str, str],
        mask_format: str = "bitmask",
        fast_cpu: bool = False,
        **kwargs: Any,
    ) -> None:
        """Build the model and apply factors to it.

        Args:
            factors: factor -> value, as the keyword arguments of ``d2align.modeling.apply``.
            mask_format: bitmask | rle, the masks of detections.
            fast_cpu: whether to be fast on the CPU, at the price of rounding.
            **kwargs: those of the meta-architecture.

        Raises:
            ValueError: an unknown value, or nothing for it to act on.
        """
        super().__init__(**kwargs)
        self.mask_format = mask_format
        apply(self, **factors)  # type: ignore[type-var]
        if fast_cpu:
            self.become_fast_on_cpu()

    @classmethod
    def from_config(cls, cfg: Any) -> dict[str, Any]:
        """Return the arguments of __init__ that a config stands for.

        Args:
            cfg: a config with d2align's keys.

        Returns:
            Keyword arguments.
        """
        arguments = super().from_config(cfg)  # type: ignore[misc]
        return {
            **arguments,
            "factors": factors_from_config(cfg),
            "mask_format": cfg.D2ALIGN.TEST.MASK_FORMAT,
            "fast_cpu": cfg.D2ALIGN.FAST_CPU and cfg.MODEL.DEVICE == "cpu",
        }
