"""RoIAlign as two products with dense matrices, along y and then along x.

For small maps only: every region pays for the whole map, but at the speed of matrix products.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from d2align.geometry.roi_align_samples import Bins, sample_bins, weights_on_map

_MAX_NUMBERS_AT_ONCE = 1 << 22  # of the product along y, in memory


def roi_align_separable(features: Tensor, images: Tensor, bins_y: Bins, bins_x: Bins) -> Tensor:
    """Crop and resize regions by dense matrices.

    Convention: that of the bins.

    Args:
        features: (B, C, H, W) floating, on the CPU; a NaN anywhere reaches every bin of its image.
        images: (N,) int64, each region's image in the batch, in groups of one image.
        bins_y: of the regions along y.
        bins_x: of the regions along x.

    Returns:
        (N, C, K_h, K_w), channels_last in memory. The gradient reaches the features.
    """
    out: Tensor = _Separable.apply(features, images, bins_y, bins_x)  # type: ignore[no-untyped-call]
    return out


class _Separable(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, images: Tensor, bins_y: Bins, bins_x: Bins) -> Tensor:
        _, channels, height, width = features.shape
        weights_y = weights_on_map(sample_bins(bins_y), height)
        weights_x = weights_on_map(sample_bins(bins_x), width)
        maps = features.permute(0, 2, 3, 1).contiguous()
        out = features.new_empty(len(images), bins_y.number, bins_x.number, channels)
        for image, part in _regions_of_images(images, bins_y.number * width * channels):
            lines = weights_y[part].flatten(0, 1) @ maps[image].flatten(1)
            lines = lines.view(-1, bins_y.number, width, channels)
            torch.matmul(weights_x[part, None], lines, out=out[part])
        ctx.save_for_backward(images, weights_y, weights_x)
        ctx.shape = features.shape
        return out.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        images, weights_y, weights_x = ctx.saved_tensors
        batch, channels, height, width = ctx.shape
        grad = grad.permute(0, 2, 3, 1).contiguous()
        total = grad.new_zeros(batch, height, width * channels)
        for image, part in _regions_of_images(images, grad.shape[1] * width * channels):
            lines = weights_x[part, None].transpose(2, 3) @ grad[part]
            total[image].addmm_(weights_y[part].flatten(0, 1).t(), lines.view(-1, width * channels))
        return total.view(batch, height, width, channels).permute(0, 3, 1, 2), None, None, None


def _regions_of_images(images: Tensor, numbers_each: int) -> Iterator[tuple[int, slice]]:
    """Each image that has regions, with slices of them of bounded work."""
    at_once = max(1, _MAX_NUMBERS_AT_ONCE // numbers_each)
    found, counts = torch.unique_consecutive(images, return_counts=True)
    first = 0
    for image, count in zip(found.tolist(), counts.tolist(), strict=True):
        for start in range(first, first + count, at_once):
            yield image, slice(start, min(start + at_once, first + count))
        first += count
