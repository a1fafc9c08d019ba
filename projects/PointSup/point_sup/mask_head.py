"""A standard mask head that is trained on its predictions at annotated points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from detectron2.modeling import ROI_MASK_HEAD_REGISTRY
from detectron2.modeling.roi_heads.mask_head import MaskRCNNConvUpsampleHead
from detectron2.structures import Instances
from torch import Tensor
from torch.nn import functional as F

from d2align.geometry import image_to_unit_coords, sample_points, sample_points_align_corners


@ROI_MASK_HEAD_REGISTRY.register()
class PointSupMaskHead(MaskRCNNConvUpsampleHead):
    """MaskRCNNConvUpsampleHead trained from labelled points instead of masks.

    Convention: integer corners; cell j of the M x M prediction is centred on (j + 0.5) / M of its
    box, as when it is pasted.

    Attributes:
        sample_points: how the prediction is read at points, (N, C, M, M) and unit coordinates
            (N, P, 2) to (N, C, P).
    """

    sample_points: Callable[[Tensor, Tensor], Tensor] = staticmethod(sample_points)

    def forward(self, x: Tensor, instances: list[Instances]) -> Any:
        """Run the head.

        Args:
            x: (R, C, H, W) features of the regions.
            instances: one Instances an image; in training with proposal_boxes, gt_classes,
                gt_point_coords (R, P, 2), pixels of the network's image, and gt_point_labels
                (R, P) bool.

        Returns:
            {"loss_mask": a scalar} in training, otherwise the instances with pred_masks.
        """
        if not self.training:
            return super().forward(x, instances)
        logits = self.layers(x)
        found = [i for i in instances if len(i)]
        if not found:
            return {"loss_mask": logits.sum() * 0}
        unit_coords = torch.cat(
            [image_to_unit_coords(i.gt_point_coords, i.proposal_boxes.tensor) for i in found]
        )
        labels = torch.cat([i.gt_point_labels for i in found])
        classes = torch.cat([i.gt_classes for i in found])
        of_class = _of_class(logits, classes)
        at_points = self.sample_points(of_class, unit_coords)[:, 0]
        return {"loss_mask": self.loss_weight * point_loss(at_points, labels, unit_coords)}


@ROI_MASK_HEAD_REGISTRY.register()
class AlignCornersPointSupMaskHead(PointSupMaskHead):
    """PointSupMaskHead that reads its prediction as if a box's edges were its outermost centres.

    Convention: grid 1 of the article (align_corners) in training; pasting stays on grid 2.
    Differs from: PointSupMaskHead by up to half a cell of the prediction at a box's edges.
    Source: pytorch/pytorch, F.grid_sample before 1.3, whose default was align_corners=True.
    """

    sample_points = staticmethod(sample_points_align_corners)


def point_loss(logits: Tensor, labels: Tensor, unit_coords: Tensor) -> Tensor:
    """Return the mean binary cross-entropy over the points that lie in their boxes.

    Args:
        logits: (R, P) predictions at the points.
        labels: (R, P) bool.
        unit_coords: (R, P, 2); points outside [0, 1] have no prediction, and do not count.

    Returns:
        A scalar, 0 where no point counts.
    """
    counts = ((unit_coords >= 0) & (unit_coords <= 1)).all(dim=-1).to(logits.dtype)
    losses = F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="none")
    return (losses * counts).sum() / counts.sum().clamp(min=1)


def _of_class(logits: Tensor, classes: Tensor) -> Tensor:
    """The (R, 1, M, M) logits of each region's class, or those of all classes."""
    if logits.shape[1] == 1:
        return logits
    return logits[torch.arange(len(classes), device=classes.device), classes][:, None]
