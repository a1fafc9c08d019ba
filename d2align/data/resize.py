"""Detectron's resize: one scale for both axes, at which the image is sampled exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
from detectron2.data import transforms as T
from fvcore.transforms.transform import NoOpTransform, Transform


class Detectron1ResizeTransform(Transform):
    """Resize by a scale, whatever whole number of pixels it makes.

    Convention: integer corners; coordinates are multiplied by the scale, and pixel i of the
    result takes the image's value at (i + 0.5) / scale. Images become float32.
    Differs from: Detectron2's ResizeTransform, which samples at the ratio of the whole sizes,
        smooths where it shrinks, and rounds to 8 bits.
    Source: facebookresearch/Detectron, detectron/utils/blob.py (prep_im_for_blob).
    """

    def __init__(self, scale: float) -> None:
        """Make the transform.

        Args:
            scale: network / original pixels, positive.

        Raises:
            ValueError: the scale is not positive.
            ModuleNotFoundError: there is no OpenCV, which resizes.
        """
        super().__init__()
        _opencv()
        if not scale > 0:
            raise ValueError(f"scale: got {scale}, expected a positive number")
        self.scale = scale

    def apply_image(self, img: Any) -> Any:
        """Return the image resized bilinearly, edges repeated.

        Args:
            img: (H, W) or (H, W, C).

        Returns:
            float32, of round(H * scale) rows and round(W * scale) columns.
        """
        cv2 = _opencv()
        single = img.ndim == 3 and img.shape[2] == 1
        pixels = img.astype(np.float32)
        out = cv2.resize(pixels, None, None, self.scale, self.scale, cv2.INTER_LINEAR)
        return out[:, :, None] if single else out

    def apply_segmentation(self, segmentation: Any) -> Any:
        """Return labels resized by taking the pixel in which the sample lies.

        Args:
            segmentation: (H, W) or (H, W, C).

        Returns:
            Of the same size as an image, and of the same dtype as the labels.
        """
        rows, columns = (
            np.minimum(((np.arange(round(n * self.scale)) + 0.5) / self.scale).astype(int), n - 1)
            for n in segmentation.shape[:2]
        )
        return segmentation[rows][:, columns]

    def apply_coords(self, coords: Any) -> Any:
        """Return scaled points.

        Args:
            coords: (N, 2) points (x, y), pixels.

        Returns:
            (N, 2), a copy.
        """
        return np.asarray(coords) * self.scale


class Detectron1ResizeShortestEdge(T.Augmentation):
    """Scale the shorter side to one of some sizes, unless that makes the longer one too long.

    Convention: that of Detectron1ResizeTransform.
    Differs from: ResizeShortestEdge in rounding before it compares with the longest side, and in
        its transform.
    Source: facebookresearch/Detectron, detectron/utils/blob.py (prep_im_for_blob).
    """

    def __init__(self, short_edge_length: Any, max_size: int, sample_style: str = "choice") -> None:
        """Make the augmentation.

        Args:
            short_edge_length: sizes in pixels: two, (least, most), for style range; any number
                for choice; 0 leaves the image as it is.
            max_size: of the longer side, pixels.
            sample_style: range | choice, as ResizeShortestEdge.

        Raises:
            ModuleNotFoundError: there is no OpenCV, which resizes.
        """
        super().__init__()
        _opencv()
        sizes = [short_edge_length] if isinstance(short_edge_length, int) else short_edge_length
        self.short_edge_length = tuple(sizes)
        self.max_size, self.sample_style = max_size, sample_style

    def get_transform(self, image: Any) -> Transform:
        """Return a resize, drawing its size as ResizeShortestEdge does.

        Args:
            image: (H, W) or (H, W, C).

        Returns:
            A fvcore transform.
        """
        if self.sample_style == "range":
            size = np.random.randint(self.short_edge_length[0], self.short_edge_length[-1] + 1)
        else:
            size = np.random.choice(self.short_edge_length)
        if size == 0:
            return NoOpTransform()
        shorter, longer = sorted(image.shape[:2])
        scale = float(size) / shorter
        if np.round(scale * longer) > self.max_size:
            scale = float(self.max_size) / longer
        return Detectron1ResizeTransform(scale)


def resize_scale(transforms: Any) -> float | None:
    """Return the scale by which an image was resized as Detectron did.

    Args:
        transforms: the TransformList that was applied.

    Returns:
        Its scale, or None where there was no such resize.
    """
    scales = [t.scale for t in transforms.transforms if isinstance(t, Detectron1ResizeTransform)]
    return float(np.prod(scales)) if scales else None


def _opencv() -> Any:
    # Not a requirement of d2align: pip must not replace the user's own build.
    try:
        import cv2
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "D2ALIGN.BOXES inclusive resizes images as Detectron did, with OpenCV: "
            "pip install opencv-python-headless",
            name="cv2",
        ) from None
    return cv2
