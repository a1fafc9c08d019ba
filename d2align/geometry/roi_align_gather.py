"""RoIAlign as one weighted sum of feature vectors for every bin.

With the channels of a pixel side by side in memory, a bin is a weighted sum of a few rows of a
matrix, which ``embedding_bag`` computes many times faster than one channel after another.
Backward it is the same sum the other way: for each pixel, of the bins that read it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from d2align.geometry.roi_align_samples import Bins
from d2align.geometry.roi_align_tables import GatherTable, build_table, rows_to_read

_MAX_ROWS_AT_ONCE = 1 << 21  # bounds the memory of the tables, some 40 bytes a row


@dataclass(frozen=True)
class Regions:
    """N regions on one or more feature maps, sorted by map."""

    images: Tensor  # (N,) int64, each region's image in the batch
    numbers: Sequence[int]  # of regions on each map
    places: Tensor  # (N,) int64, in the output; regions on one map keep their order there
    bins_y: Bins
    bins_x: Bins


@dataclass(frozen=True)
class _Part:
    """Regions that are on one map, and few enough to be done at once."""

    map: int
    places: Tensor
    table: GatherTable


def roi_align_gather(features: Sequence[Tensor], regions: Regions) -> Tensor:
    """Crop and resize regions by one weighted sum for every bin.

    Convention: that of the regions' bins.

    Args:
        features: maps (B, C, H, W), float32 or float64, on the CPU; fastest if channels_last.
        regions: at least one.

    Returns:
        (N, C, K_h, K_w), channels_last in memory. The gradient reaches the features.
    """
    out: Tensor = _GatherSum.apply(regions, *features)  # type: ignore[no-untyped-call]
    return out


class _GatherSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, regions: Regions, *features: Tensor) -> Tensor:
        number, channels = len(regions.images), features[0].shape[1]
        rows = [
            _as_rows(f) if n else f.new_empty(0)
            for f, n in zip(features, regions.numbers, strict=True)
        ]
        parts = []
        out = rows[0].new_empty(0)
        for part in _parts(regions):
            sums = _weighted_sums(rows[part.map], part.table).view(len(part.places), -1)
            if len(sums) == number:
                out = sums
            else:
                out = out if len(out) else sums.new_empty(number, sums.shape[1])
                out.index_copy_(0, part.places, sums)
            if any(ctx.needs_input_grad):
                parts.append(part)
        ctx.parts, ctx.shapes = parts, [f.shape for f in features]
        size = (number, regions.bins_y.number, regions.bins_x.number, channels)
        return out.view(size).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        channels = grad.shape[1]
        regions = _as_rows(grad).view(len(grad), -1)
        totals: list[Tensor | None] = [None] * len(ctx.shapes)
        for part in ctx.parts:
            whole = len(part.places) == len(grad)
            chosen = regions if whole else regions.index_select(0, part.places)
            table = _transposed(part.table, _num_pixels(ctx.shapes[part.map]))
            sums = _weighted_sums(chosen.view(-1, channels), table)
            total = totals[part.map]
            totals[part.map] = sums if total is None else total.add_(sums)
        return None, *(
            _as_maps(grad.new_zeros(_num_pixels(shape), channels) if t is None else t, shape)
            for t, shape in zip(totals, ctx.shapes, strict=True)
        )


def _as_rows(maps: Tensor) -> Tensor:
    """(B, C, H, W) -> (B * H * W, C)."""
    last = maps.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    return last.reshape(-1, maps.shape[1]).contiguous()


def _as_maps(rows: Tensor, shape: Sequence[int]) -> Tensor:
    """(B * H * W, C) -> (B, C, H, W), channels_last."""
    batch, channels, height, width = shape
    return rows.view(batch, height, width, channels).permute(0, 3, 1, 2)


def _num_pixels(shape: Sequence[int]) -> int:
    return shape[0] * shape[2] * shape[3]


def _weighted_sums(rows: Tensor, table: GatherTable) -> Tensor:
    return F.embedding_bag(
        table.rows,
        rows,
        table.offsets,
        mode="sum",
        per_sample_weights=table.weights,
        include_last_offset=True,
    )


def _transposed(table: GatherTable, num_pixels: int) -> GatherTable:
    """The table by which each pixel sums the bins that read it."""
    bins = torch.repeat_interleave(table.offsets.diff(), output_size=len(table.rows))
    # int32 in one dimension: sorted by digits, in linear time.
    order = table.rows.sort()[1]
    offsets = torch.zeros(num_pixels + 1, dtype=torch.int32)
    torch.cumsum(torch.bincount(table.rows, minlength=num_pixels), 0, out=offsets[1:])
    return GatherTable(bins.index_select(0, order), table.weights.index_select(0, order), offsets)


def _parts(regions: Regions) -> Iterator[_Part]:
    bins_of_region = regions.bins_y.number * regions.bins_x.number
    map_ends = torch.tensor(regions.numbers).cumsum(0).tolist()
    for first, stop in _ranges(rows_to_read(regions.bins_y, regions.bins_x)):
        table = build_table(
            regions.images[first:stop],
            regions.bins_y.between(first, stop),
            regions.bins_x.between(first, stop),
        )
        for index, (number, map_end) in enumerate(zip(regions.numbers, map_ends, strict=True)):
            begin, end = max(first, map_end - number), min(stop, map_end)
            if begin < end:
                of_map = slice((begin - first) * bins_of_region, (end - first) * bins_of_region)
                part = table.between(of_map.start, of_map.stop)
                yield _Part(index, regions.places[begin:end], part)


def _ranges(rows: Tensor) -> Iterator[tuple[int, int]]:
    """Split regions, each reading so many rows, into ranges of bounded work."""
    ends = rows.cumsum(0)
    first = 0
    while first < len(rows):
        done = int(ends[first - 1]) if first else 0
        stop = int(torch.searchsorted(ends, done + _MAX_ROWS_AT_ONCE, right=True))
        stop = max(stop, first + 1)
        yield first, stop
        first = stop
