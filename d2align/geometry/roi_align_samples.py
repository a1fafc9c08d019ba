"""Where RoIAlign reads: its samples along one axis, and what weight each pixel gets from them.

RoIAlign is separable: the samples of bin (i, j) are all pairs of a row of bin i and a column of
bin j, so that its weights are the product of a weight along y and a weight along x.
Shape shorthand: N regions, K bins along the axis, S samples a bin at most, T pixels in a window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Bins:
    """The bins of regions along one axis.

    Convention: in indices of feature pixels; the feature at index i lies at i.
    """

    number: int  # K
    starts: Tensor  # (N,) where the first bin begins
    sizes: Tensor  # (N,) of one bin
    counts: Tensor  # (N,) samples a bin; whole numbers, of the dtype of sizes
    lengths: Tensor  # (N,) int64, of the region's feature map

    def between(self, first: int, stop: int) -> Bins:
        """The bins of regions first to stop."""
        part = slice(first, stop)
        return Bins(
            self.number, self.starts[part], self.sizes[part], self.counts[part], self.lengths[part]
        )

    def are_dense(self) -> bool:
        """Whether the samples of each bin are at most one pixel apart."""
        return bool((self.sizes <= self.counts).all())


BinsOfBoxes = Callable[..., tuple[Bins, Bins]]


def bins_of_boxes(
    boxes: Tensor, size: Sequence[int], map_sizes: Tensor, scales: Any, sampling_ratio: int
) -> tuple[Bins, Bins]:
    """Return the bins of boxes along y and along x.

    Convention: boxes with integer corners, so that half a feature pixel is taken off.

    Args:
        boxes: (N, 4) XYXY, pixels of the image.
        size: (K_h, K_w) bins.
        map_sizes: (N, 2) int64, (h, w) of each box's feature map.
        scales: feature pixels for each image pixel, a number or (N, 1).
        sampling_ratio: samples along each side of a bin; 0 adapts to the box's size.

    Returns:
        Bins along y, bins along x.
    """
    corners = boxes * scales - 0.5  # here and below in torchvision's order: it rounds the same
    return _bins(corners, corners[:, 2:] - corners[:, :2], size, map_sizes, sampling_ratio)


def bins_of_boxes_unaligned(
    boxes: Tensor, size: Sequence[int], map_sizes: Tensor, scales: Any, sampling_ratio: int
) -> tuple[Bins, Bins]:
    """Return the bins of boxes along y and along x, as Detectron had them.

    Convention: corners are taken for indices; a box is at least one feature pixel wide.

    Args:
        boxes: (N, 4) XYXY, pixels of the image.
        size: (K_h, K_w) bins.
        map_sizes: (N, 2) int64, (h, w) of each box's feature map.
        scales: feature pixels for each image pixel, a number or (N, 1).
        sampling_ratio: samples along each side of a bin; 0 adapts to the box's size.

    Returns:
        Bins along y, bins along x.

    Differs from: bins_of_boxes by +0.5 feature pixel, and by the minimum size of 1.
    Source: as roi_align_unaligned.
    """
    corners = boxes * scales
    extents = (corners[:, 2:] - corners[:, :2]).clamp(min=1)
    return _bins(corners, extents, size, map_sizes, sampling_ratio)


def _bins(
    corners: Tensor, extents: Tensor, size: Sequence[int], map_sizes: Tensor, sampling_ratio: int
) -> tuple[Bins, Bins]:
    axes = []
    for xy, number, lengths in ((1, size[0], map_sizes[:, 0]), (0, size[1], map_sizes[:, 1])):
        sizes = extents[:, xy] / number
        counts = torch.full_like(sizes, sampling_ratio) if sampling_ratio else sizes.ceil()
        axes.append(Bins(number, corners[:, xy], sizes, counts, lengths))
    return axes[0], axes[1]


@dataclass(frozen=True)
class AxisSamples:
    """The two pixels beside every sample along one axis, and their weights in its bin's mean."""

    low: Tensor  # (N, K, S) int64, the pixel before; it does not decrease along S
    high: Tensor  # (N, K, S) int64, the pixel after, in the map
    low_weights: Tensor  # (N, K, S), 0 where the sample does not exist or is outside the map
    high_weights: Tensor  # (N, K, S)


def sample_bins(bins: Bins) -> AxisSamples:
    """Return the samples of bins along one axis.

    Args:
        bins: of at least one region, with sizes of 0 or more.

    Returns:
        For each bin as many samples as the bin with most of them has.
    """
    dtype = bins.sizes.dtype
    sizes, lengths = bins.sizes[:, None, None], bins.lengths[:, None, None]
    counts = bins.counts.clamp(min=1)[:, None, None]
    order = torch.arange(int(counts.max()), dtype=dtype)
    begins = bins.starts[:, None, None] + torch.arange(bins.number, dtype=dtype)[:, None] * sizes
    positions = begins + (order + 0.5) * sizes / counts
    # Over one pixel outside the map there is nothing; closer, the edge.
    counted = (positions >= -1) & (positions <= lengths) & (order < bins.counts[:, None, None])
    positions = positions.clamp_(min=0).minimum((lengths - 1).to(dtype))
    before = positions.floor()
    shares = counted / counts
    high_weights = (positions - before) * shares
    low = before.to(torch.int64)
    high = torch.minimum(low + 1, lengths - 1)
    return AxisSamples(low, high, shares - high_weights, high_weights)


def weights_on_map(samples: AxisSamples, length: int) -> Tensor:
    """Return the weight of every pixel of a map in every bin, along one axis.

    Args:
        samples: of N regions, all on maps of this length.
        length: of the maps, pixels.

    Returns:
        (N, K, length).
    """
    weights = samples.low_weights.new_zeros(*samples.low.shape[:2], length)
    weights.scatter_add_(2, samples.low, samples.low_weights)
    return weights.scatter_add_(2, samples.high, samples.high_weights)


def weights_in_windows(bins: Bins, widths: Tensor) -> tuple[Tensor, Tensor]:
    """Return the window of pixels that each bin reads along one axis, and the pixels' weights.

    Args:
        bins: of N regions, dense.
        widths: (N,) int64 pixels of a region's windows, T at most: at least one more than its
            samples a bin, unless its map is smaller; never more than its map has.

    Returns:
        The first pixel of each window (N, K) int64, with the rest of it in the map, and
        weights (N, K, T), 0 beyond the region's width.
    """
    samples = sample_bins(bins)
    first = torch.minimum(samples.low[:, :, 0], (bins.lengths - widths)[:, None])
    last = (widths - 1)[:, None, None]
    weights = samples.low_weights.new_zeros(*first.shape, int(widths.max()))
    for pixels, shares in (
        (samples.low, samples.low_weights),
        (samples.high, samples.high_weights),
    ):
        # By rounding a sample can end up on the pixel after the window: with a weight of 1e-6.
        places = torch.minimum(pixels - first[:, :, None], last)
        weights.scatter_add_(2, places, shares)
    return first, weights
