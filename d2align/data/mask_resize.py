"""Masks resized without bias, whatever their dtype, and as finely as a 0/1 mask allows.

Detectron2's ResizeTransform takes nearest pixels by PIL for uint8, at the pixel where a sample
lies, and by torch for all else, at floor(i * scale), which lies up to half a pixel off the image.
Its ExtentTransform asks PIL for nearest by the number 0, takes that for no choice at all, and
interpolates masks as it does images, cutting off what is not whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from detectron2.data import transforms as T
from fvcore.transforms.transform import Transform

Rect = tuple[float, float, float, float]


class UnbiasedResizeTransform(T.ResizeTransform):
    """ResizeTransform whose masks go where its image goes.

    Convention: integer corners; pixel i of the result is the sample at (i + 0.5) / scale.
    Differs from: ResizeTransform in masks only.
    """

    def apply_segmentation(self, segmentation: Any) -> Any:
        """Return the mask or labels resized, as ``sample_mask``.

        Args:
            segmentation: (H, W) or (H, W, C), any dtype.

        Returns:
            Of the new size and of the same dtype.
        """
        return sample_mask(segmentation, (0, 0, self.w, self.h), (self.new_h, self.new_w))


class UnbiasedExtentTransform(T.ExtentTransform):
    """ExtentTransform whose masks go where its image goes.

    Convention: integer corners.
    Differs from: ExtentTransform in masks only.
    """

    def apply_segmentation(self, segmentation: Any) -> Any:
        """Return the mask or labels within the rectangle, as ``sample_mask``.

        Args:
            segmentation: (H, W) or (H, W, C), any dtype.

        Returns:
            Of the output size and of the same dtype.
        """
        return sample_mask(segmentation, self.src_rect, self.output_size, self.fill)


class UnbiasedMasks(T.Augmentation):
    """Any augmentation of the image, with masks that go where the image goes.

    Convention: that of UnbiasedResizeTransform; other transforms stay as they are.
    """

    def __init__(self, augmentation: Any) -> None:
        """Wrap an augmentation.

        Args:
            augmentation: one whose ``get_transform`` takes the image alone.
        """
        super().__init__()
        self.augmentation = augmentation

    def get_transform(self, image: Any) -> Transform:
        """Return the augmentation's transform, its kind for masks changed.

        Args:
            image: (H, W) or (H, W, C).

        Returns:
            A fvcore transform.
        """
        return with_unbiased_masks(self.augmentation.get_transform(image))

    def __repr__(self) -> str:
        return f"UnbiasedMasks({self.augmentation!r})"


def with_unbiased_masks(transform: Any) -> Any:
    """Return a transform that does with masks what it does with images.

    Args:
        transform: any.

    Returns:
        A new one for Detectron2's ResizeTransform and ExtentTransform; else the same.
    """
    t = transform
    if type(t) is T.ResizeTransform:
        return UnbiasedResizeTransform(t.h, t.w, t.new_h, t.new_w, t.interp)
    if type(t) is T.ExtentTransform:
        return UnbiasedExtentTransform(t.src_rect, t.output_size, t.interp, t.fill)
    return transform


def sample_mask(mask: Any, rect: Rect, size: tuple[int, int], fill: float = 0) -> Any:
    """Return a rectangle of a mask, or of a map of labels, at another size.

    Convention: integer corners. A mask of two values, one of them 0, is interpolated between
    pixel centres and cut at one half; of labels, the pixel in which each sample lies is taken.

    Args:
        mask: (H, W) or (H, W, C), any dtype.
        rect: (x1, y1, x2, y2), pixels; it may reach outside.
        size: (h, w) of the result.
        fill: the value outside.

    Returns:
        (h, w) or (h, w, C), of the same dtype.

    Raises:
        ValueError: the rectangle or the size is empty.
    """
    mask = np.asarray(mask)
    x1, y1, x2, y2 = rect
    if not (x2 > x1 and y2 > y1 and min(size) > 0):
        raise ValueError(f"rect, size: got {rect}, {size}, expected positive sides")
    rows = y1 + (np.arange(size[0]) + 0.5) * (y2 - y1) / size[0]
    columns = x1 + (np.arange(size[1]) + 0.5) * (x2 - x1) / size[1]
    inside = _inside(rows, mask.shape[0])[:, None] & _inside(columns, mask.shape[1])[None]
    high = mask.max() if mask.size else 0
    if mask.ndim == 2 and ((mask == 0) | (mask == high)).all():
        out = np.where(_between(_between(mask == high, rows).T, columns).T >= 0.5, high, 0)
        out = out.astype(mask.dtype) if high else np.zeros(size, mask.dtype)
    else:
        out = mask[_index(rows, mask.shape[0])][:, _index(columns, mask.shape[1])]
    if not inside.all():
        out = out.copy()
        out[~inside] = fill
    return out


def _inside(place: np.ndarray, length: int) -> np.ndarray:
    inside: np.ndarray = (place >= 0) & (place < length)
    return inside


def _index(place: np.ndarray, length: int) -> np.ndarray:
    return np.clip(np.floor(place), 0, length - 1).astype(np.int64)


def _between(values: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Rows of values, interpolated at places along them; edges are repeated."""
    index = np.clip(place - 0.5, 0, len(values) - 1)
    low = np.floor(index).astype(np.int64)
    weight = (index - low).astype(np.float32)[:, None]
    high = np.minimum(low + 1, len(values) - 1)
    found: np.ndarray = values[low] * (1 - weight) + values[high] * weight
    return found
