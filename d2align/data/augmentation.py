"""Training and test augmentations, with the flip chosen by name and done before the resize."""

from __future__ import annotations

from typing import Any

from detectron2.data import detection_utils
from detectron2.data import transforms as T
from fvcore.transforms.transform import NoOpTransform, Transform

import d2align.data.transforms  # noqa: F401  # registers the flips
from d2align.data.resize import Detectron1ResizeShortestEdge
from d2align.registry import (
    FLIP_REGISTRY,
    VERTICAL_FLIP_REGISTRY,
    build_flip,
    build_vertical_flip,
)


class PixelExactRandomFlip(T.Augmentation):
    """Flip an image and its annotations with some probability, by a flip chosen by name.

    Convention: that of the flip; it acts in the pixels of the image it is given.
    """

    def __init__(self, flip: str = "coordinate", prob: float = 0.5, vertical: bool = False) -> None:
        """Make the augmentation.

        Args:
            flip: coordinate | detectron1 | index; vertical ones: coordinate | index.
            prob: in [0, 1].
            vertical: top to bottom instead of left to right.

        Raises:
            ValueError: an unknown flip, or a probability outside [0, 1].
        """
        super().__init__()
        (VERTICAL_FLIP_REGISTRY if vertical else FLIP_REGISTRY).get(flip)
        if not 0 <= prob <= 1:
            raise ValueError(f"prob: got {prob}, expected a probability in [0, 1]")
        self.flip, self.prob, self.vertical = flip, prob, vertical

    def get_transform(self, image: Any) -> Transform:
        """Return a flip of the image's size, or none.

        Args:
            image: (H, W) or (H, W, C).

        Returns:
            A fvcore transform.
        """
        # One draw a call whatever the flip, so that paired runs see the same images.
        if self._rand_range() >= self.prob:
            return NoOpTransform()
        if self.vertical:
            return build_vertical_flip(self.flip, image.shape[0])
        return build_flip(self.flip, image.shape[1])


def build_augmentation(cfg: Any, is_train: bool) -> list[Any]:
    """Return Detectron2's default augmentations with the flip of ``D2ALIGN.FLIP``, done first.

    Convention: a flip acts in original pixels, before the resize, as in Detectron; a
    crop, where configured, comes before both. The resize of D2ALIGN.BOXES inclusive is Detectron's.

    Args:
        cfg: a config with d2align's keys.
        is_train: whether for training; there is no flip in testing.

    Returns:
        A list of augmentations.
    """
    augmentations = detection_utils.build_augmentation(cfg, is_train)
    others = [a for a in augmentations if not isinstance(a, T.RandomFlip)]
    if cfg.D2ALIGN.BOXES == "inclusive":
        others = [_resize_detectron1(cfg, is_train) if _is_resize(a) else a for a in others]
    if not is_train or len(others) == len(augmentations):
        return others
    vertical = cfg.INPUT.RANDOM_FLIP == "vertical"
    return [PixelExactRandomFlip(cfg.D2ALIGN.FLIP, vertical=vertical), *others]


def _is_resize(augmentation: Any) -> bool:
    return isinstance(augmentation, T.ResizeShortestEdge)


def _resize_detectron1(cfg: Any, is_train: bool) -> Detectron1ResizeShortestEdge:
    if not is_train:
        return Detectron1ResizeShortestEdge(cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST)
    return Detectron1ResizeShortestEdge(
        cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING
    )
