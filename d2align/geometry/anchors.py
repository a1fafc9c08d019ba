"""Cell anchors and their tiling: float, and Detectron's enumeration of integer boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from d2align.geometry._checks import (
    as_number,
    as_positive,
    check_boxes,
    check_image_size,
    describe,
    fail,
)

# Squares and quotients of what lies between stay within float32.
_LEAST, _MOST = 1e-9, 1e9


def cell_anchors(sizes: Sequence[float], aspect_ratios: Sequence[float]) -> Tensor:
    """Return the anchors of one cell, of exactly the areas and ratios asked for.

    Convention: integer corners; anchors are float boxes centred on (0, 0).

    Args:
        sizes: square roots of the areas, pixels, positive.
        aspect_ratios: height / width, positive.

    Returns:
        (A, 4) float32 XYXY, sizes varying slowest, as in Detectron2.

    Raises:
        ValueError: a size or ratio is not positive and finite, or there are none.
    """
    sizes = _positive("sizes", sizes)
    aspect_ratios = _positive("aspect_ratios", aspect_ratios)
    anchors = []
    for size in sizes:
        for ratio in aspect_ratios:
            w = math.sqrt(size**2 / ratio)
            h = ratio * w
            anchors.append([-w / 2, -h / 2, w / 2, h / 2])
    return torch.tensor(anchors, dtype=torch.float32)


def cell_anchors_detectron1(
    stride: int, sizes: Sequence[float], aspect_ratios: Sequence[float]
) -> Tensor:
    """Return the anchors of one cell as Detectron enumerated them, in whole pixels.

    Convention: inclusive indices around the window (0, 0, stride - 1, stride - 1); the ratio is
    rounded on that window before scaling, so areas are off, for ratios of 0.5 to 2 by up to
    12.5 % from stride 4 on, and more below.

    Args:
        stride: side of the cell, pixels, positive.
        sizes: square roots of the areas, pixels, positive.
        aspect_ratios: height / width, positive.

    Returns:
        (A, 4) float64 first and last pixel, XYXY, aspect ratios varying slowest.

    Raises:
        ValueError: a stride, size or ratio is not positive and finite, or there are none.

    Differs from: cell_anchors in rounding widths and heights, in the +1 of inclusive boxes, in
        its centre, stride / 2 - 0.5, and in its order.
    Source: facebookresearch/Detectron, detectron/modeling/generate_anchors.py.
    """
    (cell,) = _positive("stride", [stride])
    sizes = _positive("sizes", sizes)
    aspect_ratios = _positive("aspect_ratios", aspect_ratios)
    center = 0.5 * (cell - 1)
    ratios = np.asarray(aspect_ratios, dtype=np.float64)
    widths = np.round(np.sqrt(cell * cell / ratios))
    heights = np.round(widths * ratios)
    scales = np.asarray(sizes, dtype=np.float64) / cell
    half_w = 0.5 * (np.outer(widths, scales).reshape(-1) - 1)
    half_h = 0.5 * (np.outer(heights, scales).reshape(-1) - 1)
    columns = [center - half_w, center - half_h, center + half_w, center + half_h]
    return torch.from_numpy(np.stack(columns, axis=1))


def tile_anchors(
    anchors: Tensor, grid_size: Sequence[int], stride: float, offset: float = 0.0
) -> Tensor:
    """Return the anchors of every cell of a feature map.

    Convention: cell (i, j) is shifted by (j + offset, i + offset) * stride. Offset 0.5 puts
    zero-centred anchors on the centres of the cells; Detectron2's zoo uses 0.0.

    Args:
        anchors: (A, 4) XYXY, the cell anchors.
        grid_size: (h, w) of the feature map, cells.
        stride: pixels from one cell to the next.
        offset: in [0, 1), part of a stride.

    Returns:
        (h * w * A, 4) XYXY, pixels, rows of cells slowest.

    Raises:
        ValueError: a wrong shape, a grid of no cells, or an offset outside [0, 1).
    """
    check_boxes("anchors", anchors, least=None)
    h, w = check_image_size("grid_size", grid_size)
    offset = as_number("offset", offset, "a part of a stride in [0, 1)")
    if not 0.0 <= offset < 1.0:
        raise fail("offset", offset, "a part of a stride in [0, 1)")
    (stride,) = _positive("stride", [stride])
    xs = (torch.arange(w, device=anchors.device, dtype=anchors.dtype) + offset) * stride
    ys = (torch.arange(h, device=anchors.device, dtype=anchors.dtype) + offset) * stride
    y, x = torch.meshgrid(ys, xs, indexing="ij")
    shifts = torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4)
    return (shifts + anchors).reshape(-1, 4)


def _positive(name: str, values: Sequence[float]) -> list[float]:
    numbers = as_positive(name, values, "positive numbers, at least one")
    if not all(_LEAST <= v <= _MOST for v in numbers):
        raise fail(name, describe(list(values)), f"numbers from {_LEAST:g} to {_MOST:g}")
    return numbers
