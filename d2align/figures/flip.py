"""A flip by coordinates, and the one by W - 1 - x."""

from __future__ import annotations

from typing import Any

import torch

from d2align.figures.style import ALIGNED, HISTORICAL, INK, pixel_grid
from d2align.geometry.flip import flip_coords, flip_polygons_detectron1

_WIDTH, _HEIGHT = 8, 5
_SHAPE = torch.tensor([[1.0, 1.0], [4.0, 1.0], [4.0, 2.0], [2.0, 2.0], [2.0, 4.0], [1.0, 4.0]])


def flip(figure: Any) -> None:
    """Draw a shape of whole pixels, its flipped image, and where each flip puts the polygon.

    Convention: integer corners.

    Args:
        figure: a matplotlib figure.
    """
    figure.set_size_inches(7.4, 2.5)
    flipped = flip_coords(_SHAPE, _WIDTH)
    historical = flip_polygons_detectron1([_SHAPE.reshape(-1)], _WIDTH)[0].reshape(-1, 2)
    panels = (
        ("image and polygon", _SHAPE, _SHAPE, INK),
        ("flipped, x -> W - x", flipped, flipped, ALIGNED),
        ("flipped, x -> W - 1 - x: 1 px off", flipped, historical, HISTORICAL),
    )
    for axes, (title, image, polygon, colour) in zip(figure.subplots(1, 3), panels, strict=True):
        pixel_grid(axes, _WIDTH, _HEIGHT)
        axes.fill(*image.T.tolist(), color="#ffd166", alpha=0.6, lw=0)
        closed = torch.cat([polygon, polygon[:1]])
        axes.plot(*closed.T.tolist(), color=colour, lw=2)
        axes.set_title(title, fontsize=9)
