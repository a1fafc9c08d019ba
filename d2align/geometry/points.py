"""Point sampling, and points relative to a box or an image (PointRend, PointSup).

Unit coordinates are (x, y) in [0, 1] x [0, 1] of a box or image, edges to edges, so that the
centre of cell j of K lies at (j + 0.5) / K.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from d2align.geometry._checks import (
    check_boxes,
    check_boxes_above,
    check_floating,
    check_image_size,
    check_same_length,
    check_tensor,
    check_whole,
    describe,
    fail,
)


def sample_points(features: Tensor, unit_coords: Tensor) -> Tensor:
    """Interpolate features at points given in unit coordinates.

    Convention: integer corners; cell j of W is centred on (j + 0.5) / W; towards 0 outside.

    Args:
        features: (N, C, H, W) floating.
        unit_coords: (N, P, 2) points (x, y) in [0, 1].

    Returns:
        (N, C, P), differentiable in both.

    Raises:
        ValueError: wrong shapes or dtypes.
    """
    _check_points(features, unit_coords)
    return _sample(features, unit_coords, align_corners=False)


def sample_points_align_corners(features: Tensor, unit_coords: Tensor) -> Tensor:
    """Interpolate features as if 0 and 1 were the centres of the first and last cell.

    Convention: grid 1 of the article (align_corners): right only if the unit coordinates were
    made that way; up to half a cell off at the edges for those of this module.

    Args:
        features: (N, C, H, W) floating.
        unit_coords: (N, P, 2) points (x, y) in [0, 1].

    Returns:
        (N, C, P), differentiable in both.

    Raises:
        ValueError: wrong shapes or dtypes.

    Differs from: sample_points by 0.5 - x cells at unit coordinate x, from +0.5 to -0.5.
    Source: pytorch/pytorch, F.grid_sample before 1.3, whose default was align_corners=True.
    """
    _check_points(features, unit_coords)
    return _sample(features, unit_coords, align_corners=True)


def regular_points(side: int, num: int, *, device: torch.device | None = None) -> Tensor:
    """Return the cell centres of a side x side grid, once for each of num boxes.

    Convention: unit coordinates; (j + 0.5) / side.

    Args:
        side: cells along each side, at least 1.
        num: number of copies, at least 0.
        device: where to make them.

    Returns:
        (num, side * side, 2) points (x, y), rows slowest.

    Raises:
        ValueError: side below 1 or num below 0.
    """
    check_whole("side", side)
    check_whole("num", num, least=0)
    centers = (torch.arange(side, device=device, dtype=torch.float32) + 0.5) / side
    y, x = torch.meshgrid(centers, centers, indexing="ij")
    points = torch.stack([x, y], dim=-1).reshape(1, side * side, 2)
    return points.repeat(num, 1, 1)


def unit_to_image_coords(unit_coords: Tensor, boxes: Tensor) -> Tensor:
    """Turn points of boxes into points of the image.

    Convention: integer corners; x = x1 + u (x2 - x1).

    Args:
        unit_coords: (N, P, 2) points (u, v), [0, 1] inside the box.
        boxes: (N, 4) XYXY, pixels.

    Returns:
        (N, P, 2) points (x, y), pixels.

    Raises:
        ValueError: wrong shapes or dtypes, NaN or inverted boxes.
    """
    check_boxes("boxes", boxes)
    _check_points_of_boxes("unit_coords", unit_coords, boxes)
    return unit_coords * (boxes[:, None, 2:] - boxes[:, None, :2]) + boxes[:, None, :2]


def image_to_unit_coords(coords: Tensor, boxes: Tensor) -> Tensor:
    """Turn points of the image into points of boxes, the inverse of unit_to_image_coords.

    Convention: integer corners; u = (x - x1) / (x2 - x1).

    Args:
        coords: (N, P, 2) points (x, y), pixels.
        boxes: (N, 4) XYXY, pixels, of positive size.

    Returns:
        (N, P, 2) points (u, v), [0, 1] inside the box.

    Raises:
        ValueError: wrong shapes or dtypes, NaN, inverted or zero-size boxes.
    """
    check_boxes_above("boxes", boxes, 0.0)
    _check_points_of_boxes("coords", coords, boxes)
    return (coords - boxes[:, None, :2]) / (boxes[:, None, 2:] - boxes[:, None, :2])


def sample_image_points(features: Tensor, coords: Tensor, image_size: Sequence[int]) -> Tensor:
    """Interpolate features that span an image, at points in pixels of that image.

    Convention: integer corners; the feature map spans [0, W] x [0, H] of the image.

    Args:
        features: (N, C, h, w) floating.
        coords: (N, P, 2) points (x, y), pixels.
        image_size: (H, W) that the features span, pixels.

    Returns:
        (N, C, P).

    Raises:
        ValueError: wrong shapes or dtypes, or an image of no pixels.
    """
    h, w = check_image_size("image_size", image_size)
    _check_coords("coords", coords)
    return sample_points(features, coords / coords.new_tensor([w, h]))


def _sample(features: Tensor, unit_coords: Tensor, *, align_corners: bool) -> Tensor:
    # All is 0 farther out, where grid_sample of 16 bits gives NaN, or 1.
    near = unit_coords.clamp(-1.0, 2.0)
    grid = (2.0 * near[:, :, None] - 1.0).to(features.dtype)
    return F.grid_sample(features, grid, align_corners=align_corners)[..., 0]


def _check_points(features: Tensor, unit_coords: Tensor) -> None:
    check_tensor("features", features, 4, "a tensor of shape (N, C, H, W)")
    if 0 in features.shape[2:]:
        raise fail("features", describe(features), "at least one row and column")
    check_floating("features", features)
    _check_coords("unit_coords", unit_coords)
    check_same_length("features", features, "unit_coords", unit_coords)


def _check_points_of_boxes(name: str, coords: Tensor, boxes: Tensor) -> None:
    _check_coords(name, coords)
    check_same_length(name, coords, "boxes", boxes)


def _check_coords(name: str, coords: Tensor) -> None:
    check_tensor(name, coords, 3, "points of shape (N, P, 2)")
    check_floating(name, coords)
    if coords.shape[-1] != 2:
        raise fail(name, describe(coords), "points of shape (N, P, 2)")
