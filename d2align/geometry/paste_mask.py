"""Paste RoI masks into the image: the inverse of RoIAlign, and Detectron's integer boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from d2align.geometry._checks import (
    as_number,
    check_boxes,
    check_image_size,
    check_masks,
    check_same_length,
    describe,
    fail,
)
from d2align.geometry.paste_dense import (
    PlaceWindows,
    Window,
    expand_boxes_detectron1,
    is_open,
    near_boxes,
    paste_windows,
    resize_into_box_detectron1,
    sample_masks,
)
from d2align.geometry.paste_runs import fill_runs, paste_runs, paste_runs_detectron1

# Workspace of one chunk on a GPU; on the CPU one mask at a time is fastest.
_CHUNK_BYTES = 256 * 2**20


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
    if masks.device.type == "cpu":
        runs = paste_runs(masks, boxes, image_size, threshold, along_rows=True)
        if runs is not None:
            return fill_runs(runs, image_size)
    masks = masks.detach() if masks.is_floating_point() else masks.to(torch.float32)
    boxes = boxes.detach()
    out = torch.zeros((len(masks), *image_size), dtype=torch.bool, device=masks.device)
    if masks.device.type == "cpu":
        for i, (window, soft) in enumerate(_sample_windows(masks, boxes, image_size)):
            out[i][window] = soft >= threshold
        return out
    h, w = image_size
    chunk = max(1, _CHUNK_BYTES // (h * w * 4 * 3))
    for start in range(0, len(masks), chunk):
        part = slice(start, start + chunk)
        soft = sample_masks(masks[part], boxes[part], slice(0, h), slice(0, w))
        out[part] = (soft >= threshold) & near_boxes(boxes[part], image_size)
    return out


def paste_soft_masks(masks: Tensor, boxes: Tensor, image_size: Sequence[int]) -> Tensor:
    """Return the values that ``paste_masks`` compares with its threshold, differentiably.

    Convention: as ``paste_masks``; 0 farther than one pixel outside the box.

    Args:
        masks: (N, M_h, M_w) probabilities; bool counts as 0 and 1. Gradients flow to them.
        boxes: (N, 4) XYXY, pixels; they may reach outside the image. Gradients flow to them.
        image_size: (h, w), pixels, each at least 1.

    Returns:
        (N, h, w), of the masks' dtype, float32 for bool.

    Raises:
        ValueError: wrong shapes or dtypes, NaN, inverted boxes, an image of no pixels.
    """
    h, w = check_paste_input(masks, boxes, image_size, threshold=1.0)
    masks = masks if masks.is_floating_point() else masks.to(torch.float32)
    if len(masks) == 0:
        return masks.new_zeros((0, h, w))
    windows, values = zip(*_sample_windows(masks, boxes, (h, w)), strict=True)
    out: Tensor = PlaceWindows.apply(windows, (h, w), *values)  # type: ignore[no-untyped-call]
    return out


def _sample_windows(
    masks: Tensor, boxes: Tensor, image_size: tuple[int, int]
) -> Iterator[tuple[Window, Tensor]]:
    """For each mask the window that it can reach and its values there, (rows, columns)."""
    for i, window in enumerate(paste_windows(boxes, image_size)):
        soft = masks[i, :0, :0]
        if is_open(*window):
            soft = sample_masks(masks[i : i + 1], boxes[i : i + 1], *window)[0]
        yield window, soft


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
    check_square(masks)
    return paste_masks_detectron1_unchecked(masks, boxes, size, threshold)


def paste_masks_detectron1_unchecked(
    masks: Tensor, boxes: Tensor, image_size: tuple[int, int], threshold: float
) -> Tensor:
    """``paste_masks_detectron1`` without its checks."""
    if masks.device.type == "cpu":
        runs = paste_runs_detectron1(masks, boxes, image_size, threshold, along_rows=True)
        if runs is not None:
            return fill_runs(runs, image_size)
    out = torch.zeros((len(masks), *image_size), dtype=torch.bool, device=masks.device)
    padded = F.pad(masks.detach().to(torch.float32), (1, 1, 1, 1))
    pixels = expand_boxes_detectron1(boxes, masks.shape[-1]).tolist()
    for i, box in enumerate(pixels):
        window, soft = resize_into_box_detectron1(padded[i], box, image_size)
        out[i][window] = soft > threshold
    return out


def check_paste_input(
    masks: Tensor, boxes: Tensor, image_size: Sequence[int], threshold: float
) -> tuple[int, int]:
    """Refuse bad arguments of a paste and return the image size (h, w) as ints."""
    check_masks("masks", masks, "RoI masks of shape (N, M_h, M_w)")
    check_boxes("boxes", boxes)
    check_same_length("masks", masks, "boxes", boxes)
    if not 0 < as_number("threshold", threshold, "a probability in (0, 1]") <= 1:
        raise fail("threshold", threshold, "a probability in (0, 1]")
    return check_image_size("image_size", image_size)


def check_square(masks: Tensor) -> None:
    """Refuse masks that are not square."""
    if masks.shape[1] != masks.shape[2]:
        raise fail("masks", describe(masks), "square masks (N, M, M), as in Detectron")
