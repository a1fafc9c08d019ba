"""Masks made finer step by step, computed anew where they are uncertain."""

from __future__ import annotations

from collections.abc import Callable

import torch
from detectron2.projects.point_rend.mask_head import calculate_uncertainty
from torch import Tensor
from torch.nn import functional as F

from d2align.geometry import regular_points

from .uncertain_points import cell_centers, most_uncertain_cells


def subdivide(
    predict: Callable[[Tensor], Tensor], classes: Tensor, side: int, steps: int, num_points: int
) -> Tensor:
    """Return mask logits, from a coarse grid on twice as fine in each step.

    Convention: grid 2 of the article: cell j of S is centred on (j + 0.5) / S of its box.

    Args:
        predict: unit coordinates (N, P, 2) -> logits (N, C, P).
        classes: (N,) whose logits say how uncertain a cell is.
        side: cells along each side of the first grid.
        steps: doublings.
        num_points: cells that are computed anew in each step.

    Returns:
        (N, C, S, S) logits, S = side * 2^steps, or side where there are no boxes.
    """
    points = regular_points(side, len(classes), device=classes.device)
    logits = predict(points).unflatten(2, (side, side))
    for _ in range(steps if len(classes) else 0):
        logits = F.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)
        logits = _refine(logits, predict, classes, num_points)
    return logits


def _refine(
    logits: Tensor, predict: Callable[[Tensor], Tensor], classes: Tensor, num_points: int
) -> Tensor:
    side = logits.shape[-1]
    cells = most_uncertain_cells(calculate_uncertainty(logits, classes)[:, 0], num_points)
    found = predict(cell_centers(cells, side))
    where = cells[:, None].expand_as(found)
    return torch.scatter(logits.flatten(2), 2, where, found).unflatten(2, (side, side))
