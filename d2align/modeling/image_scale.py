"""Carry the scale from original to network pixels along with the proposals.

``Instances.image_size`` follows proposals through sampling and cascade stages, in Detectron2
v0.5 and main alike, so the scale rides on it.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor


class NetworkSize(tuple):  # type: ignore[type-arg]
    """The size (h, w) of an image in network pixels, which also knows its scale."""

    scale_x: float
    scale_y: float

    @classmethod
    def from_original(cls, size: tuple[int, int], original: tuple[int, int]) -> NetworkSize:
        """Make one from the sizes of the resized and the original image.

        Args:
            size: (h, w) in network pixels.
            original: (h, w) in original pixels.

        Returns:
            A tuple equal to size.
        """
        self = cls(size)
        self.scale_y, self.scale_x = size[0] / original[0], size[1] / original[1]
        return self


def attach_scales(images: Any, batched_inputs: list[dict[str, Any]]) -> Any:
    """Make the sizes of a batch know their scales.

    Args:
        images: Detectron2's ImageList, changed in place.
        batched_inputs: the model's inputs; height and width are the original size, and a missing
            one means that the image was not resized.

    Returns:
        images.

    Raises:
        ValueError: an original size below one pixel.
    """
    images.image_sizes = [
        NetworkSize.from_original(tuple(size), _original_size(inputs, size))
        for size, inputs in zip(images.image_sizes, batched_inputs, strict=True)
    ]
    for inputs, size in zip(batched_inputs, images.image_sizes, strict=True):
        if "proposals" in inputs:  # precomputed ones were made before the scale was known
            proposals = inputs["proposals"]
            inputs["proposals"] = type(proposals)(size, **proposals.get_fields())
    return images


def _original_size(inputs: dict[str, Any], size: tuple[int, int]) -> tuple[int, int]:
    height, width = inputs.get("height", size[0]), inputs.get("width", size[1])
    if height < 1 or width < 1:
        raise ValueError(f"height, width: got {(height, width)}, expected pixels, at least 1 each")
    return height, width


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
    if not isinstance(size, NetworkSize):
        raise ValueError(
            f"image_size: got a plain {tuple(size)}, expected one that knows its scale to original "
            "pixels: use d2align.modeling.apply on the whole model, not on its heads"
        )
    return like.new_tensor([size.scale_x, size.scale_y, size.scale_x, size.scale_y])
