"""How a mapper moved an image: by which resize, flip, crop or rotation, and on which grid?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from d2align.audit.pipeline.drift import Drift, find_drift
from d2align.audit.pipeline.mapped import image_of
from d2align.audit.pipeline.words import Rule
from d2align.audit.record import Finding

_SAME_SCALE = 0.01
_ALIKE = 0.03  # of the scale to 1, at which rounding is the same over much of an image
_CROPPED_PX = 2.0
_IMAGE_PX = 0.02
_NOT_AFFINE_PX = 0.1


@dataclass(frozen=True)
class ImageMap:
    """An image's map to the network.

    Attributes:
        name: what happened: "read" (nothing), or some of "crop", "rotation", "resize", "flip".
        size: (h, w) of the original.
        network: (h, w) of the result.
        matrix: (2, 3), measured, from original to network coordinates.
        residual: how far it is from any affine map, pixels.
        flipped: "x", "y", "xy" or "".
        wanted: (sx, sy) that sizes, or the mapper's own "im_scale", ask for.
    """

    name: str
    size: tuple[int, int]
    network: tuple[int, int]
    matrix: np.ndarray
    residual: float
    flipped: str
    wanted: tuple[float, float]

    @property
    def scale(self) -> float:
        """Network pixels an original one, measured along x."""
        return float(np.hypot(self.matrix[0, 0], self.matrix[1, 0]))

    @property
    def steps_alike(self) -> bool:
        """Whether a mask is off by rounding alike all over it, being hardly scaled."""
        return 1e-3 < abs(self.scale - 1) < _ALIKE

    @property
    def is_moved(self) -> bool:
        """Whether the image was cropped or turned."""
        return any(word in self.name for word in ("crop", "rotation"))

    def holds(self, box: np.ndarray, margin: float) -> bool:
        """Whether a box lies inside the network's image, with a margin in pixels."""
        h, w = self.network
        return bool((box[:2] >= margin).all() and (box[2:] <= np.array([w, h]) - margin).all())

    def findings(self, stage: str, moves: bool) -> list[Finding]:
        """Return what is to be said of the image itself: nothing if images are cropped or turned.

        Args:
            stage: of the pipeline.
            moves: whether images of this mapper are cropped or turned at random.
        """
        if self.residual > _NOT_AFFINE_PX:
            return [
                Finding(
                    kind=stage,
                    subject=f"{stage}: image",
                    convention="unknown",
                    status="unknown",
                    sentence=f"The image is warped {self.residual:.2f} px off any affine map: the "
                    "audit compares annotations with its nearest.",
                    residual_px=self.residual,
                )
            ]
        if moves:
            return []
        drift = self._drift()
        return [find_drift(stage, "image", drift, tolerance=_IMAGE_PX, words=_GRIDS)]

    def _drift(self) -> Drift:
        """How far the image's left, top, right and bottom edges lie from where they should."""
        ends = []
        for axis, letter in enumerate("xy"):
            scale, shift = self.matrix[axis, axis], self.matrix[axis, 2]
            length = self.size[1 - axis]
            goal = length * self.wanted[axis]
            edges = np.array([shift, shift + scale * length])
            ends.append(edges[::-1] - [0, goal] if letter in self.flipped else edges - [0, goal])
        mean = np.array([ends[0][0], ends[1][0], ends[0][1], ends[1][1]])
        slope = (mean[2:] - mean[:2]) / [self.network[1], self.network[0]]
        return Drift(mean, slope, float(np.abs(mean).max()), self.residual)


def find_image(
    size: tuple[int, int], mapped: dict[str, Any], matrix: np.ndarray, residual: float
) -> ImageMap:
    """Tell what a mapper did to an image.

    Args:
        size: (h, w) of the original.
        mapped: what the mapper returned.
        matrix: (2, 3), measured.
        residual: how far the measurements lie from it, pixels.

    Returns:
        The map.
    """
    h, w = image_of(mapped).shape
    flipped = "".join(c for axis, c in enumerate("xy") if matrix[axis, axis] < 0)
    ratio = (w / size[1], h / size[0])
    wanted = (float(mapped["im_scale"]),) * 2 if "im_scale" in mapped else ratio
    scales = np.abs(np.diag(matrix[:, :2]))
    turned = max(abs(matrix[0, 1]), abs(matrix[1, 0])) > _SAME_SCALE
    cropped = not turned and any(
        abs(matrix[axis, 2] - (length if c in flipped else 0)) > _CROPPED_PX
        or abs(scales[axis] * size[1 - axis] - length) > _CROPPED_PX
        for axis, (c, length) in enumerate(zip("xy", (w, h), strict=True))
    )
    happened = {
        "crop": cropped,
        "rotation": turned,
        "resize": bool(np.abs(scales - 1).max() > _SAME_SCALE) and not turned,
        "vertical flip" if flipped == "y" else "flip": bool(flipped) and not turned,
    }
    name = " and ".join(what for what, so in happened.items() if so) or "read"
    return ImageMap(name, size, (h, w), matrix, residual, flipped, wanted)


def _keeps_centres(drift: Any, near: float, parameters: Any) -> bool:
    low, high = drift.mean[:2], drift.mean[2:]
    return bool(np.abs(low + high).max() < near and np.abs(low).max() > near / 2)


_GRIDS = (
    Rule(
        "align_corners",
        _keeps_centres,
        "the image: resized with its corner pixels' centres kept in place (sampling grid 1, "
        "align_corners=True), so its edges are {x1_px:+.2f} to {x2_px:+.2f} px off in x. Fix: "
        "align_corners=False, or PIL's or OpenCV's bilinear resize",
    ),
)
