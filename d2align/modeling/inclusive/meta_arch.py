"""Where float boxes become inclusive indices, and inclusive indices float boxes again."""

from __future__ import annotations

from typing import Any

import torch
from detectron2.structures import Boxes, Instances, Keypoints

from d2align.modeling.image_scale import NetworkSize, box_scale, network_size
from d2align.modeling.inclusive.boxes import InclusiveBoxes, to_float, to_inclusive
from d2align.modeling.inference import PixelExactInference, PixelExactPanopticInference


class InclusiveInside:
    """A mixin over the meta-architectures that know their images' scale.

    Convention: float boxes, and keypoints as coordinates, outside; inclusive indices, and
    keypoints as indices, inside.
    Source: facebookresearch/Detectron, detectron/datasets/json_dataset.py and
        json_dataset_evaluator.py.
    """

    training: bool

    def forward(self, batched_inputs: list[dict[str, Any]]) -> Any:
        """Run the model.

        Args:
            batched_inputs: as in GeneralizedRCNN.forward.

        Returns:
            As GeneralizedRCNN.forward.
        """
        if self.training:
            batched_inputs = [self._inclusive_inputs(x) for x in batched_inputs]
        return super().forward(batched_inputs)  # type: ignore[misc]

    def float_detections(self, results: list[Instances]) -> list[Instances]:
        """Return raw detections as float boxes and coordinates.

        Args:
            results: the heads' detections, in network pixels.

        Returns:
            Instances in network pixels; where there are pred_masks, mask_boxes are the boxes in
            which they were cropped, in original pixels.
        """
        return [_float_instances(r) for r in results]

    def inside(self, instances: Instances, inputs: dict[str, Any]) -> Instances:
        """Return Instances of float boxes and coordinates as they are inside the model.

        Args:
            instances: ground truth, proposals or detections, in network pixels.
            inputs: of the image.

        Returns:
            Inclusive indices.
        """
        return _inclusive_instances(instances, self._size(inputs))

    def _inclusive_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        size = self._size(inputs)
        given = {k: inputs[k] for k in ("instances", "proposals") if k in inputs}
        return {**inputs, **{k: _inclusive_instances(v, size) for k, v in given.items()}}

    def _size(self, inputs: dict[str, Any]) -> NetworkSize:
        h, w = inputs["image"].shape[-2:]
        return network_size(inputs, (h, w))


class InclusiveRCNN(InclusiveInside, PixelExactInference):
    """A mixin over GeneralizedRCNN: see InclusiveInside."""

    def inference(
        self,
        batched_inputs: list[dict[str, Any]],
        detected_instances: Any = None,
        do_postprocess: bool = True,
    ) -> Any:
        """Detect, and paste masks with the chosen paste.

        Args:
            batched_inputs: as in GeneralizedRCNN.forward.
            detected_instances: as in GeneralizedRCNN.inference, with float boxes.
            do_postprocess: False returns raw detections in network pixels, with float boxes.

        Returns:
            As GeneralizedRCNN.inference.
        """
        if detected_instances is not None:
            detected_instances = [
                _inclusive_instances(given, self._size(inputs))
                for given, inputs in zip(detected_instances, batched_inputs, strict=True)
            ]
        batched_inputs = [self._inclusive_inputs(x) for x in batched_inputs]
        return super().inference(batched_inputs, detected_instances, do_postprocess)


class InclusivePanopticFPN(InclusiveInside, PixelExactPanopticInference):
    """A mixin over PanopticFPN: see InclusiveInside."""


def _inclusive_instances(instances: Instances, size: NetworkSize) -> Instances:
    out = Instances(size, **instances.get_fields())
    for name in ("gt_boxes", "proposal_boxes", "pred_boxes"):
        if out.has(name):
            out.set(name, InclusiveBoxes(to_inclusive(out.get(name).tensor, size)))
    if out.has("gt_boxes"):  # narrower than a pixel, it becomes that pixel
        boxes = out.gt_boxes.tensor
        boxes[:, 2:] = torch.maximum(boxes[:, 2:], boxes[:, :2])
    if out.has("pred_boxes"):
        boxes = out.pred_boxes.tensor
        out.original_boxes = Boxes(boxes / box_scale(size, boxes))
    if out.has("gt_keypoints"):
        points = out.gt_keypoints.tensor.clone()
        points[:, :, :2] -= 0.5 * box_scale(size, points)[:2]
        out.gt_keypoints = Keypoints(points)
    return out


def _float_instances(instances: Instances) -> Instances:
    size, inside = instances.image_size, instances.pred_boxes.tensor
    fields = dict(instances.get_fields())
    original = fields.pop("original_boxes")
    out = Instances(size, **fields)
    out.pred_boxes = Boxes(to_float(inside, size))
    if out.has("pred_masks"):
        out.mask_boxes = original
    if out.has("pred_keypoints"):
        points = out.pred_keypoints.clone()
        points[:, :, :2] += 0.5 * box_scale(size, points)[:2]
        out.pred_keypoints = points
    return out
