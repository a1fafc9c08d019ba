"""Paste RoI masks into the image: the inverse of RoIAlign, and Detectron's integer boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from d2align.geometry._checks import (
    check_boxes,
    check_finite,
    check_image_size,
    check_same_length,
    check_tensor,
    describe,
    fail,
)
from d2align.geometry.boxes import scale_boxes

# Workspace of one chunk on a GPU; on the CPU one mask at a time is fastest.
_CHUNK_BYTES = 256 * 2**20
# Farther out than any image, and safe in integers.
_FAR = 1e9


def paste_masks(
    masks: Tensor, boxes: Tensor, image_size: Sequence[int], threshold: float = 0.5
) -> Tensor:
    """Return full-image masks from RoI masks and their boxes, sampled at pixel centres.

    Convention: integer corners; pixel (i, j) takes the mask's value at (j + 0.5, i + 0.5),
    interpolated between the mask's cell centres and towards 0 outside the box. A box of zero
    size gives an empty mask. Pixels over one pixel outside the box are background.

    Args:
        masks: (N, M_h, M_w) probabilities; bool counts as 0 and 1.
        boxes: (N, 4) XYXY, pixels; they may reach outside the image.
        image_size: (h, w), pixels, each at least 1.
        threshold: in (0, 1]; a pixel belongs to the mask if its value is at least this.

    Returns:
        (N, h, w) bool.

    Raises:
        ValueError: wrong shapes or dtypes, NaN, inverted boxes, an image of no pixels.
    """
    size = check_paste_input(masks, boxes, image_size, threshold)
    return paste_masks_unchecked(masks, boxes, size, threshold)


def paste_masks_unchecked(
    masks: Tensor, boxes: Tensor, image_size: tuple[int, int], threshold: float
) -> Tensor:
    """``paste_masks`` without its checks."""
    h, w = image_size
    masks = masks if masks.is_floating_point() else masks.to(torch.float32)
    out = torch.zeros((len(masks), h, w), dtype=torch.bool, device=masks.device)
    if masks.device.type == "cpu":
        for i, (y, x) in enumerate(paste_windows(boxes, image_size)):
            if y.stop > y.start and x.stop > x.start:
                soft = sample_masks(masks[i : i + 1], boxes[i : i + 1], y, x)
                out[i, y, x] = soft[0] >= threshold
        return out
    full = slice(0, h), slice(0, w)
    chunk = max(1, _CHUNK_BYTES // (h * w * 4 * 3))
    for start in range(0, len(masks), chunk):
        part = slice(start, start + chunk)
        soft = sample_masks(masks[part], boxes[part], *full)
        out[part] = (soft >= threshold) & _near_box(boxes[part], image_size)
    return out


def sample_masks(masks: Tensor, boxes: Tensor, rows: slice, columns: slice) -> Tensor:
    """Return the masks' values at the centres of a window of pixels, differentiably.

    Convention: integer corners; bilinear between cell centres, towards 0 outside the box.

    Args:
        masks: (N, M_h, M_w) floating.
        boxes: (N, 4) XYXY, pixels, of positive size.
        rows: the window's rows, start and stop.
        columns: the window's columns, start and stop.

    Returns:
        (N, rows, columns), of the masks' dtype.
    """
    x1, y1, x2, y2 = (edge[:, None] for edge in boxes.unbind(dim=1))
    ys = torch.arange(rows.start, rows.stop, device=boxes.device, dtype=torch.float32) + 0.5
    xs = torch.arange(columns.start, columns.stop, device=boxes.device, dtype=torch.float32) + 0.5
    grid_y = (ys - y1) / (y2 - y1) * 2 - 1
    grid_x = (xs - x1) / (x2 - x1) * 2 - 1
    shape = (len(masks), len(ys), len(xs))
    grid = torch.stack([grid_x[:, None, :].expand(shape), grid_y[:, :, None].expand(shape)], dim=3)
    out = F.grid_sample(masks[:, None], grid.to(masks.dtype), align_corners=False)
    return out[:, 0]


def paste_windows(boxes: Tensor, image_size: tuple[int, int]) -> list[tuple[slice, slice]]:
    """Return for each box the rows and columns that its mask can reach, one pixel beyond it.

    Convention: integer corners; an empty window for a box of zero size or outside the image.

    Args:
        boxes: (N, 4) XYXY, pixels.
        image_size: (h, w), pixels.

    Returns:
        N pairs (rows, columns).
    """
    h, w = image_size
    windows = []
    for x1, y1, x2, y2 in boxes.detach().tolist():
        if x2 <= x1 or y2 <= y1:
            windows.append((slice(0, 0), slice(0, 0)))
            continue
        rows = slice(max(math.floor(y1) - 1, 0), min(math.ceil(y2) + 1, h))
        columns = slice(max(math.floor(x1) - 1, 0), min(math.ceil(x2) + 1, w))
        windows.append((rows, columns))
    return windows


def _near_box(boxes: Tensor, image_size: tuple[int, int]) -> Tensor:
    """The windows of paste_windows as (N, h, w) bool, without reading the boxes back."""
    h, w = image_size
    low, high = torch.floor(boxes[:, :2]) - 1, torch.ceil(boxes[:, 2:]) + 1
    ys = torch.arange(h, device=boxes.device, dtype=boxes.dtype)
    xs = torch.arange(w, device=boxes.device, dtype=boxes.dtype)
    in_y = (ys >= low[:, 1:]) & (ys < high[:, 1:])
    in_x = (xs >= low[:, :1]) & (xs < high[:, :1])
    positive = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    return in_y[:, :, None] & in_x[:, None, :] & positive[:, None, None]


def paste_masks_detectron1(
    masks: Tensor, boxes: Tensor, image_size: Sequence[int], threshold: float = 0.5
) -> Tensor:
    """Return full-image masks as Detectron pasted them: padded, into boxes of whole pixels.

    Convention: the mask is padded by a cell of 0s, its box expanded to match and truncated
    towards zero to inclusive indices, and the mask resized to that many pixels; edges move by
    up to a pixel. A box of zero size becomes the pixel it lies in.

    Args:
        masks: (N, M, M) probabilities.
        boxes: (N, 4) the boxes in which the masks were cropped, as continuous numbers, no -1.
        image_size: (h, w), pixels, each at least 1.
        threshold: in (0, 1]; a pixel belongs to the mask if its value is above this.

    Returns:
        (N, h, w) bool.

    Raises:
        ValueError: wrong shapes or dtypes, NaN, inverted boxes, an image of no pixels.

    Differs from: paste_masks in its integer boxes, and in `>` instead of `>=`.
    Source: facebookresearch/Detectron, detectron/core/test.py (segm_results).
    """
    size = check_paste_input(masks, boxes, image_size, threshold)
    if masks.shape[1] != masks.shape[2]:
        raise fail("masks", describe(masks), "square masks (N, M, M), as in Detectron")
    return paste_masks_detectron1_unchecked(masks, boxes, size, threshold)


def paste_masks_detectron1_unchecked(
    masks: Tensor, boxes: Tensor, image_size: tuple[int, int], threshold: float
) -> Tensor:
    """``paste_masks_detectron1`` without its checks."""
    h, w = image_size
    out = torch.zeros((len(masks), h, w), dtype=torch.bool, device=masks.device)
    if len(masks) == 0:
        return out
    m = masks.shape[-1]
    padded = F.pad(masks.to(torch.float32), (1, 1, 1, 1))
    # In float32, as NumPy expanded them: the truncation is sensitive to the last bit.
    expanded = scale_boxes(boxes.detach().to(torch.float32), (m + 2.0) / m).clamp(-_FAR, _FAR)
    for i, (x1, y1, x2, y2) in enumerate(expanded.trunc().to(torch.int64).tolist()):
        rows = slice(max(y1, 0), min(y2 + 1, h))
        columns = slice(max(x1, 0), min(x2 + 1, w))
        if rows.stop <= rows.start or columns.stop <= columns.start:
            continue
        box_size = max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)
        out[i, rows, columns] = (
            _resize_window(padded[i], box_size, (rows, columns), (y1, x1)) > threshold
        )
    return out


def _resize_window(
    mask: Tensor, size: tuple[int, int], window: tuple[slice, slice], origin: tuple[int, int]
) -> Tensor:
    """The window of a mask resized to ``size`` and laid with its corner at ``origin``."""
    (y0, y1, wy), (x0, x1, wx) = (
        _linear_taps(*side) for side in zip(mask.shape, size, window, origin, strict=True)
    )
    wy, wx = wy.to(mask.device), wx.to(mask.device)
    wide = mask[:, x0] * (1 - wx) + mask[:, x1] * wx
    return wide[y0] * (1 - wy)[:, None] + wide[y1] * wy[:, None]


def _linear_taps(m: int, n: int, window: slice, origin: int) -> tuple[Tensor, Tensor, Tensor]:
    """Neighbours and weights of a half-pixel linear resize from m to n, edges repeated."""
    index = torch.arange(window.start - origin, window.stop - origin, dtype=torch.float64)
    position = ((index + 0.5) * (m / n) - 0.5).to(torch.float32).clamp(0, m - 1)
    low = position.floor().to(torch.int64)
    return low, (low + 1).clamp(max=m - 1), position - low


def check_paste_input(
    masks: Tensor, boxes: Tensor, image_size: Sequence[int], threshold: float
) -> tuple[int, int]:
    """Refuse bad arguments of a paste and return the image size (h, w) as ints."""
    check_tensor("masks", masks, 3, "RoI masks of shape (N, M_h, M_w)")
    if 0 in masks.shape[1:]:
        raise fail("masks", describe(masks), "at least one cell a side")
    if masks.is_floating_point():
        check_finite("masks", masks)
    check_boxes("boxes", boxes)
    check_same_length("masks", masks, "boxes", boxes)
    if not 0 < threshold <= 1:
        raise fail("threshold", threshold, "a probability in (0, 1]")
    return check_image_size("image_size", image_size)
