"""The values of pasted masks at every pixel of a window, in plain torch."""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from d2align.geometry.boxes import scale_boxes

Window = tuple[slice, slice]

# Less memory is had again and again from a heap, where writing zeros is quicker than a fresh page.
_FRESH_BYTES = 32 * 2**20
# Farther out than any image, and safe in integers.
_FAR = 1e9
# In grid_sample's coordinates, where a mask ends at 1: all is 0 there; at infinity it gives NaN.
_BEYOND = 4.0


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
    grid_y = ((ys - y1) / (y2 - y1) * 2 - 1).clamp(-_BEYOND, _BEYOND)
    grid_x = ((xs - x1) / (x2 - x1) * 2 - 1).clamp(-_BEYOND, _BEYOND)
    shape = (len(masks), len(ys), len(xs))
    grid = torch.stack([grid_x[:, None, :].expand(shape), grid_y[:, :, None].expand(shape)], dim=3)
    out = F.grid_sample(masks[:, None], grid.to(masks.dtype), align_corners=False)
    return out[:, 0]


def paste_windows(boxes: Tensor, image_size: tuple[int, int]) -> list[Window]:
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
        rows = slice(max(math.floor(y1) - 1, 0), min(math.ceil(y2) + 1, h))
        columns = slice(max(math.floor(x1) - 1, 0), min(math.ceil(x2) + 1, w))
        positive = x1 < x2 and y1 < y2
        windows.append((rows, columns) if positive and is_open(rows, columns) else _CLOSED)
    return windows


_CLOSED = slice(0, 0), slice(0, 0)


def is_open(rows: slice, columns: slice) -> bool:
    """Return whether there is a pixel in a window."""
    return bool(rows.start < rows.stop and columns.start < columns.stop)


def near_boxes(boxes: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Return the windows of ``paste_windows`` as pixels, without reading the boxes back.

    Convention: as ``paste_windows``.

    Args:
        boxes: (N, 4) XYXY, pixels.
        image_size: (h, w), pixels.

    Returns:
        (N, h, w) bool.
    """
    h, w = image_size
    # Halves cannot count the pixels of a row.
    boxes = boxes.to(torch.promote_types(boxes.dtype, torch.float32))
    low, high = torch.floor(boxes[:, :2]) - 1, torch.ceil(boxes[:, 2:]) + 1
    ys = torch.arange(h, device=boxes.device, dtype=boxes.dtype)
    xs = torch.arange(w, device=boxes.device, dtype=boxes.dtype)
    in_y = (ys >= low[:, 1:]) & (ys < high[:, 1:])
    in_x = (xs >= low[:, :1]) & (xs < high[:, :1])
    positive = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    return in_y[:, :, None] & in_x[:, None, :] & positive[:, None, None]


def lazy_zeros(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return zeros on the CPU of which only the pages that are written take memory and time.

    Args:
        shape: of the tensor.
        dtype: of the tensor.

    Returns:
        A tensor of that shape; its storage cannot be resized.

    Raises:
        MemoryError: there is not so much.
    """
    size = math.prod(shape) * torch.empty(0, dtype=dtype).element_size()
    if not size:
        return torch.zeros(shape, dtype=dtype)
    if size < _FRESH_BYTES or not hasattr(mmap, "MAP_PRIVATE"):
        return torch.frombuffer(bytearray(size), dtype=dtype).view(shape)
    try:
        fresh = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"no memory for {shape} of {dtype}: {size} bytes") from error
    return torch.frombuffer(fresh, dtype=dtype).view(shape)


class PlaceWindows(torch.autograd.Function):
    """Each value map at its window of an image of zeros, differentiably."""

    @staticmethod
    def forward(
        ctx: Any, windows: Sequence[Window], image_size: tuple[int, int], *values: Tensor
    ) -> Tensor:
        """Return (N, h, w) of the values, (rows, columns) each."""
        ctx.windows = windows
        shape, like = (len(values), *image_size), values[0]
        on_cpu = like.device.type == "cpu"
        out = lazy_zeros(shape, like.dtype) if on_cpu else like.new_zeros(shape)
        for image, window, value in zip(out, windows, values, strict=True):
            image[window] = value
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        """Return the gradient of each window."""
        (grad,) = grads
        pieces = (image[window] for image, window in zip(grad, ctx.windows, strict=True))
        return (None, None, *pieces)


def expand_boxes_detectron1(boxes: Tensor, m: int) -> Tensor:
    """Return the whole pixels, both ends included, into which Detectron resized a padded mask.

    Convention: the box grows by a cell of its mask on each side and is truncated towards zero.

    Args:
        boxes: (N, 4) XYXY, pixels.
        m: cells a side of the masks, without padding.

    Returns:
        (N, 4) XYXY int64.
    """
    # In float32, as NumPy expanded them: the truncation is sensitive to the last bit.
    expanded = scale_boxes(boxes.detach().to(torch.float32), (m + 2.0) / m)
    return expanded.clamp(-_FAR, _FAR).trunc().to(torch.int64)


def resize_into_box_detectron1(
    mask: Tensor, box: tuple[int, int, int, int], image_size: tuple[int, int]
) -> tuple[Window, Tensor]:
    """Return a mask resized to whole pixels, where they lie in the image.

    Convention: half-pixel linear resize, the mask's edges repeated.

    Args:
        mask: (m, m) float32, padded.
        box: x1, y1, x2, y2, both ends included.
        image_size: (h, w), pixels.

    Returns:
        The window (rows, columns) and the values there.
    """
    (h, w), (x1, y1, x2, y2) = image_size, box
    rows, columns = slice(max(y1, 0), min(y2 + 1, h)), slice(max(x1, 0), min(x2 + 1, w))
    if not is_open(rows, columns):
        return _CLOSED, mask[:0, :0]
    y_low, y_high, y = _linear_taps(len(mask), max(y2 - y1 + 1, 1), rows, y1)
    x_low, x_high, x = _linear_taps(len(mask), max(x2 - x1 + 1, 1), columns, x1)
    y, x = y.to(mask.device)[:, None], x.to(mask.device)
    wide = mask[:, x_low] * (1 - x) + mask[:, x_high] * x
    return (rows, columns), wide[y_low] * (1 - y) + wide[y_high] * y


def _linear_taps(m: int, n: int, window: slice, origin: int) -> tuple[Tensor, Tensor, Tensor]:
    """Neighbours and weights of a half-pixel linear resize from m to n, edges repeated."""
    index = torch.arange(window.start - origin, window.stop - origin, dtype=torch.float64)
    position = ((index + 0.5) * (m / n) - 0.5).to(torch.float32).clamp(0, m - 1)
    low = position.floor().to(torch.int64)
    return low, (low + 1).clamp(max=m - 1), position - low
