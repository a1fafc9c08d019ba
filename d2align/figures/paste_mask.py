"""A RoI mask pasted back: the inverse of RoIAlign, and Detectron's integer boxes."""

from __future__ import annotations

from typing import Any

import torch

from d2align.figures.style import ALIGNED, HISTORICAL, INK, pixel_grid
from d2align.geometry.paste_mask import paste_masks, paste_masks_detectron1

_SIZE = 12
_BOX = (2.3, 2.7, 9.4, 9.1)
_CELLS = 28


def paste_mask(figure: Any) -> None:
    """Draw a disc's outline and the pixels that each paste gives it.

    Convention: integer corners; a pixel belongs to the disc if its centre lies inside.

    Args:
        figure: a matplotlib figure.
    """
    figure.set_size_inches(6.6, 3.5)
    x1, y1, x2, y2 = _BOX
    steps = (torch.arange(_CELLS) + 0.5) / _CELLS * 2 - 1
    # Sharp, yet with a slope at its edge, as a trained mask head gives it.
    radius = torch.hypot(steps[None, :], steps[:, None])
    mask = torch.sigmoid((1 - radius) * 20)[None]
    boxes = torch.tensor([_BOX])
    panels = (
        ("aligned", paste_masks, ALIGNED),
        ("Detectron: into a box of whole pixels", paste_masks_detectron1, HISTORICAL),
    )
    angle = torch.linspace(0, 2 * torch.pi, 200)
    circle_x = (x1 + x2) / 2 + (x2 - x1) / 2 * torch.cos(angle)
    circle_y = (y1 + y2) / 2 + (y2 - y1) / 2 * torch.sin(angle)
    for axes, (title, paste, colour) in zip(figure.subplots(1, 2), panels, strict=True):
        pixel_grid(axes, _SIZE, _SIZE)
        for y, x in paste(mask, boxes, (_SIZE, _SIZE))[0].nonzero().tolist():
            axes.fill([x, x + 1, x + 1, x], [y, y, y + 1, y + 1], color=colour, alpha=0.35, lw=0)
        axes.plot(circle_x.tolist(), circle_y.tolist(), color=INK, lw=1.6)
        axes.set_title(title, fontsize=9)
