"""Between our coordinates and those of the functions that the article names.

cv2.findContours: indices of border pixels        -> coords_from_cv2_contour
cv2.warpAffine: integer centres                   -> affine_to_cv2, affine_from_cv2
PIL.ImageDraw.polygon: ours, drawn 0.5 px too fat -> draw_polygon_pil
COCO keypoints: indices                           -> coords_from_coco_keypoints and back
pycocotools polygons, COCO polygons and boxes: ours, no adapter needed
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from d2align.geometry._checks import (
    accepts_numpy,
    as_array,
    as_numbers,
    check_image_size,
    check_whole,
    describe,
    fail,
)

# About how far PIL.ImageDraw.polygon draws beyond the polygon it is given, in pixels.
PIL_POLYGON_FATTENING = 0.5


@accepts_numpy
def coords_from_cv2_contour(contour: Tensor) -> Tensor:
    """Turn a contour of ``cv2.findContours`` into coordinates, by adding 0.5.

    Convention: indices of the border pixels in; integer corners out: the polygon through those
    pixels' centres, half a pixel inside the region's true edge.

    Args:
        contour: (P, 1, 2) or (P, 2) integers (x, y).

    Returns:
        (P, 2) float coordinates, pixels.

    Raises:
        ValueError: the last dimension is not 2.
    """
    flat = contour.dim() == 2 or (contour.dim() == 3 and contour.shape[1] == 1)
    if not flat or contour.shape[-1] != 2:
        raise fail("contour", describe(contour), "shape (P, 1, 2) or (P, 2)")
    return as_numbers("contour", contour).reshape(-1, 2) + 0.5


def affine_to_cv2(matrix: Any) -> Any:
    """Turn an affine map of our coordinates into the one ``cv2.warpAffine`` needs.

    Convention: integer corners in, integer centres out: p -> A (p + 0.5) + t - 0.5.

    Args:
        matrix: (2, 3) array [A | t] that maps source to destination coordinates, pixels.

    Returns:
        (2, 3) float64 array, to be given to ``cv2.warpAffine`` as it is.

    Raises:
        ValueError: the shape is not (2, 3).
    """
    linear, shift = _split_affine(matrix)
    half = np.full(2, 0.5)
    return np.column_stack([linear, linear @ half + shift - half])


def affine_from_cv2(matrix: Any) -> Any:
    """Turn an affine map as ``cv2.warpAffine`` reads it into a map of our coordinates.

    Convention: integer centres in, integer corners out; the inverse of affine_to_cv2.

    Args:
        matrix: (2, 3) array that maps source to destination indices.

    Returns:
        (2, 3) float64 array that maps source to destination coordinates, pixels.

    Raises:
        ValueError: the shape is not (2, 3).
    """
    linear, shift = _split_affine(matrix)
    half = np.full(2, 0.5)
    return np.column_stack([linear, shift + half - linear @ half])


@accepts_numpy
def coords_from_coco_keypoints(keypoints: Tensor) -> Tensor:
    """Turn COCO keypoints, which are indices, into coordinates by adding 0.5 to x and y.

    Convention: integer centres in, integer corners out.

    Args:
        keypoints: (..., K, 3) x, y, visibility as in a COCO file.

    Returns:
        The same shape; visibility unchanged; unlabelled keypoints (visibility 0) stay as they are.

    Raises:
        ValueError: the last dimension is not 3.
    """
    return _shift_keypoints(keypoints, 0.5)


@accepts_numpy
def coords_to_coco_keypoints(keypoints: Tensor) -> Tensor:
    """Turn keypoint coordinates into COCO's indices by subtracting 0.5 from x and y.

    Convention: integer corners in, integer centres out.

    Args:
        keypoints: (..., K, 3) x, y in pixels, visibility.

    Returns:
        The same shape; visibility unchanged; unlabelled keypoints (visibility 0) stay as they are.

    Raises:
        ValueError: the last dimension is not 3.
    """
    return _shift_keypoints(keypoints, -0.5)


def draw_polygon_pil(polygon: Sequence[float], image_size: Sequence[int], upsample: int = 8) -> Any:
    """Draw a polygon with PIL without its fattening, by drawing it larger and averaging.

    Convention: integer corners; PIL's outline lies about 0.5 pixel outside the polygon, here
    about 0.5 / upsample pixel.

    Args:
        polygon: flat x0, y0, x1, y1, ..., pixels.
        image_size: (h, w), pixels, each at least 1.
        upsample: how many times larger to draw, at least 1; 1 is PIL itself.

    Returns:
        (h, w) bool array: pixels covered at least by half.

    Raises:
        ValueError: fewer than 3 points, an image of no pixels, or upsample below 1.
    """
    from PIL import Image, ImageDraw

    h, w = check_image_size("image_size", image_size)
    points = as_array("polygon", polygon, np.float64, "a flat sequence of points x, y")
    if points.ndim != 1 or len(points) < 6 or len(points) % 2:
        raise fail("polygon", describe(polygon), "a flat sequence of at least 3 points x, y")
    if not np.isfinite(points).all():
        raise fail("polygon", "a point that is not finite", "finite coordinates")
    check_whole("upsample", upsample)
    canvas = Image.new("L", (w * upsample, h * upsample))
    ImageDraw.Draw(canvas).polygon((points * upsample).tolist(), outline=1, fill=1)
    cells = np.asarray(canvas).reshape(h, upsample, w, upsample)
    return cells.mean(axis=(1, 3)) >= 0.5


def _split_affine(matrix: Any) -> tuple[Any, Any]:
    values = as_array("matrix", matrix, np.float64, "a (2, 3) affine matrix [A | t]")
    if values.shape != (2, 3):
        raise fail("matrix", describe(matrix), "a (2, 3) affine matrix [A | t]")
    return values[:, :2], values[:, 2]


def _shift_keypoints(keypoints: Tensor, offset: float) -> Tensor:
    if keypoints.dim() < 2 or keypoints.shape[-1] != 3:
        raise fail("keypoints", describe(keypoints), "shape (..., K, 3)")
    keypoints = as_numbers("keypoints", keypoints)
    xy = keypoints[..., :2]
    labelled = keypoints[..., 2:] > 0
    return torch.cat([torch.where(labelled, xy + offset, xy), keypoints[..., 2:]], dim=-1)
