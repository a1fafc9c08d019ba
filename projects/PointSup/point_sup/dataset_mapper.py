"""From a record with points to the model's input."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from detectron2.config import configurable
from detectron2.data import detection_utils
from detectron2.data import transforms as T
from numpy.typing import NDArray

from d2align.data import PixelExactDatasetMapper

Record = dict[str, Any]


class PointSupDatasetMapper(PixelExactDatasetMapper):
    """PixelExactDatasetMapper that in training carries points, not masks, through augmentations.

    Convention: integer corners; points are coordinates, so a flip takes x to W - x.
    """

    @configurable
    def __init__(self, is_train: bool, sample: int = 0, **kwargs: Any) -> None:
        """Make a mapper.

        Args:
            is_train: whether for training.
            sample: points of each object to draw anew each time; 0 takes all.
            **kwargs: those of PixelExactDatasetMapper.

        Raises:
            ValueError: sample is negative.
        """
        if sample < 0:
            raise ValueError(f"sample: got {sample}, expected at least 0")
        super().__init__(is_train, **kwargs)
        self.sample = sample

    @classmethod
    def from_config(cls, cfg: Any, is_train: bool = True) -> dict[str, Any]:
        """Return the arguments of __init__ that a config stands for."""
        return {**super().from_config(cfg, is_train), "sample": cfg.POINT_SUP.SAMPLE}

    def __call__(self, dataset_dict: Record) -> Record:
        """Return the model's input for a record.

        Args:
            dataset_dict: a record in Detectron2's format; in training its annotations have
                "points" [[x, y, label], ...], pixels of the image.

        Returns:
            As DatasetMapper; in training, instances with gt_boxes, gt_classes, gt_point_coords
            (N, P, 2), pixels of the network's image, and gt_point_labels (N, P) bool, no masks.

        Raises:
            ValueError: an object without points, or with fewer than are to be sampled.
        """
        if not self.is_train:
            return super().__call__(dataset_dict)
        out = copy.deepcopy(dataset_dict)
        image = detection_utils.read_image(out["file_name"], format=self.image_format)
        detection_utils.check_image_size(out, image)
        augmented = T.AugInput(image)
        transforms = self.augmentations(augmented)
        image = augmented.image
        out["image"] = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        objects = [
            self._move(a, transforms, image.shape[:2])
            for a in out.pop("annotations")
            if not a.get("iscrowd", 0)
        ]
        out["instances"] = detection_utils.filter_empty_instances(
            _with_points(objects, image.shape[:2])
        )
        return out

    def _move(self, annotation: Record, transforms: Any, size: tuple[int, int]) -> Record:
        if "points" not in annotation:
            raise ValueError(
                "points: got an object without any, expected a record of load_points, in which "
                "each has [[x, y, label], ...]"
            )
        points = self._choose(np.array(annotation["points"], dtype=np.float64))
        annotation.pop("segmentation", None)
        moved: Record = detection_utils.transform_instance_annotations(annotation, transforms, size)
        # fvcore's transforms edit what they are given.
        moved["points"] = np.column_stack(
            [transforms.apply_coords(points[:, :2].copy()), points[:, 2]]
        )
        return moved

    def _choose(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        if not self.sample:
            return points
        if self.sample > len(points):
            raise ValueError(
                f"POINT_SUP.SAMPLE: got {self.sample}, expected at most {len(points)}, the points "
                "of an object"
            )
        return points[np.random.permutation(len(points))[: self.sample]]


def _with_points(objects: list[Record], size: tuple[int, int]) -> Any:
    instances = detection_utils.annotations_to_instances(objects, size)
    found = [o["points"] for o in objects] or np.zeros((0, 0, 3))
    points = torch.from_numpy(np.asarray(found))
    instances.gt_point_coords = points[..., :2].float()
    instances.gt_point_labels = points[..., 2] > 0
    return instances
