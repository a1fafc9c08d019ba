"""Keypoints read off heatmaps in original pixels."""

from __future__ import annotations

from typing import Any

from detectron2.structures import Instances

from d2align.modeling.image_scale import box_scale


class InclusiveKeypointHead:
    """A mixin over a keypoint head: enlarge heatmaps to boxes in original pixels.

    Convention: boxes are inclusive indices read as continuous; the cells of an enlarged heatmap
    are about one original pixel, as in Detectron, instead of one network pixel.
    Source: facebookresearch/Detectron, detectron/utils/keypoints.py (heatmaps_to_keypoints).
    """

    training: bool

    def forward(self, x: Any, instances: list[Instances]) -> Any:
        """Run the head.

        Args:
            x: features of the regions.
            instances: one Instances an image; in testing with pred_boxes and original_boxes.

        Returns:
            In training the losses, in testing instances with pred_keypoints, network pixels.
        """
        if self.training:
            return super().forward(x, instances)  # type: ignore[misc]
        found = super().forward(x, [_in_original_pixels(i) for i in instances])  # type: ignore[misc]
        for out, given in zip(found, instances, strict=True):
            out.pred_boxes = given.pred_boxes
            scale = box_scale(given.image_size, out.pred_keypoints)[:2]
            out.pred_keypoints[:, :, :2] *= scale
        return found


def _in_original_pixels(instances: Instances) -> Instances:
    out = Instances(instances.image_size, **instances.get_fields())
    out.pred_boxes = instances.original_boxes
    return out
