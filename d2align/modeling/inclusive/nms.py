"""Non-maximum suppression as Detectron's Cython code did it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms

from d2align.geometry.boxes import inclusive_to_float


def nms_detectron1(boxes: Tensor, scores: Tensor, groups: Tensor, threshold: float) -> Tensor:
    """Suppress boxes that overlap a better one of their group by at least a threshold.

    Convention: inclusive indices; overlaps with +1 on every width and height.

    Args:
        boxes: (N, 4) first and last pixel, XYXY, in the pixels that the +1 counts.
        scores: (N,).
        groups: (N,) integers; boxes suppress those of their own group (class, or level) only.
        threshold: overlap in [0, 1].

    Returns:
        Indices of the boxes kept, by falling score.

    Differs from: Detectron2's batched_nms in the +1, and in suppressing at >= instead of >; and
        it shifts no boxes, so that overlaps are those of the boxes themselves.
    Source: facebookresearch/Detectron, detectron/utils/cython_nms.pyx.
    """
    # torchvision's > the next smaller float32 is Detectron's float32 >=.
    limit = float(np.nextafter(np.float32(threshold), np.float32(-1)))
    edges = inclusive_to_float(boxes.float())
    kept = [torch.zeros(0, dtype=torch.int64, device=boxes.device)]
    for group in groups.unique():
        members = (groups == group).nonzero()[:, 0]
        kept.append(members[nms(edges[members], scores[members].float(), limit)])
    keep = torch.cat(kept)
    return keep[scores[keep].argsort(descending=True)]
