"""Flips as fvcore transforms, one for each value of the factor flip.

All subclass fvcore's, since Detectron2 swaps left and right keypoints by that class, and none
changes the arrays it is given, as fvcore's do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from fvcore.transforms.transform import HFlipTransform, VFlipTransform

from d2align.geometry.flip import (
    flip_coords,
    flip_coords_vertical,
    flip_polygons_detectron1,
    flip_rotated_boxes,
    flip_rotated_boxes_vertical,
)
from d2align.registry import FLIP_REGISTRY, VERTICAL_FLIP_REGISTRY

_ONE_LEFT = np.array([1.0, 0.0])
_ONE_UP = np.array([0.0, 1.0])


@FLIP_REGISTRY.register("coordinate")
class CoordinateHFlipTransform(HFlipTransform):
    """Flip left to right: images by index, coordinates by W - x.

    Convention: integer corners.
    """

    def apply_coords(self, coords: Any) -> Any:
        """Return flipped points.

        Args:
            coords: (N, 2) points (x, y), pixels.

        Returns:
            (N, 2), a copy.
        """
        return flip_coords(np.asarray(coords), self.width)

    def apply_rotated_box(self, rotated_boxes: Any) -> Any:
        """Return flipped rotated boxes.

        Args:
            rotated_boxes: (N, 5) cx, cy, w, h in pixels, angle in degrees.

        Returns:
            (N, 5), a copy.
        """
        return flip_rotated_boxes(np.asarray(rotated_boxes), self.width)

    def inverse(self) -> CoordinateHFlipTransform:
        """Return the flip itself, which undoes itself."""
        return self


@FLIP_REGISTRY.register("detectron1")
class Detectron1HFlipTransform(CoordinateHFlipTransform):
    """Flip as Detectron did: polygons by W - 1 - x, one pixel too far left, all else right.

    Convention: Detectron's boxes and keypoints were indices, so their W - 1 - x was right; only
    its polygons, which were coordinates, moved.
    Differs from: CoordinateHFlipTransform by -1 on the x of polygons.
    Source: facebookresearch/Detectron, detectron/utils/segms.py (flip_segms).
    """

    def apply_polygons(self, polygons: Sequence[Any]) -> list[Any]:
        """Return flipped polygons.

        Args:
            polygons: (P, 2) points of each polygon, pixels.

        Returns:
            A list of (P, 2) arrays.
        """
        flat = flip_polygons_detectron1([np.asarray(p).reshape(-1) for p in polygons], self.width)
        return [p.reshape(-1, 2) for p in flat]


@FLIP_REGISTRY.register("index")
class IndexHFlipTransform(CoordinateHFlipTransform):
    """Flip every coordinate by W - 1 - x, one pixel too far left: the bug most projects have.

    Convention: an index flip on coordinates.
    Differs from: CoordinateHFlipTransform by -1 on every x.
    Source: aleju/imgaug before pull request 307, and others.
    """

    def apply_coords(self, coords: Any) -> Any:
        """Return points flipped one pixel too far left.

        Args:
            coords: (N, 2) points (x, y), pixels.

        Returns:
            (N, 2), a copy.
        """
        return super().apply_coords(coords) - _ONE_LEFT

    def apply_rotated_box(self, rotated_boxes: Any) -> Any:
        """Return rotated boxes flipped one pixel too far left.

        Args:
            rotated_boxes: (N, 5) cx, cy, w, h in pixels, angle in degrees.

        Returns:
            (N, 5), a copy.
        """
        return super().apply_rotated_box(rotated_boxes) - np.array([1.0, 0, 0, 0, 0])


@VERTICAL_FLIP_REGISTRY.register("coordinate")
class CoordinateVFlipTransform(VFlipTransform):
    """Flip top to bottom: images by index, coordinates by H - y.

    Convention: integer corners.
    """

    def apply_coords(self, coords: Any) -> Any:
        """Return flipped points.

        Args:
            coords: (N, 2) points (x, y), pixels.

        Returns:
            (N, 2), a copy.
        """
        return flip_coords_vertical(np.asarray(coords), self.height)

    def apply_rotated_box(self, rotated_boxes: Any) -> Any:
        """Return flipped rotated boxes.

        Args:
            rotated_boxes: (N, 5) cx, cy, w, h in pixels, angle in degrees.

        Returns:
            (N, 5), a copy.
        """
        return flip_rotated_boxes_vertical(np.asarray(rotated_boxes), self.height)

    def inverse(self) -> CoordinateVFlipTransform:
        """Return the flip itself, which undoes itself."""
        return self


@VERTICAL_FLIP_REGISTRY.register("index")
class IndexVFlipTransform(CoordinateVFlipTransform):
    """Flip every coordinate by H - 1 - y, one pixel too far up.

    Convention: an index flip on coordinates.
    Differs from: CoordinateVFlipTransform by -1 on every y.
    Source: facebookresearch/maskrcnn-benchmark, maskrcnn_benchmark/structures/
        segmentation_mask.py (polygons).
    """

    def apply_coords(self, coords: Any) -> Any:
        """Return points flipped one pixel too far up.

        Args:
            coords: (N, 2) points (x, y), pixels.

        Returns:
            (N, 2), a copy.
        """
        return super().apply_coords(coords) - _ONE_UP

    def apply_rotated_box(self, rotated_boxes: Any) -> Any:
        """Return rotated boxes flipped one pixel too far up.

        Args:
            rotated_boxes: (N, 5) cx, cy, w, h in pixels, angle in degrees.

        Returns:
            (N, 5), a copy.
        """
        return super().apply_rotated_box(rotated_boxes) - np.array([0, 1.0, 0, 0, 0])
