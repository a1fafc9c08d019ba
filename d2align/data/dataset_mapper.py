"""Detectron2's DatasetMapper with the flip, and the rules for boxes, chosen by name."""

from __future__ import annotations

from typing import Any

from detectron2.config import configurable
from detectron2.data import DatasetMapper
from detectron2.data import transforms as T

from d2align.config import BOXES
from d2align.data.augmentation import build_augmentation
from d2align.data.detectron1 import map_detectron1
from d2align.data.mask_resize import UnbiasedMasks


class PixelExactDatasetMapper(DatasetMapper):
    """Read an image and its annotations, augment both, and make them the model's input.

    Convention: integer corners; COCO's keypoints, which are indices, have had their +0.5 from
    Detectron2's loader, and lose it in its evaluator. Boxes are float ones in any case: those of
    "inclusive" are over the pixels of Detectron's.
    """

    @configurable
    def __init__(self, is_train: bool, boxes: str = "float", **kwargs: Any) -> None:
        """Make a mapper.

        Args:
            is_train: whether for training.
            boxes: float, or inclusive, which cleans ground truth and scales it as Detectron did.
            **kwargs: those of DatasetMapper.

        Raises:
            ValueError: an unknown value of boxes, or inclusive ones beside precomputed proposals
                or boxes recomputed from masks.
        """
        if boxes not in BOXES:
            raise ValueError(f"boxes: got {boxes!r}, expected one of {list(BOXES)}")
        super().__init__(is_train, **kwargs)
        self.boxes = boxes
        if boxes == "inclusive" and (self.proposal_topk is not None or self.recompute_boxes):
            raise ValueError(
                "boxes: got 'inclusive' with precomputed proposals or recomputed boxes, expected "
                "neither: Detectron's rules for them are not here"
            )

    @classmethod
    def from_config(cls, cfg: Any, is_train: bool = True) -> dict[str, Any]:
        """Return the arguments of __init__ that a config stands for."""
        arguments = super().from_config(cfg, is_train)
        crops = [a for a in arguments["augmentations"] if isinstance(a, T.RandomCrop)]
        augmentations = build_augmentation(cfg, is_train)
        if cfg.D2ALIGN.MASK_RESIZE == "unbiased":
            augmentations = [UnbiasedMasks(a) for a in augmentations]
        arguments["augmentations"] = crops + augmentations
        return {**arguments, "boxes": cfg.D2ALIGN.BOXES}

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        """Return the model's input for a record.

        Args:
            dataset_dict: a record in Detectron2's format.

        Returns:
            As DatasetMapper, or as ``map_detectron1``.
        """
        if self.boxes == "inclusive":
            return map_detectron1(self, dataset_dict)
        mapped: dict[str, Any] = super().__call__(dataset_dict)
        return mapped
