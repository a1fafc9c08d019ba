"""RoIAlign: crop a region of a feature map and resize it to a fixed grid.

Output bin (i, j) of a K x K crop of [x1, x2] x [y1, y2] lies at x1 + (j + 0.5)(x2 - x1) / K, and
the value there is interpolated between pixels whose centres are at index + 0.5. Forgetting that
last 0.5 is the historical RoIAlign: what it reads is half a pixel off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from d2align.geometry._checks import (
    as_number,
    check_boxes,
    check_floating,
    check_tensor,
    check_whole,
    describe,
    fail,
)
from d2align.geometry.roi_align_cpu import roi_align_cpu
from d2align.geometry.roi_align_samples import bins_of_boxes, bins_of_boxes_unaligned

# torchvision's kernel keeps 28 bytes of each: these are 15 GB, a region of 16k x 16k pixels half.
_MOST_SAMPLES = 2**29


def roi_align(
    input: Tensor,
    rois: Tensor,
    output_size: int | Sequence[int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
) -> Tensor:
    """Crop and resize regions of feature maps, exactly where the boxes say.

    Convention: integer corners; the features at index i are centred on i + 0.5. A region of
    zero size gives what torchvision gives: its bins are 0 with adaptive sampling (ratio 0),
    else the value at that point. Samples over one pixel outside the map count as 0.

    Args:
        input: (B, C, H, W) floating features.
        rois: (N, 5) rows (batch index, x1, y1, x2, y2), in pixels of the image.
        output_size: bins along each side, K or (K_h, K_w), at least 1.
        spatial_scale: feature pixels for each image pixel, positive.
        sampling_ratio: samples along each side of a bin; 0 adapts to the region's size.

    Returns:
        (N, C, K_h, K_w). The gradient reaches input, not the boxes.

    Raises:
        ValueError: wrong shapes or dtypes, NaN or inverted boxes, batch indices out of range, a
            region of more than 2 ** 29 samples.
    """
    size = _check_roi_input(input, rois, output_size, spatial_scale, sampling_ratio)
    return roi_align_unchecked(input, rois, size, spatial_scale, sampling_ratio)


def roi_align_unaligned(
    input: Tensor,
    rois: Tensor,
    output_size: int | Sequence[int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
) -> Tensor:
    """Crop and resize regions as Detectron did: half a feature pixel to the right and below.

    Convention: reads features at integer-corner coordinates as if index i were centred on i.
    Regions narrower than one feature pixel are taken as one pixel wide.

    Args:
        input: (B, C, H, W) floating features.
        rois: (N, 5) rows (batch index, x1, y1, x2, y2), in pixels of the image.
        output_size: bins along each side, K or (K_h, K_w), at least 1.
        spatial_scale: feature pixels for each image pixel, positive.
        sampling_ratio: samples along each side of a bin; 0 adapts to the region's size.

    Returns:
        (N, C, K_h, K_w).

    Raises:
        ValueError: wrong shapes or dtypes, NaN or inverted boxes, batch indices out of range, a
            region of more than 2 ** 29 samples.

    Differs from: roi_align by +0.5 feature pixel in x and y, and by the minimum size of 1.
    Source: facebookresearch/Detectron (Caffe2's RoIAlign); facebookresearch/maskrcnn-benchmark,
        maskrcnn_benchmark/csrc/cpu/ROIAlign_cpu.cpp; torchvision's ``aligned=False``.
    """
    size = _check_roi_input(input, rois, output_size, spatial_scale, sampling_ratio)
    return roi_align_unaligned_unchecked(input, rois, size, spatial_scale, sampling_ratio)


def roi_align_unchecked(
    input: Tensor, rois: Tensor, size: Sequence[int], spatial_scale: float, sampling_ratio: int
) -> Tensor:
    """``roi_align`` without its checks."""
    arguments = (input, rois.to(input.dtype), size, spatial_scale, sampling_ratio)
    out = roi_align_cpu(*arguments, bins_of_boxes)
    return _torchvision_roi_align(*arguments, aligned=True) if out is None else out


def roi_align_unaligned_unchecked(
    input: Tensor, rois: Tensor, size: Sequence[int], spatial_scale: float, sampling_ratio: int
) -> Tensor:
    """``roi_align_unaligned`` without its checks."""
    arguments = (input, rois.to(input.dtype), size, spatial_scale, sampling_ratio)
    out = roi_align_cpu(*arguments, bins_of_boxes_unaligned)
    return _torchvision_roi_align(*arguments, aligned=False) if out is None else out


def _torchvision_roi_align(
    input: Tensor,
    rois: Tensor,
    size: Sequence[int],
    spatial_scale: float,
    sampling_ratio: int,
    *,
    aligned: bool,
) -> Tensor:
    from torchvision.ops import roi_align as op  # imported here: it takes a second

    # The kernel of the CPU has no bfloat16.
    narrow = input.dtype == torch.bfloat16 and input.device.type == "cpu"
    arguments = (input.float(), rois.float()) if narrow else (input, rois)
    out: Tensor = op(*arguments, tuple(size), spatial_scale, sampling_ratio, aligned)
    return out.to(input.dtype)


def roi_align_grid_sample(
    input: Tensor,
    rois: Tensor,
    output_size: int | Sequence[int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
) -> Tensor:
    """The same as ``roi_align``, written with ``F.grid_sample``: the article's exercise.

    Convention: integer corners. Slower than ``roi_align``; here also the boxes get a gradient.

    Args:
        input: (B, C, H, W) floating features.
        rois: (N, 5) rows (batch index, x1, y1, x2, y2), in pixels of the image.
        output_size: bins along each side, K or (K_h, K_w), at least 1.
        spatial_scale: feature pixels for each image pixel, positive.
        sampling_ratio: samples along each side of a bin; 0 adapts to the region's size.

    Returns:
        (N, C, K_h, K_w).

    Raises:
        ValueError: wrong shapes or dtypes, NaN or inverted boxes, batch indices out of range, a
            region of more than 2 ** 29 samples.
    """
    size = _check_roi_input(input, rois, output_size, spatial_scale, sampling_ratio)
    crops = [
        _crop_by_grid_sample(input[int(roi[0])], roi[1:] * spatial_scale, size, sampling_ratio)
        for roi in rois.to(input.dtype)
    ]
    return torch.stack(crops) if crops else input.new_zeros((0, input.shape[1], *size))


def _crop_by_grid_sample(
    features: Tensor, box: Tensor, size: tuple[int, int], sampling_ratio: int
) -> Tensor:
    height, width = features.shape[-2:]
    (ys, count_y), (xs, count_x) = (
        _sample_coords(box[axis], box[axis + 2], bins, sampling_ratio)
        for axis, bins in ((1, size[0]), (0, size[1]))
    )
    if count_x == 0 or count_y == 0:
        return features.new_zeros((features.shape[0], *size))
    grid_x = (xs / width * 2 - 1)[None, :].expand(len(ys), len(xs))
    grid_y = (ys / height * 2 - 1)[:, None].expand(len(ys), len(xs))
    # "border" holds the edge value; RoIAlign gives 0 only beyond one pixel outside.
    samples = F.grid_sample(
        features[None],
        torch.stack([grid_x, grid_y], dim=-1)[None],
        padding_mode="border",
        align_corners=False,
    )
    inside = _within(ys, height)[:, None] & _within(xs, width)[None, :]
    return F.avg_pool2d(samples * inside, (count_y, count_x))[0]


def _sample_coords(start: Tensor, end: Tensor, bins: int, ratio: int) -> tuple[Tensor, int]:
    count = ratio if ratio > 0 else math.ceil(float(end.detach() - start.detach()) / bins)
    steps = torch.arange(bins * count, device=start.device, dtype=start.dtype) + 0.5
    return start + steps * (end - start) / max(bins * count, 1), count


def _within(coords: Tensor, length: int) -> Tensor:
    return (coords - 0.5 >= -1) & (coords - 0.5 <= length)


def _check_roi_input(
    input: Tensor,
    rois: Tensor,
    output_size: int | Sequence[int],
    spatial_scale: float,
    sampling_ratio: int,
) -> tuple[int, int]:
    check_tensor("input", input, 4, "features of shape (B, C, H, W)")
    check_floating("input", input)
    check_tensor("rois", rois, 2, "a tensor of shape (N, 5)")
    if rois.shape[1] != 5:
        raise fail("rois", describe(rois), "shape (N, 5): batch index, x1, y1, x2, y2")
    if 0 in input.shape[1:]:
        raise fail("input", describe(input), "at least one channel, row and column")
    check_floating("rois", rois)
    rois = rois.to(input.dtype)  # as the operator will see them
    check_boxes("rois[:, 1:]", rois[:, 1:])
    batch = rois.detach()[:, 0]
    if len(rois) and not bool(((batch >= 0) & (batch < len(input)) & (batch % 1 == 0)).all()):
        raise fail(
            "rois[:, 0]", sorted(set(batch.tolist())), f"batch indices in 0..{len(input) - 1}"
        )
    scale = as_number("spatial_scale", spatial_scale, "a positive number")
    if not math.isfinite(scale) or scale <= 0:
        raise fail("spatial_scale", spatial_scale, "a positive number")
    check_whole("sampling_ratio", sampling_ratio, least=0)
    size = _output_size(output_size)
    check_samples("rois[:, 1:], output_size", rois[:, 1:], size, scale, sampling_ratio)
    return size


def check_samples(
    name: str, boxes: Tensor, size: Sequence[int], spatial_scale: float, sampling_ratio: int
) -> None:
    """Refuse a region of more samples than torchvision's kernel has memory for."""
    if not len(boxes):
        return
    bins = boxes.new_tensor([size[1], size[0]], dtype=torch.float64)
    sides = (boxes.detach()[:, 2:] - boxes.detach()[:, :2]).to(torch.float64) * spatial_scale
    along = (
        sampling_ratio * bins if sampling_ratio else torch.ceil(sides / bins).clamp(min=1) * bins
    )
    most = float(along.expand(len(boxes), 2).prod(dim=1).max())
    if most > _MOST_SAMPLES:
        raise fail(name, f"a region of {most:.3g} samples", f"at most {_MOST_SAMPLES:.3g}")


def _output_size(output_size: int | Sequence[int]) -> tuple[int, int]:
    if isinstance(output_size, int):
        pair: tuple[int, ...] = (output_size, output_size)
    else:
        pair = tuple(output_size) if isinstance(output_size, Sequence) else ()
    if len(pair) != 2 or not all(isinstance(s, int) and 0 < s < 2**31 for s in pair):
        raise fail("output_size", output_size, "a positive integer or two of them (h, w)")
    return pair[0], pair[1]
