"""RoIAlign on the CPU, where another way is faster than torchvision's kernel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from d2align.geometry.roi_align_choice import (
    are_regular,
    beats_kernel,
    is_little,
    is_recorded,
    suits_matrices,
)
from d2align.geometry.roi_align_gather import Regions, roi_align_gather
from d2align.geometry.roi_align_samples import BinsOfBoxes
from d2align.geometry.roi_align_separable import roi_align_separable


def roi_align_cpu(
    features: Tensor,
    rois: Tensor,
    size: Sequence[int],
    spatial_scale: float,
    sampling_ratio: int,
    bins_of_boxes: BinsOfBoxes,
) -> Tensor | None:
    """Crop and resize regions faster than torchvision's kernel, where that can be done.

    Convention: that of the bins.

    Args:
        features: (B, C, H, W) floating.
        rois: (N, 5) rows (batch index, x1, y1, x2, y2), in pixels of the image, dtype of features.
        size: (K_h, K_w) bins.
        spatial_scale: feature pixels for each image pixel.
        sampling_ratio: samples along each side of a bin; 0 adapts to the region's size.
        bins_of_boxes: bins_of_boxes or bins_of_boxes_unaligned.

    Returns:
        (N, C, K_h, K_w), or None where torchvision's kernel is the one to take.
    """
    if is_recorded() or is_little(features, rois, size):
        return None
    level = np.zeros(len(rois), np.int64)
    if not beats_kernel([features], rois, level, size, [spatial_scale], sampling_ratio):
        return None
    rois = rois.detach()
    map_sizes = torch.tensor(features.shape[2:]).expand(len(rois), 2)
    bins_y, bins_x = bins_of_boxes(rois[:, 1:], size, map_sizes, spatial_scale, sampling_ratio)
    if not (are_regular(bins_y) and are_regular(bins_x)):
        return None
    images = rois[:, 0].to(torch.int64)
    if suits_matrices(features, images, bins_y, bins_x):
        return roi_align_separable(features, images, bins_y, bins_x)
    regions = Regions(images, [len(rois)], torch.arange(len(rois)), bins_y, bins_x)
    return roi_align_gather([features], regions)


def roi_align_pyramid_cpu(
    features: Sequence[Tensor],
    rois: Tensor,
    levels: Tensor,
    size: Sequence[int],
    spatial_scales: Sequence[float],
    sampling_ratio: int,
    bins_of_boxes: BinsOfBoxes,
) -> Tensor | None:
    """Crop and resize regions of several maps at once, where that is faster.

    Convention: that of the bins.

    Args:
        features: maps (B, C, H, W), floating.
        rois: (N, 5) rows (batch index, x1, y1, x2, y2), in pixels of the image, dtype of features.
        levels: (N,) int64, which map each region is cropped from.
        size: (K_h, K_w) bins.
        spatial_scales: of each map, feature pixels for each image pixel.
        sampling_ratio: samples along each side of a bin; 0 adapts to the region's size.
        bins_of_boxes: bins_of_boxes or bins_of_boxes_unaligned.

    Returns:
        (N, C, K_h, K_w), or None where it is better to take one map after another.
    """
    if is_recorded():
        return None
    if not beats_kernel(features, rois, levels.numpy(), size, spatial_scales, sampling_ratio):
        return None
    levels, places = levels.sort(stable=True)
    numbers = torch.bincount(levels, minlength=len(features)).tolist()
    rois = rois.detach().index_select(0, places)
    map_sizes = torch.tensor([f.shape[2:] for f in features]).index_select(0, levels)
    scales = rois.new_tensor(spatial_scales).index_select(0, levels)[:, None]
    bins_y, bins_x = bins_of_boxes(rois[:, 1:], size, map_sizes, scales, sampling_ratio)
    if not (are_regular(bins_y) and are_regular(bins_x)):
        return None
    images = rois[:, 0].to(torch.int64)
    return roi_align_gather(features, Regions(images, numbers, places, bins_y, bins_x))
