"""Where RoIAlign reads, with and without its half pixel."""

from __future__ import annotations

from typing import Any

import torch

from d2align.figures.style import ALIGNED, HISTORICAL, SIGNAL, pixel_grid
from d2align.geometry import roi_align as aligned_op
from d2align.geometry import roi_align_unaligned as unaligned_op
from d2align.geometry.coords import index_to_coord

_SIZE = 8
_BOX = (2.0, 2.0, 6.0, 5.0)
_BINS = 3


def roi_align(figure: Any) -> None:
    """Draw a region and the points that RoIAlign reads, measured on ramps.

    Convention: integer corners; a ramp's value is the coordinate of the pixel's centre, so what
    RoIAlign returns is where it read.

    Args:
        figure: a matplotlib figure.
    """
    figure.set_size_inches(6.6, 3.5)
    centres = index_to_coord(torch.arange(_SIZE, dtype=torch.float64))
    ramps = torch.stack([centres.expand(_SIZE, _SIZE), centres[:, None].expand(_SIZE, _SIZE)])[None]
    rois = torch.tensor([[0.0, *_BOX]], dtype=torch.float64)
    panels = (("aligned", aligned_op, ALIGNED), ("unaligned: 0.5 px off", unaligned_op, HISTORICAL))
    for axes, (title, op, colour) in zip(figure.subplots(1, 2), panels, strict=True):
        pixel_grid(axes, _SIZE, _SIZE)
        x1, y1, x2, y2 = _BOX
        axes.plot([x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1], color=SIGNAL, lw=2.5)
        for i in range(1, _BINS):
            x, y = x1 + i * (x2 - x1) / _BINS, y1 + i * (y2 - y1) / _BINS
            axes.plot([x, x], [y1, y2], color=SIGNAL, lw=0.8)
            axes.plot([x1, x2], [y, y], color=SIGNAL, lw=0.8)
        read = op(ramps, rois, _BINS, 1.0, 1)[0].reshape(2, -1).tolist()
        axes.plot(*read, "o", color=colour, ms=6)
        axes.set_title(title, fontsize=9)
