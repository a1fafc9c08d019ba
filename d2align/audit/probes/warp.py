"""Affine warps and rotations of images: where is the origin, and which way does the matrix go?

Contracts:
    warp_affine   fn(image, matrix, (h, w)) -> (h, w), with a (2, 3) matrix of x and y
    rotate        fn(image, degrees) -> an image of the same size

Soft discs at known places show the map that the image really undergoes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from d2align.audit.guard import Guarded, ProbeFailure
from d2align.audit.probes.blobs import apply_affine, centre_of, disc, fit_affine
from d2align.audit.probes.naming import conclude
from d2align.audit.record import Finding

_SIZE = (84, 96)
_PLACES = np.array(
    [(48.0, 42.0), (36.3, 40.8), (60.7, 31.2), (44.5, 55.6), (55.1, 50.4), (39.9, 29.7)]
)
# Enlargements, a shrink, a turn, a shear and shifts by fractions, about the middle of the image.
_LINEAR = (
    ((1.3, 0.0), (0.0, 1.2)),
    ((0.8, 0.0), (0.0, 0.85)),
    ((0.955, -0.296), (0.296, 0.955)),
    ((1.0, 0.2), (-0.1, 1.1)),
)
_SHIFTS = ((1.3, -2.6), (0.0, 0.0), (-1.75, 2.25), (0.5, 0.5))
_NAMED_PX = 0.02
_ANGLES = (30.0, -75.0, 90.0)

_WARP_WORDS = {
    "corner": "the matrix maps source to destination coordinates, integer corners, as d2align",
    "centre": (
        "the matrix maps indices, pixel 0 being centred on 0: with a matrix of coordinates the "
        "image lands up to {error:.2f} px off. Fix: d2align.geometry.affine_to_cv2(matrix)"
    ),
    "align_corners": (
        "stretches both images so that their corner pixels' centres lie on their corners "
        "(align_corners=True): up to {error:.2f} px off. Fix: align_corners=False"
    ),
    "corner_inverse": (
        "the matrix maps destination to source coordinates. Fix: give it the inverse matrix"
    ),
    "centre_inverse": (
        "the matrix maps destination to source indices. Fix: give it the inverse of "
        "d2align.geometry.affine_to_cv2(matrix)"
    ),
    "unknown": (
        "follows no known rule: {residual:.2f} px from the nearest ({nearest}), up to {error:.2f} "
        "px from the matrix's own map of coordinates"
    ),
}
_ROTATE_WORDS = {
    "centre_of_image": "turns about the middle of the image, ({centre_x:.2f}, {centre_y:.2f})",
    "half_pixel_centre": (
        "turns about ({centre_x:.2f}, {centre_y:.2f}), half a pixel right of and below the middle "
        "of the image: W / 2 was given as an index. Fix: turn about ((W - 1) / 2, (H - 1) / 2)"
    ),
    "unknown": (
        "does not turn about the middle of the image: its centre is ({centre_x:.2f}, "
        "{centre_y:.2f}), up to {error:.2f} px off; as a rotation it is {residual:.2f} px off"
    ),
}


def probe_warp_affine(fn: Any, subject: str) -> Finding:
    """Measure fn(image, matrix, (h, w)); see the contract above.

    Args:
        fn: the warp.
        subject: its name.

    Returns:
        The finding; its error is in pixels of the result.

    Raises:
        ProbeFailure: the function cannot be measured.
    """
    guarded = Guarded(fn)
    matrices = [_about_the_middle(a, t) for a, t in zip(_LINEAR, _SHIFTS, strict=True)]
    residuals = dict.fromkeys(_WARP_RULES, 0.0)
    got = []
    for matrix in matrices:
        measured, left = _measure(lambda image, m=matrix: guarded(image, m, _SIZE, shape=_SIZE))
        got.append(measured.tolist())
        for name, rule in _WARP_RULES.items():
            away = np.abs(apply_affine(measured, _PLACES) - apply_affine(rule(matrix), _PLACES))
            residuals[name] = max(residuals[name], float(away.max()), left)
    return conclude(
        "warp_affine",
        subject,
        residuals,
        residuals["corner"],
        _WARP_WORDS,
        tolerance=_NAMED_PX,
        evidence={"asked": [m.tolist() for m in matrices], "measured": got},
    )


def probe_rotate(fn: Any, subject: str) -> Finding:
    """Measure fn(image, degrees); as probe_warp_affine."""
    guarded = Guarded(fn)
    middle = np.array(_SIZE[::-1]) / 2
    centres, sign, left = [], 0.0, 0.0
    for angle in _ANGLES:
        measured, scatter = _measure(lambda image, a=angle: guarded(image, a, shape=_SIZE))
        linear = measured[:, :2]
        if np.abs(linear - np.eye(2)).max() < 0.01:
            raise ProbeFailure(f"{guarded.name} does not turn the image when asked for {angle:g}")
        turned = float(np.degrees(np.arctan2(linear[1, 0], linear[0, 0])))
        sign = 1.0 if abs(turned - angle) < abs(turned + angle) else -1.0
        c, s = np.cos(np.radians(sign * angle)), np.sin(np.radians(sign * angle))
        left = max(left, scatter, 20 * float(np.abs(linear - [[c, -s], [s, c]]).max()))
        centres.append(np.linalg.solve(np.eye(2) - linear, measured[:, 2]))
    centre = np.mean(centres, axis=0)
    residuals = {
        name: max(left, float(np.abs(np.array(centres) - middle - extra).max()))
        for name, extra in (("centre_of_image", 0.0), ("half_pixel_centre", 0.5))
    }
    return conclude(
        "rotate",
        subject,
        residuals,
        float(np.abs(np.array(centres) - middle).max()),
        _ROTATE_WORDS,
        tolerance=_NAMED_PX,
        parameters={
            "centre_x": centre[0],
            "centre_y": centre[1],
            "direction": "clockwise" if sign > 0 else "counter-clockwise",
        },
        evidence={"centres": [c.tolist() for c in centres]},
    )


def _measure(fn: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, float]:
    """The affine map of coordinates that an image undergoes, and what it leaves unexplained."""
    seen, places = [], []
    for place in _PLACES:
        centre = centre_of(fn(disc(_SIZE, place)))
        if centre is not None:
            seen.append(centre)
            places.append(place)
    if len(seen) < 4:
        raise ProbeFailure("it moves the middle of the image out of sight, or cuts it off")
    return fit_affine(np.array(places), np.array(seen))


def _about_the_middle(linear: Any, shift: tuple[float, float]) -> np.ndarray:
    middle = np.array(_SIZE[::-1]) / 2
    a = np.array(linear)
    return np.column_stack([a, middle - a @ middle + shift])


def _inverse(matrix: np.ndarray) -> np.ndarray:
    a = np.linalg.inv(matrix[:, :2])
    return np.column_stack([a, -a @ matrix[:, 2]])


def _of_indices(matrix: np.ndarray) -> np.ndarray:
    """The map of coordinates that a matrix of indices makes."""
    a, half = matrix[:, :2], np.full(2, 0.5)
    return np.column_stack([a, matrix[:, 2] + half - a @ half])


def _stretched(matrix: np.ndarray) -> np.ndarray:
    """The map of coordinates that a matrix makes if unit coordinates end on pixels' centres."""
    sides = np.array(_SIZE[::-1], dtype=np.float64)
    shrink = (sides - 1) / sides
    a = shrink[:, None] * matrix[:, :2] / shrink[None, :]
    return np.column_stack([a, shrink * matrix[:, 2] + 0.5 - a @ np.full(2, 0.5)])


_WARP_RULES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "corner": lambda m: m,
    "centre": _of_indices,
    "align_corners": _stretched,
    "corner_inverse": _inverse,
    "centre_inverse": lambda m: _of_indices(_inverse(m)),
}
