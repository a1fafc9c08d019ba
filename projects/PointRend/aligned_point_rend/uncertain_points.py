"""Which points of a box are looked at: in training random ones, in inference cells of a grid."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from d2align.geometry import index_to_coord


def draw_uncertain_points(
    uncertainty: Callable[[Tensor], Tensor],
    num_boxes: int,
    num_points: int,
    oversample: int,
    share: float,
    device: torch.device,
) -> Tensor:
    """Draw points: some the most uncertain of many random ones, the others random.

    Convention: unit coordinates of boxes, edges to edges.

    Args:
        uncertainty: unit coordinates (N, P, 2) -> (N, P), highest where most uncertain.
        num_boxes: N.
        num_points: P, points for each box.
        oversample: random points for each point wanted, at least 1.
        share: of the points that are chosen for their uncertainty, in [0, 1].
        device: where to make them.

    Returns:
        (N, P, 2) points (x, y), by the same random numbers as Detectron2's PointRend.
    """
    candidates = torch.rand(num_boxes, int(num_points * oversample), 2, device=device)
    num_uncertain = int(share * num_points)
    chosen = uncertainty(candidates).topk(num_uncertain, dim=1).indices
    points = candidates.gather(1, chosen[..., None].expand(-1, -1, 2))
    if num_uncertain == num_points:
        return points
    others = torch.rand(num_boxes, num_points - num_uncertain, 2, device=device)
    return torch.cat([points, others], dim=1)


def most_uncertain_cells(uncertainty: Tensor, num_cells: int) -> Tensor:
    """Return which cells of each grid are the most uncertain.

    Args:
        uncertainty: (N, S, S).
        num_cells: how many; all of a smaller grid.

    Returns:
        (N, P) int64, of the cells row after row.
    """
    flat = uncertainty.flatten(1)
    return flat.topk(min(num_cells, flat.shape[1]), dim=1).indices


def cell_centers(cells: Tensor, side: int) -> Tensor:
    """Return the centres of cells of a grid, as ``regular_points`` has them for all cells.

    Convention: unit coordinates; (index + 0.5) / side.

    Args:
        cells: (N, P) integers, counted row after row.
        side: cells along each side.

    Returns:
        (N, P, 2) points (x, y).
    """
    columns_rows = torch.stack([cells % side, cells // side], dim=-1)
    return index_to_coord(columns_rows) / side
