"""Which feature pixels each bin of RoIAlign reads, and with what weights, as flat lists.

Shape shorthand: N regions, K_h x K_w bins each, T pixels along one axis of a bin.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from d2align.geometry.roi_align_samples import Bins, sample_bins, weights_in_windows

# Lists of one length for all bins may be so much longer: they are quicker to make.
_PADDING = 1.5


@dataclass(frozen=True)
class GatherTable:
    """Bin b is the weighted sum of rows offsets[b] to offsets[b + 1] of (B * H * W, C) features."""

    rows: Tensor  # (E,) int32, (image * H + y) * W + x
    weights: Tensor  # (E,)
    offsets: Tensor  # (bins + 1,) int32

    def between(self, first: int, stop: int) -> GatherTable:
        """The table of bins first to stop."""
        offsets = self.offsets[first : stop + 1]
        begin, end = int(offsets[0]), int(offsets[-1])
        return GatherTable(self.rows[begin:end], self.weights[begin:end], offsets - begin)


def rows_to_read(bins_y: Bins, bins_x: Bins) -> Tensor:
    """Return how many rows each region's bins read.

    Args:
        bins_y: of N regions along y.
        bins_x: of the regions along x.

    Returns:
        (N,) int64.
    """
    return bins_y.number * bins_x.number * _pixels_of_bins(bins_y) * _pixels_of_bins(bins_x)


def build_table(images: Tensor, bins_y: Bins, bins_x: Bins) -> GatherTable:
    """Return what the bins of regions read.

    Args:
        images: (N,) int64, each region's image in the batch.
        bins_y: of the regions along y.
        bins_x: of the regions along x.

    Returns:
        The table of N * K_h * K_w bins.
    """
    first_rows = images * bins_y.lengths * bins_x.lengths
    if not (bins_y.are_dense() and bins_x.are_dense()):
        samples = _pixels_beside_samples(bins_y), _pixels_beside_samples(bins_x)
        return _even_table(first_rows, *samples, bins_x.lengths)
    heights, widths = _pixels_of_bins(bins_y), _pixels_of_bins(bins_x)
    if len(images) * heights.max() * widths.max() > _PADDING * (heights * widths).sum():
        return _ragged_table(first_rows, bins_y, bins_x, heights, widths)
    windows = _pixels_in_windows(bins_y, heights), _pixels_in_windows(bins_x, widths)
    return _even_table(first_rows, *windows, bins_x.lengths)


def _pixels_of_bins(bins: Bins) -> Tensor:
    """(N,): along one axis, for each bin of a region."""
    counts = bins.counts.clamp(min=1).to(torch.int64)
    return (counts + 1).minimum(bins.lengths) if bins.are_dense() else 2 * counts


def _pixels_beside_samples(bins: Bins) -> tuple[Tensor, Tensor]:
    samples = sample_bins(bins)
    pixels = torch.cat([samples.low, samples.high], dim=2)
    return pixels, torch.cat([samples.low_weights, samples.high_weights], dim=2)


def _pixels_in_windows(bins: Bins, widths: Tensor) -> tuple[Tensor, Tensor]:
    # On a map that is smaller than the widest window the last pixels get no weight.
    first, weights = weights_in_windows(bins, widths.max().minimum(bins.lengths))
    pixels = first[:, :, None] + torch.arange(weights.shape[2])
    return pixels.minimum((bins.lengths - 1)[:, None, None]), weights


def _even_table(
    first_rows: Tensor,
    y: tuple[Tensor, Tensor],
    x: tuple[Tensor, Tensor],
    map_widths: Tensor,
) -> GatherTable:
    """The table where every bin reads the same number of rows; y and x: pixels and weights."""
    lines = first_rows[:, None, None] + y[0] * map_widths[:, None, None]
    # (N, K_h, K_w, T_h, T_w)
    rows = lines.int()[:, :, None, :, None] + x[0].int()[:, None, :, None, :]
    weights = y[1][:, :, None, :, None] * x[1][:, None, :, None, :]
    each = rows.shape[3] * rows.shape[4]
    offsets = torch.arange(0, rows.numel() + 1, each, dtype=torch.int32)
    return GatherTable(rows.view(-1), weights.view(-1), offsets)


def _ragged_table(
    first_rows: Tensor, bins_y: Bins, bins_x: Bins, heights: Tensor, widths: Tensor
) -> GatherTable:
    """The table where the bins of each region read windows of their own size, line by line."""
    first_y, weights_y = weights_in_windows(bins_y, heights)
    first_x, weights_x = weights_in_windows(bins_x, widths)
    map_widths = bins_x.lengths[:, None]
    corners = (first_rows[:, None] + first_y * map_widths)[:, :, None] + first_x[:, None, :]
    shape = corners.shape  # (N, K_h, K_w)
    begin_y = _begins(weights_y)[:, :, None].expand(shape)
    begin_x = _begins(weights_x)[:, None, :].expand(shape)
    lines_of_bin = heights[:, None, None].expand(shape).reshape(-1)
    columns_of_bin = widths[:, None, None].expand(shape).reshape(-1)

    bin_of_line, line = _enumerate_parts(lines_of_bin)
    step = _take(map_widths[:, :, None].expand(shape), bin_of_line)
    line_begin = _take(corners, bin_of_line) + line * step
    line_weight = _take(weights_y, _take(begin_y, bin_of_line) + line)
    line_of_row, column = _enumerate_parts(_take(columns_of_bin, bin_of_line))
    place_x = _take(_take(begin_x, bin_of_line), line_of_row) + column
    offsets = torch.zeros(len(lines_of_bin) + 1, dtype=torch.int32)
    torch.cumsum(lines_of_bin * columns_of_bin, 0, out=offsets[1:])
    return GatherTable(
        rows=_take(line_begin, line_of_row) + column,
        weights=_take(line_weight, line_of_row) * _take(weights_x, place_x),
        offsets=offsets,
    )


def _begins(weights: Tensor) -> Tensor:
    """(N, K): where each window begins in flat weights (N, K, T)."""
    regions, bins, pixels = weights.shape
    return torch.arange(0, weights.numel(), pixels).view(regions, bins)


def _enumerate_parts(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """For wholes of so many parts each: every part's whole and its place in it, int32."""
    numbers = numbers.int()
    whole = torch.repeat_interleave(numbers)
    begins = (numbers.cumsum(0) - numbers).int()
    return whole, torch.arange(len(whole), dtype=torch.int32) - begins.index_select(0, whole)


def _take(values: Tensor, indices: Tensor) -> Tensor:
    """values.flatten()[indices], integers as int32; many times faster than by brackets."""
    values = values if values.is_floating_point() else values.int()
    return values.reshape(-1).index_select(0, indices)
