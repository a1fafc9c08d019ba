"""Flips of coordinates, boxes, polygons, keypoints, rotated boxes and masks.

A coordinate flips to W - x, an index to W - 1 - i. Mixing them up shifts everything by a pixel.
The ``*_detectron1`` functions are Detectron's: right for its inclusive boxes and index
keypoints, one pixel off for its polygons, which were coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from d2align.geometry._checks import (
    accepts_numpy,
    as_array,
    as_length,
    as_numbers,
    check_mask_dtype,
    describe,
    fail,
    is_dense,
)

Polygons = list[Tensor]

# torch flips none of the first, which older releases do not have.
_SIGNED = {
    getattr(torch, f"u{name}"): getattr(torch, name)
    for name in ("int16", "int32")
    if hasattr(torch, f"u{name}")
}


@accepts_numpy
def flip_coords(coords: Tensor, width: float) -> Tensor:
    """Flip points left to right, x -> W - x.

    Convention: integer corners.

    Args:
        coords: (..., 2) points (x, y), pixels.
        width: W of the image, pixels.

    Returns:
        (..., 2), pixels.

    Raises:
        ValueError: the last dimension is not 2, or the width is not positive.
    """
    coords = _checked_last(coords, 2, "coords", "(..., 2)")
    width = as_length("width", width)
    return _reflect(coords, width, 0)


@accepts_numpy
def flip_coords_vertical(coords: Tensor, height: float) -> Tensor:
    """Flip points top to bottom, y -> H - y.

    Convention: integer corners.

    Args:
        coords: (..., 2) points (x, y), pixels.
        height: H of the image, pixels.

    Returns:
        (..., 2), pixels.

    Raises:
        ValueError: the last dimension is not 2, or the height is not positive.
    """
    coords = _checked_last(coords, 2, "coords", "(..., 2)")
    height = as_length("height", height)
    return _reflect(coords, height, 1)


@accepts_numpy
def flip_boxes(boxes: Tensor, width: float) -> Tensor:
    """Flip float boxes left to right: (x1, x2) -> (W - x2, W - x1).

    Convention: integer corners.

    Args:
        boxes: (..., 4) XYXY, pixels.
        width: W of the image, pixels.

    Returns:
        (..., 4) XYXY, pixels.

    Raises:
        ValueError: the last dimension is not 4, or the width is not positive.
    """
    boxes = _checked_last(boxes, 4, "boxes", "(..., 4)")
    width = as_length("width", width)
    return _swap_sides(boxes, width, 0)


@accepts_numpy
def flip_boxes_vertical(boxes: Tensor, height: float) -> Tensor:
    """Flip float boxes top to bottom: (y1, y2) -> (H - y2, H - y1).

    Convention: integer corners.

    Args:
        boxes: (..., 4) XYXY, pixels.
        height: H of the image, pixels.

    Returns:
        (..., 4) XYXY, pixels.

    Raises:
        ValueError: the last dimension is not 4, or the height is not positive.
    """
    boxes = _checked_last(boxes, 4, "boxes", "(..., 4)")
    height = as_length("height", height)
    return _swap_sides(boxes, height, 1)


@accepts_numpy
def flip_boxes_detectron1(boxes: Tensor, width: float) -> Tensor:
    """Flip inclusive-index boxes left to right: (x1, x2) -> (W - 1 - x2, W - 1 - x1).

    Convention: inclusive indices, for which it is right; one pixel off for float boxes.

    Args:
        boxes: (..., 4) first and last pixel, XYXY.
        width: W of the image, pixels.

    Returns:
        (..., 4) first and last pixel, XYXY.

    Raises:
        ValueError: the last dimension is not 4, or the width is not positive.

    Differs from: flip_boxes by -1 on x1 and x2.
    Source: facebookresearch/Detectron, detectron/utils/boxes.py (flip_boxes).
    """
    boxes = _checked_last(boxes, 4, "boxes", "(..., 4)")
    width = as_length("width", width)
    return _swap_sides(boxes, width, 0) - boxes.new_tensor([1, 0, 1, 0])


def flip_polygons(polygons: Sequence[Tensor], width: float) -> Polygons:
    """Flip polygons left to right, x -> W - x.

    Convention: integer corners, as COCO's polygons are.

    Args:
        polygons: sequence of flat (2P,) coordinates x0, y0, x1, y1, ..., pixels; tensors,
            arrays, or lists as in a COCO file.
        width: W of the image, pixels.

    Returns:
        A list of the same length and kinds.

    Raises:
        ValueError: a polygon is not flat with an even length, or the width is not positive.
    """
    width = as_length("width", width)
    return [_flip_polygon(p, width, 0) for p in _checked_polygons(polygons)]


def flip_polygons_vertical(polygons: Sequence[Tensor], height: float) -> Polygons:
    """Flip polygons top to bottom, y -> H - y.

    Convention: integer corners, as COCO's polygons are.

    Args:
        polygons: sequence of flat (2P,) coordinates x0, y0, x1, y1, ..., pixels; tensors,
            arrays, or lists as in a COCO file.
        height: H of the image, pixels.

    Returns:
        A list of the same length and kinds.

    Raises:
        ValueError: a polygon is not flat with an even length, or the height is not positive.
    """
    height = as_length("height", height)
    return [_flip_polygon(p, height, 1) for p in _checked_polygons(polygons)]


def flip_polygons_detectron1(polygons: Sequence[Tensor], width: float) -> Polygons:
    """Flip polygons by W - 1 - x, one pixel too far left, as Detectron did.

    Convention: an index flip on integer-corner coordinates: everything moves by -1 pixel.

    Args:
        polygons: sequence of flat (2P,) coordinates x0, y0, x1, y1, ..., pixels; tensors,
            arrays, or lists as in a COCO file.
        width: W of the image, pixels.

    Returns:
        A list of the same length and kinds.

    Raises:
        ValueError: a polygon is not flat with an even length, or the width is not positive.

    Differs from: flip_polygons by -1 on every x.
    Source: facebookresearch/Detectron, detectron/utils/segms.py (flip_segms).
    """
    width = as_length("width", width)
    return [_flip_polygon(p, width, 0, shift=-1.0) for p in _checked_polygons(polygons)]


@accepts_numpy
def flip_keypoints(
    keypoints: Tensor, width: float, flip_indices: Sequence[int] | None = None
) -> Tensor:
    """Flip keypoints left to right, x -> W - x, and swap left with right.

    Convention: integer corners (COCO's own keypoints are indices: add 0.5 first).

    Args:
        keypoints: (..., K, 2) or (..., K, 3): x, y in pixels and, unchanged, visibility.
        width: W of the image, pixels.
        flip_indices: K indices, the keypoint that takes each place; None swaps nothing.

    Returns:
        The same shape.

    Raises:
        ValueError: a wrong shape, a width that is not positive, or no permutation of K.
    """
    if keypoints.dim() < 2 or keypoints.shape[-1] not in (2, 3):
        raise fail("keypoints", describe(keypoints), "shape (..., K, 2) or (..., K, 3)")
    keypoints = as_numbers("keypoints", keypoints)
    width = as_length("width", width)
    flipped = _reflect(keypoints, width, 0)
    if flip_indices is None:
        return flipped
    return flipped[..., _checked_permutation(flip_indices, keypoints.shape[-2]), :]


@accepts_numpy
def flip_keypoints_detectron1(
    keypoints: Tensor, width: float, flip_indices: Sequence[int] | None = None
) -> Tensor:
    """Flip index keypoints by W - 1 - x, zeroing the x of invisible ones, as Detectron did.

    Convention: integer centres (indices), for which it is right.

    Args:
        keypoints: (..., K, 3): x, y as indices, visibility.
        width: W of the image, pixels.
        flip_indices: K indices, the keypoint that takes each place; None swaps nothing.

    Returns:
        The same shape.

    Raises:
        ValueError: a wrong shape, a width that is not positive, or no permutation of K.

    Differs from: flip_keypoints by -1 on x, and by x = 0 where visibility is 0.
    Source: facebookresearch/Detectron, detectron/utils/keypoints.py (flip_keypoints).
    """
    if keypoints.dim() < 2 or keypoints.shape[-1] != 3:
        raise fail("keypoints", describe(keypoints), "shape (..., K, 3)")
    flipped = flip_keypoints(keypoints, width, flip_indices)
    x = torch.where(flipped[..., 2] == 0, torch.zeros_like(flipped[..., 0]), flipped[..., 0] - 1)
    return torch.cat([x[..., None], flipped[..., 1:]], dim=-1)


@accepts_numpy
def flip_rotated_boxes(boxes: Tensor, width: float) -> Tensor:
    """Flip rotated boxes left to right: the centre to W - x, the angle to its negative.

    Convention: integer corners; Detectron2's (cx, cy, w, h, angle), degrees, counter-clockwise.

    Args:
        boxes: (..., 5), pixels and degrees.
        width: W of the image, pixels.

    Returns:
        (..., 5).

    Raises:
        ValueError: the last dimension is not 5, or the width is not positive.
    """
    boxes = _checked_last(boxes, 5, "boxes", "(..., 5)")
    width = as_length("width", width)
    return _reflect_rotated(boxes, width, 0)


@accepts_numpy
def flip_rotated_boxes_vertical(boxes: Tensor, height: float) -> Tensor:
    """Flip rotated boxes top to bottom: the centre to H - y, the angle to its negative.

    Convention: integer corners; Detectron2's (cx, cy, w, h, angle), degrees, counter-clockwise.

    Args:
        boxes: (..., 5), pixels and degrees.
        height: H of the image, pixels.

    Returns:
        (..., 5).

    Raises:
        ValueError: the last dimension is not 5, or the height is not positive.
    """
    boxes = _checked_last(boxes, 5, "boxes", "(..., 5)")
    height = as_length("height", height)
    return _reflect_rotated(boxes, height, 1)


@accepts_numpy
def flip_masks(masks: Tensor) -> Tensor:
    """Flip images or masks left to right; an array flips by index, W - 1 - i.

    Convention: pixel i and pixel W - 1 - i swap, whose centres are x and W - x.

    Args:
        masks: (..., H, W).

    Returns:
        (..., H, W), a copy.

    Raises:
        ValueError: fewer than two dimensions.
    """
    return _flip(_checked_masks(masks), -1)


@accepts_numpy
def flip_masks_vertical(masks: Tensor) -> Tensor:
    """Flip images or masks top to bottom; an array flips by index, H - 1 - i.

    Convention: pixel i and pixel H - 1 - i swap, whose centres are y and H - y.

    Args:
        masks: (..., H, W).

    Returns:
        (..., H, W), a copy.

    Raises:
        ValueError: fewer than two dimensions.
    """
    return _flip(_checked_masks(masks), -2)


def _reflect(coords: Tensor, length: float, axis: int) -> Tensor:
    columns = list(coords.unbind(dim=-1))
    columns[axis] = length - columns[axis]
    return torch.stack(columns, dim=-1)


def _swap_sides(boxes: Tensor, length: float, axis: int) -> Tensor:
    columns = list(boxes.unbind(dim=-1))
    columns[axis], columns[axis + 2] = length - columns[axis + 2], length - columns[axis]
    return torch.stack(columns, dim=-1)


def _reflect_rotated(boxes: Tensor, length: float, axis: int) -> Tensor:
    columns = list(_reflect(boxes, length, axis).unbind(dim=-1))
    columns[4] = -columns[4]
    return torch.stack(columns, dim=-1)


def _checked_masks(masks: Tensor) -> Tensor:
    if not is_dense(masks) or masks.dim() < 2:
        raise fail("masks", describe(masks), "shape (..., H, W)")
    check_mask_dtype("masks", masks)
    return masks


def _flip(masks: Tensor, dim: int) -> Tensor:
    signed = _SIGNED.get(masks.dtype)
    if signed is None:
        return torch.flip(masks, dims=(dim,))
    return torch.flip(masks.view(signed), dims=(dim,)).view(masks.dtype)


def _flip_polygon(polygon: Tensor, length: float, axis: int, shift: float = 0.0) -> Tensor:
    if isinstance(polygon, list):  # as in a COCO file
        flat = as_array("polygons", polygon, np.float64, "numbers that fit a float")
        out: Tensor = _flip_flat(flat, length, axis, shift).tolist()
        return out
    return _flip_flat(polygon, length, axis, shift)


@accepts_numpy
def _flip_flat(polygons: Tensor, length: float, axis: int, shift: float) -> Tensor:
    points = _reflect(as_numbers("polygons", polygons).reshape(-1, 2), length, axis)
    # Apart from the reflection, as the original subtracted it: the last bit is the same.
    return (points + points.new_tensor([shift, 0])).reshape(-1) if shift else points.reshape(-1)


def _checked_polygons(polygons: Sequence[Tensor]) -> Sequence[Tensor]:
    array = isinstance(polygons, Tensor | np.ndarray) and polygons.ndim > 0
    if not (array or isinstance(polygons, Sequence)):
        raise fail("polygons", describe(polygons), "a sequence of flat polygons")
    for i, p in enumerate(polygons):
        if isinstance(p, list):
            flat = all(isinstance(v, int | float) for v in p)
        else:
            flat = isinstance(p, Tensor | np.ndarray) and p.ndim == 1
        if not flat or len(p) % 2:
            raise fail(f"polygons[{i}]", describe(p), "a flat array x0, y0, x1, y1, ...")
    return polygons


def _checked_permutation(indices: Sequence[int], k: int) -> list[int]:
    expected = f"a permutation of 0..{k - 1}"
    order: list[int] = as_array("flip_indices", indices, np.float64, expected).ravel().tolist()
    if sorted(order) != list(range(k)):
        raise fail("flip_indices", describe(indices), expected)
    return [int(index) for index in order]


def _checked_last(value: Tensor, size: int, name: str, shape: str) -> Tensor:
    if not isinstance(value, Tensor) or value.dim() < 1 or value.shape[-1] != size:
        raise fail(name, describe(value), f"shape {shape}")
    return as_numbers(name, value)
