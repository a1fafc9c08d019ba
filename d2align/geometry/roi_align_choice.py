"""Which way RoIAlign goes on the CPU: a rule by shapes.

The constants were fitted to random shapes on one core, so that none takes longer than with
torchvision's kernel: ``benchmarks/roi_align.py`` measures that again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from d2align.geometry._torch import is_autocast_enabled_on_cpu, is_compiling
from d2align.geometry.roi_align_samples import Bins
from d2align.geometry.roi_align_tables import rows_to_read

# With fewer samples, of one channel each, the kernel is done before another way has begun.
_FEW_SAMPLES = 400_000
_FEW_SAMPLES_WITH_GRADIENT = 60_000
# With fewer channels it costs more to find a row of features than to read it.
_FEW_CHANNELS = 32
_FEW_CHANNELS_WITH_GRADIENT = 8
# Bringing the channels of a map side by side costs so many samples for each of its numbers.
_SAMPLES_OF_LAYOUT = 0.5
# Finding a row of the features costs as much as adding so many numbers of it.
_NUMBERS_OF_ROW = 130
# So many products of dense matrices cost as much as adding one number of a row.
_PRODUCTS_OF_NUMBER = 1.5


def is_recorded() -> bool:
    """Return whether a tracer, exporter or compiler looks on: its graph shall keep RoIAlign."""
    if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return True
    return is_compiling() or torch.onnx.is_in_onnx_export()


def is_little(features: Tensor, rois: Tensor, size: Sequence[int]) -> bool:
    """Return whether there is so little to do that even a look at the regions takes too long.

    Args:
        features: (B, C, H, W).
        rois: (N, 5).
        size: (K_h, K_w) bins.

    Returns:
        True if torchvision's kernel is faster, unless a bin has over 16 samples.
    """
    has_gradient = features.requires_grad and torch.is_grad_enabled()
    least: float = _FEW_SAMPLES_WITH_GRADIENT if has_gradient else _FEW_SAMPLES
    if not features.is_contiguous(memory_format=torch.channels_last):
        least += _SAMPLES_OF_LAYOUT * features.numel()
    return 16 * rois.shape[0] * size[0] * size[1] * features.shape[1] < least


def beats_kernel(
    features: Sequence[Tensor],
    rois: Tensor,
    levels: Any,
    size: Sequence[int],
    spatial_scales: Sequence[float],
    sampling_ratio: int,
) -> bool:
    """Return whether sums of rows are possible, and faster than torchvision's kernel.

    Args:
        features: maps (B, C, H, W), floating.
        rois: (N, 5) rows (batch index, x1, y1, x2, y2), in pixels of the image.
        levels: (N,) int64 array, which map each region is cropped from.
        size: (K_h, K_w) bins.
        spatial_scales: of each map, feature pixels for each image pixel.
        sampling_ratio: samples along each side of a bin; 0 adapts to the region's size.

    Returns:
        True for plain tensors on the CPU in full precision, and enough work.
    """
    if is_autocast_enabled_on_cpu() or not _are_plain(features, rois):
        return False
    has_gradient = torch.is_grad_enabled() and any(f.requires_grad for f in features)
    channels = features[0].shape[1]
    if channels < (_FEW_CHANNELS_WITH_GRADIENT if has_gradient else _FEW_CHANNELS):
        return False
    least: float = _FEW_SAMPLES_WITH_GRADIENT if has_gradient else _FEW_SAMPLES
    numbers = np.bincount(levels, minlength=len(features)).tolist()
    for maps, number in zip(features, numbers, strict=True):
        if number and not maps.is_contiguous(memory_format=torch.channels_last):
            least += _SAMPLES_OF_LAYOUT * maps.numel()
    scales = np.asarray(spatial_scales, np.float32)[levels]
    return channels * _count_samples(rois, size, scales, sampling_ratio) >= least


def _are_plain(features: Sequence[Tensor], rois: Tensor) -> bool:
    first = features[0]
    return (
        all(type(t) is Tensor and t.device.type == "cpu" for t in (*features, rois))
        and all(f.dtype == first.dtype and f.numel() > 0 for f in features)
        and first.dtype in (torch.float32, torch.float64)
        and len(rois) > 0
    )


def _count_samples(rois: Tensor, size: Sequence[int], scales: Any, sampling_ratio: int) -> float:
    if sampling_ratio:
        return len(rois) * size[0] * size[1] * float(sampling_ratio**2)
    # In NumPy: with few regions the calls are most of the work.
    boxes = rois.detach().numpy()
    along_y = np.ceil((boxes[:, 4] - boxes[:, 2]) * (scales / size[0]))
    along_x = np.ceil((boxes[:, 3] - boxes[:, 1]) * (scales / size[1]))
    return size[0] * size[1] * float((np.maximum(along_y, 1) * np.maximum(along_x, 1)).sum())


def are_regular(bins: Bins) -> bool:
    """Return whether no region is inverted or not finite: those are left to the kernel.

    Args:
        bins: along one axis.

    Returns:
        True if all are finite and of size 0 or more.
    """
    return bool(((bins.sizes >= 0) & (bins.starts.abs() + bins.sizes < math.inf)).all())


def suits_matrices(features: Tensor, images: Tensor, bins_y: Bins, bins_x: Bins) -> bool:
    """Return whether dense matrices are faster than sums of rows, as on small maps.

    Args:
        features: (B, C, H, W).
        images: (N,) int64, each region's image in the batch.
        bins_y: of the regions along y.
        bins_x: of the regions along x.

    Returns:
        True if so, and the regions of each image follow each other.
    """
    channels, height, width = features.shape[1:]
    along_y_and_x = height * width + width * bins_x.number
    products = len(images) * bins_y.number * along_y_and_x * channels
    numbers = int(rows_to_read(bins_y, bins_x).sum()) * (channels + _NUMBERS_OF_ROW)
    if products > _PRODUCTS_OF_NUMBER * numbers:
        return False
    return bool((images.diff() >= 0).all())
