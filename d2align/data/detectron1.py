"""From a record to the model's input by Detectron's rules for ground truth."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from detectron2.data import detection_utils
from detectron2.data import transforms as T
from detectron2.structures import BoxMode

from d2align.data.resize import resize_scale
from d2align.geometry.boxes import (
    clip_boxes_detectron1,
    inclusive_to_float,
    xywh_to_xyxy_detectron1,
)

_HALF = 0.5  # which Detectron2's loader adds to COCO's keypoints


def map_detectron1(mapper: Any, dataset_dict: dict[str, Any]) -> dict[str, Any]:
    """Read an image and its annotations, augment both, and make them the model's input.

    Convention: float boxes over the pixels of Detectron's inclusive ones; in original pixels,
    whatever is outside the image is cut off and what then has no two pixels a side is dropped.
    Keypoints are whole indices plus 0.5.

    Args:
        mapper: a DatasetMapper; its augmentations and formats are used.
        dataset_dict: a record in Detectron2's format.

    Returns:
        The model's input, with im_scale where the image was resized as Detectron did.

    Differs from: DatasetMapper in the rules above, and in clipping no boxes to the whole number
        of network pixels.
    Source: facebookresearch/Detectron, detectron/datasets/json_dataset.py (_add_gt_annotations).
    """
    out = copy.deepcopy(dataset_dict)
    image = detection_utils.read_image(out["file_name"], format=mapper.image_format)
    detection_utils.check_image_size(out, image)
    original_size = image.shape[:2]
    semantic = None
    if "sem_seg_file_name" in out:
        semantic = detection_utils.read_image(out.pop("sem_seg_file_name"), "L").squeeze(2)
    augmented = T.AugInput(image, sem_seg=semantic)
    transforms = mapper.augmentations(augmented)
    out["image"] = torch.from_numpy(np.ascontiguousarray(augmented.image.transpose(2, 0, 1)))
    if augmented.sem_seg is not None:
        out["sem_seg"] = torch.as_tensor(augmented.sem_seg.astype("long"))
    if (scale := resize_scale(transforms)) is not None:
        out["im_scale"] = scale
    annotations = out.pop("annotations", None)
    if mapper.is_train and annotations is not None:
        network_size = augmented.image.shape[:2]
        out["instances"] = _instances(mapper, annotations, transforms, original_size, network_size)
    return out


def float_box_detectron1(annotation: dict[str, Any], size: tuple[int, int]) -> Any:
    """Return an annotation's box as Detectron cleaned it, or None where Detectron dropped it.

    Convention: float box over the pixels of Detectron's inclusive one, [x1, x2 + 1].

    Args:
        annotation: bbox and bbox_mode; area and ignore are used where there.
        size: (h, w) of the image, original pixels.

    Returns:
        (4,) float64 XYXY, original pixels, or None for no area, ignored ones, crowds, and boxes
        of one pixel or less a side.

    Source: facebookresearch/Detectron, detectron/datasets/json_dataset.py (_add_gt_annotations).
    """
    if annotation.get("area", 1) <= 0 or annotation.get("ignore", 0) == 1:
        return None
    if annotation.get("iscrowd", 0):  # Detectron2's rule, which Detectron's losses share
        return None
    xywh = BoxMode.convert(list(annotation["bbox"]), annotation["bbox_mode"], BoxMode.XYWH_ABS)
    boxes = xywh_to_xyxy_detectron1(np.array([xywh], dtype=np.float64))
    boxes = clip_boxes_detectron1(boxes, size)
    has_two_pixels = (boxes[0, 2:] > boxes[0, :2]).all()
    return inclusive_to_float(boxes)[0] if has_two_pixels else None


def _instances(
    mapper: Any,
    annotations: list[dict[str, Any]],
    transforms: Any,
    original_size: tuple[int, int],
    network_size: tuple[int, int],
) -> Any:
    unrounded = tuple(s * (resize_scale(transforms) or 1.0) for s in original_size)
    kept = []
    for annotation in annotations:
        box = float_box_detectron1(annotation, original_size)
        if box is None:
            continue
        if not mapper.use_instance_mask:
            annotation.pop("segmentation", None)
        keypoints = annotation.pop("keypoints", None)
        moved = detection_utils.transform_instance_annotations(annotation, transforms, network_size)
        moved["bbox"] = transforms.apply_box(box[None])[0]
        if mapper.use_keypoint and keypoints is not None:
            moved["keypoints"] = detection_utils.transform_keypoint_annotations(
                _whole(keypoints), transforms, unrounded, mapper.keypoint_hflip_indices
            )
        kept.append(moved)
    instances = detection_utils.annotations_to_instances(
        kept, network_size, mask_format=mapper.instance_mask_format
    )
    return detection_utils.filter_empty_instances(instances)


def _whole(keypoints: Any) -> Any:
    """Keypoints as Detectron kept them, whole numbers, and 0.5 as Detectron2 wants them."""
    points = np.array(keypoints, dtype=np.float64).reshape(-1, 3)
    points[:, :2] = np.trunc(points[:, :2] - _HALF) + _HALF
    return points
