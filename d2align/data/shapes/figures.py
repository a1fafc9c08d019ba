"""The keypoint family: a symmetric figure that faces the viewer.

Convention: float (x, y), y down. The figure's own left is on the viewer's right, and both sides
are drawn from the same distribution with the same colours, so that a mirrored image with left
and right exchanged is a valid image again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .instances import Part, ellipse_arc, ellipse_polygon, rotated, scale_for
from .polygons import Coords

KEYPOINT_NAMES = (
    "nose",
    "left_eye",
    "right_eye",
    "left_hand",
    "right_hand",
    "left_foot",
    "right_foot",
)
KEYPOINT_FLIP_MAP = (
    ("left_eye", "right_eye"),
    ("left_hand", "right_hand"),
    ("left_foot", "right_foot"),
)
# for cfg.TEST.KEYPOINT_OKS_SIGMAS: about a dot's radius, over the square root of the area
KEYPOINT_OKS_SIGMAS = (0.04, 0.04, 0.04, 0.05, 0.05, 0.05, 0.05)

MAX_TILT_DEGREES = 25.0

_HEAD, _HEAD_RADIUS = np.array([0.0, -0.32]), 0.18
_SHOULDER, _ARM_LENGTH, _ARM_RADIUS = np.array([0.12, -0.07]), 0.30, 0.065
_HIP, _LEG_LENGTH, _LEG_RADIUS = np.array([0.075, 0.16]), 0.27, 0.06
_DOT_RADII = {"nose": 0.035, "eye": 0.035, "hand": 0.045, "foot": 0.045}


@dataclass(frozen=True)
class Figure:
    """A silhouette, the places of its keypoints, and the radius of the dot drawn at each."""

    outline: Coords
    keypoints: Coords
    radii: Coords

    @property
    def shape(self) -> tuple[Part, ...]:
        """The silhouette as a shape of one part."""
        return (Part(self.outline),)

    def scaled_to(self, side: float) -> Figure:
        """Scale so that the square root of the box area is ``side``."""
        scale = scale_for(self.shape, side)
        return Figure(self.outline * scale, self.keypoints * scale, self.radii * scale)

    def moved(self, offset: Coords) -> Figure:
        """Shift by ``offset`` (x, y)."""
        return Figure(self.outline + offset, self.keypoints + offset, self.radii)

    def dots(self) -> list[Coords]:
        """Return the outline of each dot: a polygon centred exactly on its keypoint."""
        circle = ellipse_polygon(24)
        return [
            point + radius * circle
            for point, radius in zip(self.keypoints, self.radii, strict=True)
        ]


@dataclass(frozen=True)
class _Side:
    """The viewer's right half of a figure: outline from head to crotch, hand and foot."""

    outline: Coords
    hand: Coords
    foot: Coords


def _limb_end(joint: Coords, angle: float, length: float, radius: float) -> tuple[Coords, Coords]:
    """The outline of a rounded limb, clockwise from its joint back to it, and its centre."""
    along = np.array([math.cos(angle), math.sin(angle)])
    across = np.array([along[1], -along[0]]) * radius
    centre = joint + length * along
    cap = rotated(ellipse_arc(-90, 90, 7), angle) * radius + centre
    return np.concatenate([[joint + across], cap, [joint - across]]), centre


def _side(rng: np.random.Generator) -> _Side:
    head = _HEAD + _HEAD_RADIUS * ellipse_arc(-85, 50, 10)
    arm_angle = math.radians(rng.uniform(-35.0, 40.0))
    leg_angle = math.radians(90.0 - rng.uniform(4.0, 30.0))
    arm, hand = _limb_end(_SHOULDER, arm_angle, _ARM_LENGTH, _ARM_RADIUS)
    leg, foot = _limb_end(_HIP, leg_angle, _LEG_LENGTH, _LEG_RADIUS)
    return _Side(np.concatenate([head, arm, leg]), hand, foot)


def random_figure(rng: np.random.Generator) -> Figure:
    """Draw a figure of height about one around the origin, tilted, with limbs placed at random.

    Convention: float (x, y), y down; left parts are on the viewer's right.

    Args:
        rng: the image's random generator.

    Returns:
        The figure, its keypoints in the order of ``KEYPOINT_NAMES``.
    """
    left, right = _side(rng), _side(rng)
    mirror = np.array([-1.0, 1.0])
    outline = np.concatenate([left.outline, (right.outline * mirror)[::-1]])
    eye, nose = np.array([0.07, -0.37]), np.array([0.0, -0.27])
    points = [nose, eye, eye * mirror, left.hand, right.hand * mirror]
    points += [left.foot, right.foot * mirror]
    radii = np.array([_DOT_RADII[name.split("_")[-1]] for name in KEYPOINT_NAMES])
    tilt = math.radians(rng.uniform(-MAX_TILT_DEGREES, MAX_TILT_DEGREES))
    return Figure(rotated(outline, tilt), rotated(np.array(points), tilt), radii)
