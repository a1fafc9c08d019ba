"""What goes through a pipeline: a disc at a known sub-pixel place, as image and annotations."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from d2align.audit.probes.blobs import round_mask

LABEL = 1  # of the disc in label maps
_XYXY = 0  # BoxMode.XYXY_ABS
_VERTICES = 128
_DARK, _LIGHT = 30, 180
_SOFT_PX = 5.0  # over which its edge fades, so that no resize can make steps of it
# Shares of the width and height where discs lie, and their radius as a share of the shorter side.
_PLACES = ((0.31, 0.28), (0.67, 0.33), (0.48, 0.52), (0.29, 0.69), (0.71, 0.66))
_RADIUS = 0.2


@dataclass(frozen=True)
class Target:
    """A round object.

    Attributes:
        size: (h, w) of its image, pixels.
        centre: (x, y) coordinates, integer corners.
        radius: pixels.
    """

    size: tuple[int, int]
    centre: tuple[float, float]
    radius: float

    @property
    def box(self) -> np.ndarray:
        """Its (4,) XYXY box."""
        x, y = self.centre
        return np.array([x - self.radius, y - self.radius, x + self.radius, y + self.radius])

    @property
    def polygon(self) -> np.ndarray:
        """Its outline, (V, 2) points."""
        angles = np.arange(_VERTICES) / _VERTICES * 2 * np.pi
        around = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return np.array(self.centre) + self.radius * around

    @property
    def mask(self) -> np.ndarray:
        """Its (h, w) uint8 mask: the pixels whose centres it covers."""
        return round_mask(self.size, self.centre, self.radius).astype(np.uint8)

    def annotation(self, keypoints: int, encoded: bool) -> dict[str, Any]:
        """Return its annotation in Detectron2's form.

        Args:
            keypoints: how many, all of them at its centre.
            encoded: whether its mask is an RLE or a polygon.
        """
        rle = coco_mask.encode(np.asfortranarray(self.mask))
        segmentation = rle if encoded else [self.polygon.reshape(-1).tolist()]
        found: dict[str, Any] = {
            "bbox": self.box.tolist(),
            "bbox_mode": _XYXY,
            "category_id": 0,
            "iscrowd": 0,
            "segmentation": segmentation,
        }
        if keypoints:
            found["keypoints"] = [*self.centre, 2.0] * keypoints
        return found


def targets(size: tuple[int, int]) -> list[Target]:
    """Return objects over an image, each of which fills one image by itself.

    Args:
        size: (h, w), pixels.
    """
    h, w = size
    radius = round(_RADIUS * min(h, w)) + 0.37
    # Fractions of a pixel that differ, so that rounding shows.
    fractions = ((0.13, 0.71), (0.83, 0.29), (0.37, 0.53), (0.61, 0.07), (0.97, 0.89))
    return [
        Target(size, (int(x * w) + fx, int(y * h) + fy), radius)
        for (x, y), (fx, fy) in zip(_PLACES, fractions, strict=True)
    ]


def write_image(target: Target, path: str | os.PathLike[str]) -> None:
    """Write an image of a target with a soft edge, which lies where the target's does.

    Args:
        target: the object.
        path: of a PNG.
    """
    (h, w), (x, y) = target.size, target.centre
    rows, columns = np.arange(h) + 0.5 - y, np.arange(w) + 0.5 - x
    away = np.hypot(rows[:, None], columns[None, :])
    ramp = np.clip((target.radius - away) / _SOFT_PX + 0.5, 0, 1)
    covered = ramp**2 * (3 - 2 * ramp)
    grey = np.round(_DARK + _LIGHT * covered).astype(np.uint8)
    Image.fromarray(np.repeat(grey[:, :, None], 3, axis=2)).save(path, compress_level=1)


def write_labels(target: Target, path: str | os.PathLike[str]) -> None:
    """Write a map of labels, ``LABEL`` in the object and 0 elsewhere, as a PNG."""
    Image.fromarray(target.mask * LABEL).save(path, compress_level=1)


def mask_extent(mask: np.ndarray) -> np.ndarray | None:
    """Return the XYXY extent of the ellipse that a mask is, from its moments; None if empty.

    Convention: integer corners; a pixel is a unit square.

    Args:
        mask: (h, w) of zeros and ones.
    """
    total = float(mask.sum())
    if total == 0:
        return None
    ends = []
    for axis in (0, 1):
        weight = mask.sum(axis=axis) / total
        place = np.arange(len(weight)) + 0.5
        mean = float((weight * place).sum())
        # A uniform ellipse has a standard deviation of half its semi-axis.
        half = 2 * np.sqrt(float((weight * (place - mean) ** 2).sum()) + 1 / 12)
        ends.append((mean - half, mean + half))
    return np.array([ends[0][0], ends[1][0], ends[0][1], ends[1][1]])


def extent_of(points: np.ndarray) -> np.ndarray:
    """Return the XYXY extent of (N, 2) points."""
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def map_extent(matrix: np.ndarray, extent: Sequence[float]) -> np.ndarray:
    """Return the extent of an upright ellipse after an affine map.

    Args:
        matrix: (2, 3) [A | t].
        extent: XYXY of the ellipse.
    """
    x1, y1, x2, y2 = extent
    centre = matrix[:, :2] @ [(x1 + x2) / 2, (y1 + y2) / 2] + matrix[:, 2]
    half = np.sqrt(matrix[:, :2] ** 2 @ [((x2 - x1) / 2) ** 2, ((y2 - y1) / 2) ** 2])
    return np.concatenate([centre - half, centre + half])
