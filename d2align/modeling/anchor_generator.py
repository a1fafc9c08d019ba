"""Anchor generators. Detectron2's DefaultAnchorGenerator is the float one; here is the other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import configurable
from detectron2.modeling import ANCHOR_GENERATOR_REGISTRY
from detectron2.modeling.anchor_generator import BufferList, DefaultAnchorGenerator
from torch import Tensor

from d2align.geometry.anchors import cell_anchors_detectron1
from d2align.geometry.boxes import inclusive_to_float


@ANCHOR_GENERATOR_REGISTRY.register()
class Detectron1AnchorGenerator(DefaultAnchorGenerator):
    """Anchors of whole pixels, as Detectron enumerated them.

    Convention: Detectron's inclusive boxes as float boxes over the same pixels (x2 + 1), in
    network pixels, centred on stride / 2. The offset of the config is not used. Anchors keep
    Detectron2's order, sizes slowest, so that RPN weights fit.

    Differs from: DefaultAnchorGenerator in areas by up to 12.5 % and in the centre.
    Source: facebookresearch/Detectron, detectron/modeling/generate_anchors.py.
    """

    @configurable
    def __init__(self, *, sizes: Any, aspect_ratios: Any, strides: Any, offset: float = 0.0):
        """Build the generator.

        Args:
            sizes: square roots of areas, pixels, as DefaultAnchorGenerator takes them.
            aspect_ratios: height / width, likewise.
            strides: of the feature maps, pixels.
            offset: not used: the centre is part of Detectron's anchors.
        """
        del offset
        super().__init__(sizes=sizes, aspect_ratios=aspect_ratios, strides=strides, offset=0.0)

    def _calculate_anchors(self, sizes: Any, aspect_ratios: Any) -> BufferList:
        return BufferList(
            _anchors_in_detectron2_order(stride, list(itertools.product(sizes_i, ratios_i)))
            for stride, sizes_i, ratios_i in zip(self.strides, sizes, aspect_ratios, strict=True)
        )


def float_cell_anchors(generator: DefaultAnchorGenerator) -> list[Tensor]:
    """Return copies of the cell anchors of a built generator.

    Args:
        generator: a built generator.

    Returns:
        (A, 4) XYXY for each feature map.
    """
    return [a.clone() for _, a in generator.cell_anchors.named_buffers()]


def round_cell_anchors(anchors: list[Tensor], strides: Sequence[int]) -> list[Tensor]:
    """Return Detectron's whole-pixel anchors of the same sizes and ratios as float ones.

    Args:
        anchors: (A, 4) float XYXY for each feature map.
        strides: of the feature maps, pixels.

    Returns:
        (A, 4) XYXY for each feature map, of the same dtype and device.
    """
    return [
        _anchors_in_detectron2_order(stride, _sizes_and_ratios(a)).to(a)
        for stride, a in zip(strides, anchors, strict=True)
    ]


def _sizes_and_ratios(anchors: Tensor) -> list[tuple[float, float]]:
    w, h = (anchors[:, 2:] - anchors[:, :2]).double().unbind(dim=1)
    # Undo float32's rounding, which the enumeration's own rounding could see.
    pairs = zip((w * h).sqrt().tolist(), (h / w).tolist(), strict=True)
    return [(round(size, 4), round(ratio, 6)) for size, ratio in pairs]


def _anchors_in_detectron2_order(stride: int, pairs: list[tuple[float, float]]) -> Tensor:
    anchors = [cell_anchors_detectron1(stride, [size], [ratio]) for size, ratio in pairs]
    return inclusive_to_float(torch.cat(anchors)).float()
