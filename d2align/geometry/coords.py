"""The pixel model: an image spans [0, W] x [0, H] and pixel i has its centre at i + 0.5.

Integer corners (ours): the first pixel covers [0, 1], its centre is 0.5.
Integer centres (OpenCV, COCO keypoints): the first pixel's centre is 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from d2align.geometry._checks import accepts_numpy, as_numbers, fail

_TOO_FAR = 2.0**63  # for int64


@accepts_numpy
def index_to_coord(indices: Tensor) -> Tensor:
    """Return the coordinates of the centres of pixels.

    Convention: integer corners: coord = index + 0.5.

    Args:
        indices: any shape, pixel indices (integers, or floats on the integer-centre axis).

    Returns:
        The same shape, float coordinates (integers become the default float dtype).
    """
    return as_numbers("indices", indices) + 0.5


@accepts_numpy
def coord_to_index(coords: Tensor) -> Tensor:
    """Return the indices of the pixels that contain coordinates.

    Convention: integer corners: index = floor(coord); a coordinate on the edge between two
    pixels belongs to the right (lower) one, so the coordinate W gives the index W.

    Args:
        coords: any shape, float coordinates in pixels.

    Returns:
        The same shape, int64 indices.

    Raises:
        ValueError: a coordinate that is NaN, infinite or too large for an index.
    """
    floored = torch.floor(as_numbers("coords", coords))
    if floored.is_floating_point() and not bool((floored.abs() < _TOO_FAR).all()):
        raise fail("coords", "NaN or numbers of 2 ** 63 and above", "coordinates in pixels")
    return floored.to(torch.int64)


@accepts_numpy
def corners_to_centers(coords: Tensor) -> Tensor:
    """Move integer-corner coordinates to the integer-centre axis, where pixel 0 is centred on 0.

    Convention: integer corners in, integer centres out: subtract 0.5.

    Args:
        coords: any shape, in pixels.

    Returns:
        The same shape.
    """
    return as_numbers("coords", coords) - 0.5


@accepts_numpy
def centers_to_corners(coords: Tensor) -> Tensor:
    """Move integer-centre coordinates to our integer-corner axis, where pixel 0 spans [0, 1].

    Convention: integer centres in, integer corners out: add 0.5.

    Args:
        coords: any shape, in pixels.

    Returns:
        The same shape.
    """
    return as_numbers("coords", coords) + 0.5
