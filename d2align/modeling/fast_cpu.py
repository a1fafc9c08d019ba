"""Whole models faster on the CPU, with the same values but for rounding."""

from __future__ import annotations

from typing import Any

import torch

from d2align.geometry.roi_align_choice import is_recorded


class FastOnCpu:
    """A mixin before a meta-architecture: on the CPU, channels lie side by side in memory.

    Convention: unchanged. Convolutions keep the layout of their input, so that all features have
    it; that suits oneDNN's kernels and the fast poolers.

    Attributes:
        fast_cpu: False leaves everything as it is, for results equal to the last bit.
    """

    fast_cpu: bool = False

    def preprocess_image(self, batched_inputs: list[dict[str, Any]]) -> Any:
        """Normalize and batch images, channels_last if they are on the CPU.

        Args:
            batched_inputs: as in GeneralizedRCNN.forward.

        Returns:
            Detectron2's ImageList.
        """
        images = super().preprocess_image(batched_inputs)  # type: ignore[misc]
        if self.fast_cpu and images.tensor.device.type == "cpu" and not is_recorded():
            images.tensor = images.tensor.contiguous(memory_format=torch.channels_last)
        return images
