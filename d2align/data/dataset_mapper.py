"""Detectron2's DatasetMapper with the flip chosen by name."""

from __future__ import annotations

from typing import Any

from detectron2.config import configurable
from detectron2.data import DatasetMapper
from detectron2.data import transforms as T

from d2align.data.augmentation import build_augmentation


class PixelExactDatasetMapper(DatasetMapper):
    """Read an image and its annotations, augment both, and make them the model's input.

    Convention: integer corners; COCO's keypoints, which are indices, have had their +0.5 from
    Detectron2's loader, and lose it in its evaluator.
    """

    @configurable
    def __init__(self, is_train: bool, **kwargs: Any) -> None:
        """Make a mapper.

        Args:
            is_train: whether for training.
            **kwargs: those of DatasetMapper.
        """
        super().__init__(is_train, **kwargs)

    @classmethod
    def from_config(cls, cfg: Any, is_train: bool = True) -> dict[str, Any]:
        """Return the arguments of __init__ that a config stands for."""
        arguments = super().from_config(cfg, is_train)
        crops = [a for a in arguments["augmentations"] if isinstance(a, T.RandomCrop)]
        arguments["augmentations"] = crops + build_augmentation(cfg, is_train)
        return arguments
