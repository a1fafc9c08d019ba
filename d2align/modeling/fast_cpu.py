"""Whole models faster on the CPU, with the same values but for rounding."""

from __future__ import annotations

from typing import Any

import torch

from d2align.geometry.roi_align_choice import is_recorded
from d2align.modeling.fast_rpn import use_fast_rpn
from d2align.modeling.poolers import use_fast_poolers


class FastOnCpu:
    """A mixin before a meta-architecture, by which it can become faster on the CPU.

    Convention: unchanged. Regions are pooled by the fast poolers, and the channels of a pixel lie
    side by side in memory, which suits those and oneDNN's convolutions.
    """

    fast_cpu: bool = False

    def become_fast_on_cpu(self) -> None:
        """Take the fast poolers and the layout; elsewhere than on the CPU nothing is gained."""
        self.fast_cpu = True
        use_fast_poolers(self)  # type: ignore[type-var]
        use_fast_rpn(self)  # type: ignore[type-var]
        self.backbone.to(memory_format=torch.channels_last)  # type: ignore[attr-defined]

    def preprocess_image(self, batched_inputs: list[dict[str, Any]]) -> Any:
        """Normalize and batch images; a fast model's are channels_last on the CPU.

        Args:
            batched_inputs: as in GeneralizedRCNN.forward.

        Returns:
            Detectron2's ImageList.
        """
        images = super().preprocess_image(batched_inputs)  # type: ignore[misc]
        if self.fast_cpu and images.tensor.device.type == "cpu" and not is_recorded():
            # Convolutions keep the layout of their input.
            images.tensor = images.tensor.contiguous(memory_format=torch.channels_last)
        return images
