"""Carry the scale from original to network pixels along with the proposals.

``Instances.image_size`` follows proposals through sampling and cascade stages, in Detectron2
v0.5 and main alike, so the scale rides on it.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor


class NetworkSize(tuple):  # type: ignore[type-arg]
    """The size (h, w) of an image in network pixels, which also knows its scale.

    Attributes:
        original: (h, w) in original pixels.
        scale_x: what multiplies an original x to give it in network pixels.
        scale_y: likewise for y.
        exact: whether the image was sampled at exactly that scale, or at the ratio of its sizes.
        padded: (h, w) that the network sees of this image alone, padding to its stride included.
    """

    original: tuple[int, int]
    scale_x: float
    scale_y: float
    exact: bool
    padded: tuple[int, int]

    @classmethod
    def from_original(
        cls,
        size: tuple[int, int],
        original: tuple[int, int],
        im_scale: float | None = None,
        size_divisibility: int = 0,
    ) -> NetworkSize:
        """Make one from the sizes of the resized and the original image.

        Args:
            size: (h, w) in network pixels.
            original: (h, w) in original pixels.
            im_scale: at which the image was sampled; None takes the ratio of the sizes.
            size_divisibility: of the backbone's input, pixels; 0 for none.

        Returns:
            A tuple equal to size.
        """
        self = cls(size)
        self.original, self.exact = original, im_scale is not None
        self.scale_y = im_scale or size[0] / original[0]
        self.scale_x = im_scale or size[1] / original[1]
        stride = max(size_divisibility, 1)
        self.padded = (math.ceil(size[0] / stride) * stride, math.ceil(size[1] / stride) * stride)
        return self


def network_size(
    inputs: dict[str, Any], size: tuple[int, int], size_divisibility: int = 0
) -> NetworkSize:
    """Return the size of an input of the model, which knows its scale.

    Args:
        inputs: height and width are the original size, and a missing one means that the image
            was not resized; im_scale, if there, is the scale at which it was sampled.
        size: (h, w) in network pixels.
        size_divisibility: of the backbone's input, pixels; 0 for none.

    Returns:
        A tuple equal to size.

    Raises:
        ValueError: an original size below one pixel, or a scale that is not positive.
    """
    height, width = inputs.get("height", size[0]), inputs.get("width", size[1])
    if height < 1 or width < 1:
        raise ValueError(f"height, width: got {(height, width)}, expected pixels, at least 1 each")
    im_scale = inputs.get("im_scale")
    if im_scale is not None and not (math.isfinite(im_scale) and im_scale > 0):
        raise ValueError(f"im_scale: got {im_scale}, expected network / original pixels, positive")
    return NetworkSize.from_original(size, (height, width), im_scale, size_divisibility)


def attach_scales(
    images: Any, batched_inputs: list[dict[str, Any]], size_divisibility: int = 0
) -> Any:
    """Make the sizes of a batch know their scales.

    Args:
        images: Detectron2's ImageList, changed in place.
        batched_inputs: the model's inputs, as ``network_size`` takes them.
        size_divisibility: of the backbone's input, pixels; 0 for none.

    Returns:
        images.

    Raises:
        ValueError: an original size below one pixel, or a scale that is not positive.
    """
    images.image_sizes = [
        network_size(inputs, tuple(size), size_divisibility)
        for size, inputs in zip(images.image_sizes, batched_inputs, strict=True)
    ]
    for inputs, size in zip(batched_inputs, images.image_sizes, strict=True):
        if "proposals" in inputs:  # precomputed ones were made before the scale was known
            proposals = inputs["proposals"]
            inputs["proposals"] = type(proposals)(size, **proposals.get_fields())
    return images


def check_knows_scale(size: tuple[int, int]) -> NetworkSize:
    """Return the size of an image, refusing one that does not know its scale.

    Args:
        size: the image_size of Instances.

    Returns:
        size.

    Raises:
        ValueError: it is a plain tuple.
    """
    if not isinstance(size, NetworkSize):
        raise ValueError(
            f"image_size: got a plain {tuple(size)}, expected one that knows its scale to original "
            "pixels: use d2align.modeling.apply on the whole model, not on its heads"
        )
    return size


def box_scale(size: tuple[int, int], like: Tensor) -> Tensor:
    """Return what multiplies a box in original pixels to give it in network pixels.

    Args:
        size: the image_size of Instances that went through ``attach_scales``.
        like: a tensor of the dtype and device wanted.

    Returns:
        (4,) scales of x1, y1, x2, y2.

    Raises:
        ValueError: the size does not know its scale.
    """
    known = check_knows_scale(size)
    return like.new_tensor([known.scale_x, known.scale_y, known.scale_x, known.scale_y])
