"""Test-time augmentation with a chosen flip and paste."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from detectron2.data.transforms import ResizeShortestEdge, ResizeTransform
from detectron2.modeling.test_time_augmentation import DatasetMapperTTA, GeneralizedRCNNWithTTA
from detectron2.structures import Boxes
from fvcore.transforms.transform import NoOpTransform, Transform, TransformList

from d2align.geometry.boxes import float_to_inclusive
from d2align.modeling.inclusive.apply_boxes import has_inclusive_boxes
from d2align.modeling.rle_masks import POSTPROCESS
from d2align.registry import build_flip, build_paste_mask


class PixelExactDatasetMapperTTA(DatasetMapperTTA):
    """DatasetMapperTTA whose flip is chosen by name.

    Convention: a flip acts in original pixels, before any resize.
    """

    def __init__(self, cfg: Any) -> None:
        """Make a mapper.

        Args:
            cfg: a config with d2align's keys.
        """
        super().__init__(cfg)
        self.flip_name = cfg.D2ALIGN.FLIP

    def __call__(self, dataset_dict: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the augmented versions of an input.

        Args:
            dataset_dict: an input of the model, whose image may already be resized.

        Returns:
            One dict for each size, and each flipped, with the field transforms that leads from
            the original image.
        """
        image = dataset_dict["image"].permute(1, 2, 0).numpy()
        original = (dataset_dict["height"], dataset_dict["width"])
        flips: list[Transform] = [NoOpTransform()]
        if self.flip:
            flips.append(build_flip(self.flip_name, original[1]))
        return [
            self._augmented(dataset_dict, image, original, flip, min_size)
            for min_size in self.min_sizes
            for flip in flips
        ]

    def _augmented(
        self,
        dataset_dict: dict[str, Any],
        image: Any,
        original: tuple[int, int],
        flip: Transform,
        min_size: int,
    ) -> dict[str, Any]:
        to_input: Transform = NoOpTransform()
        if image.shape[:2] != original:
            to_input = ResizeTransform(*original, *image.shape[:2])
        flipped = np.ascontiguousarray(flip.apply_image(image))
        resize = ResizeShortestEdge(min_size, self.max_size).get_transform(flipped)
        resized = resize.apply_image(flipped)
        out = copy.deepcopy(dataset_dict)
        out.pop("im_scale", None)  # of the image before this resize
        out["transforms"] = TransformList([flip, to_input, resize])
        out["image"] = torch.from_numpy(np.ascontiguousarray(resized.transpose(2, 0, 1)))
        return out


class PixelExactRCNNWithTTA(GeneralizedRCNNWithTTA):
    """GeneralizedRCNNWithTTA whose flip and mask paste are chosen by name.

    Convention: flips and pastes act in original pixels.
    """

    def __init__(self, cfg: Any, model: Any, tta_mapper: Any = None, batch_size: int = 3) -> None:
        """Wrap a model.

        Args:
            cfg: a config with d2align's keys.
            model: a GeneralizedRCNN.
            tta_mapper: None takes a PixelExactDatasetMapperTTA.
            batch_size: augmented images at a time.
        """
        super().__init__(cfg, model, tta_mapper or PixelExactDatasetMapperTTA(cfg), batch_size)
        self.paste_masks = build_paste_mask(cfg.D2ALIGN.PASTE_MASK)
        self.postprocess = POSTPROCESS[cfg.D2ALIGN.TEST.MASK_FORMAT]

    def _inference_one_image(self, input: dict[str, Any]) -> dict[str, Any]:
        original = (input["height"], input["width"])
        augmented, transforms = self._get_augmented_inputs(input)
        with self._turn_off_roi_heads(["mask_on", "keypoint_on"]):
            boxes, scores, classes = self._get_augmented_boxes(augmented, transforms)
        merged = self._merge_detections(boxes, scores, classes, original)
        if self.cfg.MODEL.MASK_ON:
            rescaled = self._rescale_detected_boxes(augmented, merged, transforms)
            outputs = self._batch_inference(augmented, rescaled)
            merged.pred_masks = self._reduce_pred_masks(outputs, transforms)
            if has_inclusive_boxes(self.model):
                merged.mask_boxes = Boxes(float_to_inclusive(merged.pred_boxes.tensor))
            # Detectron2 pastes by its own function here, so this method is ours.
            merged = self.postprocess(merged, *original, self.paste_masks)
        return {"instances": merged}
