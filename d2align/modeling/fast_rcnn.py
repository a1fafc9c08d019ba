"""Box predictors whose historical decode happens in original pixels, as its source had it."""

from __future__ import annotations

from typing import Any

from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances
from torch import Tensor

from d2align.modeling.box_regression import Detectron1BoxTransform, PyFasterRCNNBoxTransform
from d2align.modeling.image_scale import box_scale


class DecodeInOriginalPixels:
    """A mixin over FastRCNNOutputLayers: decode boxes in original pixels.

    Convention: +1 in original pixels is +im_scale in network pixels. Targets are still encoded
    in resized pixels, as py-faster-rcnn did.
    Source: rbgirshick/py-faster-rcnn, lib/fast_rcnn/test.py (im_detect).
    """

    def predict_boxes(self, predictions: Any, proposals: list[Instances]) -> tuple[Tensor, ...]:
        """Return the boxes of all classes, in network pixels.

        Args:
            predictions: what ``forward`` returned.
            proposals: one Instances an image, whose image_size knows its scale.

        Returns:
            (R_i, 4k) XYXY for each image.
        """
        boxes = super().predict_boxes(predictions, _in_original_pixels(proposals))  # type: ignore[misc]
        return _in_network_pixels(boxes, proposals)

    def predict_boxes_for_gt_classes(
        self, predictions: Any, proposals: list[Instances]
    ) -> tuple[Tensor, ...]:
        """Return the boxes of the ground-truth classes, in network pixels.

        Args:
            predictions: what ``forward`` returned.
            proposals: one Instances an image, whose image_size knows its scale.

        Returns:
            (R_i, 4) XYXY for each image.
        """
        scaled = _in_original_pixels(proposals)
        boxes = super().predict_boxes_for_gt_classes(predictions, scaled)  # type: ignore[misc]
        return _in_network_pixels(boxes, proposals)


class EncodeInOriginalPixels(DecodeInOriginalPixels):
    """A mixin over FastRCNNOutputLayers: encode and decode boxes in original pixels.

    Convention: +1 in original pixels is +im_scale in network pixels.
    Source: facebookresearch/Detectron, detectron/roi_data/fast_rcnn.py and core/test.py.
    """

    def losses(self, predictions: Any, proposals: list[Instances]) -> dict[str, Tensor]:
        """Return the losses, with targets encoded in original pixels.

        Args:
            predictions: what ``forward`` returned.
            proposals: one Instances an image, whose image_size knows its scale.

        Returns:
            loss_cls and loss_box_reg.
        """
        return super().losses(predictions, _in_original_pixels(proposals))  # type: ignore[misc]


# Of the box predictor whose transform is of that class; others decode where Detectron2 does.
PREDICTOR_MIXINS: dict[type, type] = {
    Detectron1BoxTransform: EncodeInOriginalPixels,
    PyFasterRCNNBoxTransform: DecodeInOriginalPixels,
}


class PyFasterRCNNOutputLayers(DecodeInOriginalPixels, FastRCNNOutputLayers):
    """FastRCNNOutputLayers that encodes in resized and decodes in original pixels.

    Convention: see DecodeInOriginalPixels; give it a PyFasterRCNNBoxTransform.
    Source: rbgirshick/py-faster-rcnn.
    """

    class_without_mixin = FastRCNNOutputLayers


class Detectron1OutputLayers(EncodeInOriginalPixels, FastRCNNOutputLayers):
    """FastRCNNOutputLayers that encodes and decodes in original pixels.

    Convention: see EncodeInOriginalPixels; give it a Detectron1BoxTransform.
    Source: facebookresearch/Detectron.
    """

    class_without_mixin = FastRCNNOutputLayers


def _in_original_pixels(proposals: list[Instances]) -> list[Instances]:
    return [_divide_boxes(p) for p in proposals]


def _divide_boxes(proposals: Instances) -> Instances:
    out = Instances(proposals.image_size, **proposals.get_fields())
    for name in ("proposal_boxes", "gt_boxes"):
        if out.has(name):
            boxes = out.get(name).tensor
            out.set(name, Boxes(boxes / box_scale(proposals.image_size, boxes)))
    return out


def _in_network_pixels(boxes: Any, proposals: list[Instances]) -> tuple[Tensor, ...]:
    return tuple(
        b * box_scale(p.image_size, b).repeat(b.shape[1] // 4)
        for b, p in zip(boxes, proposals, strict=True)
    )
