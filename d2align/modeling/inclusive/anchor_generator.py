"""Anchors of a model whose boxes are inclusive indices on the inside."""

from __future__ import annotations

from typing import Any

from d2align.geometry.boxes import float_to_inclusive
from d2align.modeling.inclusive.boxes import InclusiveBoxes


class InclusiveAnchors:
    """A mixin over an anchor generator: its anchors name their first and last pixel.

    Convention: inclusive indices in network pixels. Those of Detectron1AnchorGenerator become
    Detectron's own integers.
    """

    def forward(self, features: list[Any]) -> list[InclusiveBoxes]:
        """Return the anchors of all cells of some feature maps.

        Args:
            features: one (N, C, H, W) for each map.

        Returns:
            (H * W * A, 4) first and last pixel, XYXY, network pixels, for each map.
        """
        anchors = super().forward(features)  # type: ignore[misc]
        return [InclusiveBoxes(float_to_inclusive(a.tensor)) for a in anchors]
