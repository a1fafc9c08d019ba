"""The two ways of reading a map at points, each for points of a box and points of an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

from d2align.geometry import (
    image_to_unit_coords,
    sample_image_points,
    sample_points,
    sample_points_align_corners,
)


class PointSampling(NamedTuple):
    """How maps are read at points.

    Args:
        unit: (features (N, C, H, W), unit_coords (N, P, 2)) -> (N, C, P).
        image: (features (N, C, h, w), coords (N, P, 2) in pixels, (H, W)) -> (N, C, P).
    """

    unit: Callable[[Tensor, Tensor], Tensor]
    image: Callable[[Tensor, Tensor, Sequence[int]], Tensor]


def sample_image_points_align_corners(
    features: Tensor, coords: Tensor, image_size: Sequence[int]
) -> Tensor:
    """Interpolate features at points of an image, its edges taken for the outermost centres.

    Convention: grid 1 of the article (align_corners).

    Args:
        features: (N, C, h, w) floating.
        coords: (N, P, 2) points (x, y), pixels.
        image_size: (H, W) that the features span, pixels.

    Returns:
        (N, C, P).

    Raises:
        ValueError: wrong shapes or dtypes, or an image of no pixels.

    Differs from: sample_image_points, which it follows in the middle of the image and misses
        towards the edges, where it reads up to half a cell of the features further in.
    Source: pytorch/pytorch, F.grid_sample before 1.3, whose default was align_corners=True.
    """
    h, w = image_size
    image = coords.new_tensor([[0, 0, w, h]]).expand(len(coords), 4)
    return sample_points_align_corners(features, image_to_unit_coords(coords, image))


ALIGNED = PointSampling(sample_points, sample_image_points)
ALIGN_CORNERS = PointSampling(sample_points_align_corners, sample_image_points_align_corners)
