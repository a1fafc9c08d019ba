"""Point sampling: at which place does a function read the image for a point?

Contract: fn(image, points) -> (N,), with an (H, W) float64 image of 0..255 and (N, 2) points x, y
in pixels, integer corners. A function of unit coordinates is wrapped: it gets p / (W, H).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from d2align.audit.fit import Line, fit_rippled_line, fit_rounded_line
from d2align.audit.guard import Guarded
from d2align.audit.probes.naming import conclude
from d2align.audit.record import Finding

_SIDE = 52
_NAMED_PX = 0.01

_WORDS = {
    "corner": "reads the image at the point itself, integer corners, as d2align",
    "centre": (
        "takes points for indices, pixel 0 being centred on 0: it reads {error:.2f} px right of "
        "and below the point. Fix: subtract 0.5 (d2align.geometry.corners_to_centers)"
    ),
    "align_corners": (
        "stretches the image so that its corner pixels' centres lie on its corners "
        "(align_corners=True): up to {error:.2f} px off. Fix: align_corners=False"
    ),
    "half_pixel_twice": (
        "reads {error:.2f} px left of and above the point: half a pixel is subtracted twice. Fix: "
        "index = floor(coordinate), or subtract it once (d2align.geometry.corners_to_centers)"
    ),
    "unknown": (
        "follows no known rule: {residual:.2f} px from the nearest ({nearest}), up to {error:.2f} "
        "px from the point"
    ),
}
# Index positions that are read for a coordinate.
_RULES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "corner": lambda p: p - 0.5,
    "centre": lambda p: p,
    "align_corners": lambda p: p * (_SIDE - 1) / _SIDE,
    "half_pixel_twice": lambda p: p - 1.0,
}


def probe_sample_points(fn: Any, subject: str) -> Finding:
    """Measure fn(image, points); see the contract above.

    Args:
        fn: the sampling.
        subject: its name.

    Returns:
        The finding.

    Raises:
        ProbeFailure: the function cannot be measured.
    """
    guarded = Guarded(fn)
    coords = np.linspace(6.013, _SIDE - 6.017, 1501)
    lines, nearest = [], True
    for axis in (0, 1):
        line, copied = _read(guarded, coords, axis)
        lines.append(line)
        nearest &= copied
    ends = np.array([coords[0], coords[-1]])
    residuals = {
        name: max(float(np.abs(_at(line, ends, coords) - rule(ends)).max()) for line in lines)
        for name, rule in _RULES.items()
    }
    scatter = max(line.scatter for line in lines)
    if scatter > 0.15:
        residuals = {name: max(r, scatter) for name, r in residuals.items()}
    few = np.linspace(10, 12, 9)
    return conclude(
        "sample_points",
        subject,
        residuals,
        residuals["corner"],
        _WORDS,
        tolerance=_NAMED_PX,
        parameters={
            "kernel": "nearest" if nearest else "interpolated",
            "border": _border(guarded),
        },
        evidence={
            "points": few.tolist(),
            "positions": (_values(guarded, few, 0) / 5).tolist(),
        },
    )


def _read(fn: Guarded, coords: np.ndarray, axis: int) -> tuple[Line, bool]:
    positions = _values(fn, coords, axis) / 5
    copied = bool(np.abs(positions - np.round(positions)).max() < 1e-4)
    i = np.arange(len(coords))
    if copied:
        return fit_rounded_line(i, np.round(positions)), True
    return fit_rippled_line(i, positions), False


def _at(line: Line, where: np.ndarray, coords: np.ndarray) -> np.ndarray:
    return line.at((where - coords[0]) / (coords[1] - coords[0]))


def _values(fn: Guarded, coords: np.ndarray, axis: int) -> np.ndarray:
    """A ramp of steps of 5, read at points along one axis."""
    ramp = np.tile(np.arange(_SIDE) * 5.0, (_SIDE, 1))
    points = np.stack([coords, np.full_like(coords, _SIDE / 2)], axis=1)
    if axis == 1:
        ramp, points = ramp.T.copy(), points[:, ::-1].copy()
    return fn(ramp, points, shape=(len(coords),))


def _border(fn: Guarded) -> str:
    """What is read a pixel and a half outside a white image."""
    points = np.array([[-1.5, 20.0], [_SIDE + 1.5, 20.0]])
    out = fn(np.full((_SIDE, _SIDE), 255.0), points, shape=(2,))
    if out.min() > 254:
        return "the image continues"
    return "black" if out.max() < 1 else "mixed"
