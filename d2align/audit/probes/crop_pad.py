"""Cropping and padding by pixels: is the last pixel in, how are fractions rounded?

Contracts:
    crop   fn(image, box) -> image, with a (4,) XYXY box, pixels
    pad    fn(image, (left, top, right, bottom)) -> image, with whole pixels
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from d2align.audit.guard import Guarded, ProbeFailure
from d2align.audit.probes.naming import conclude
from d2align.audit.record import Finding

_SIZE = (40, 51)
_WHOLE = ((5, 7, 29, 31), (11, 3, 40, 22))
_FRACTIONS = (0.2, 0.4, 0.6, 0.8)
_PAD = (3, 5, 2, 4)
_ROUNDINGS: dict[str, Callable[[float], float]] = {
    "floor": np.floor,
    "round": lambda v: float(np.floor(v + 0.5)),
    "ceil": np.ceil,
}

_CROP_WORDS = {
    "coordinates": "crops pixels x1 to x2 - 1: the box in coordinates, as d2align{rounds}",
    "inclusive": (
        "crops pixels x1 to x2, the last one too: 1 px wider than the box{rounds}. Fix: no + 1; a "
        "box in coordinates ends before pixel x2"
    ),
    "unknown": (
        "crops something else: {residual:.2f} px from the nearest rule ({nearest}); the first "
        "column is {first:.2f}, of a box at x1 = 5{rounds}"
    ),
}
_PAD_WORDS = {
    "exact": "puts the image at (left, top), as asked; the border is {border}",
    "unknown": (
        "does not put the image at (left, top): {residual:.2f} px off. Fix: check the order, which "
        "is left, top, right, bottom here"
    ),
}


def probe_crop(fn: Any, subject: str) -> Finding:
    """Measure fn(image, box); see the contract above.

    Args:
        fn: the crop.
        subject: its name.

    Returns:
        The finding.

    Raises:
        ProbeFailure: the function cannot be measured.
    """
    guarded = Guarded(fn)
    spans = [(edges, _span(guarded, np.array(edges, dtype=np.float64))) for edges in _WHOLE]
    residuals = {
        name: max(float(np.abs(np.subtract(got, np.add(box, extra))).max()) for box, got in spans)
        for name, extra in (("coordinates", (0, 0, 0, 0)), ("inclusive", (0, 0, 1, 1)))
    }
    roundings = _roundings(guarded)
    rounds = f"; fractions: {roundings}" if roundings else "; boxes with fractions raise"
    return conclude(
        "crop",
        subject,
        residuals,
        residuals["coordinates"],
        _CROP_WORDS,
        parameters={"rounds": rounds, "first": spans[0][1][0]},
        evidence={"spans": [list(got) for _, got in spans]},
    )


def probe_pad(fn: Any, subject: str) -> Finding:
    """Measure fn(image, (left, top, right, bottom)); as probe_crop."""
    guarded = Guarded(fn)
    left, top, right, bottom = _PAD
    h, w = _SIZE
    wide, tall = w + left + right, h + top + bottom
    # From right to left, so that a repeated edge is not black.
    x, y = (250 - guarded(250 - im, _PAD, shape=(tall, wide)) for im in _index_images())
    away = _moved_by(x / 5, y / 5)
    return conclude(
        "pad",
        subject,
        {"exact": away},
        away,
        _PAD_WORDS,
        parameters={"border": _border(x[top + h // 2, :left])},
        evidence={"row": (x[top + h // 2] / 5).tolist(), "left": left},
    )


def _index_images() -> tuple[np.ndarray, np.ndarray]:
    h, w = _SIZE
    y, x = np.mgrid[0:h, 0:w]
    return x * 5.0, y * 5.0


def _moved_by(x: np.ndarray, y: np.ndarray) -> float:
    """How far a padded image lies from (left, top), pixels, given the indices that it shows."""
    left, top, _, _ = _PAD
    h, w = _SIZE
    inside = (slice(top, top + h), slice(left, left + w))
    away = [x[inside] - np.arange(w), y[inside] - np.arange(h)[:, None]]
    move = [round(float(np.median(a))) for a in away]
    # Where the moved image is seen too, it must be whole.
    rows, columns = (
        slice(max(0, -m), side - max(0, m)) for m, side in zip(move[::-1], (h, w), strict=True)
    )
    seen = [np.abs(a[rows, columns] - m) for a, m in zip(away, move, strict=True)]
    if seen[0].size and max(a.max() for a in seen) < 0.01:
        return float(max(map(abs, move)))
    return float(max(np.abs(a).max() for a in away))


def _span(fn: Guarded, box: np.ndarray) -> tuple[float, float, float, float]:
    """The box of pixels that a crop shows, as coordinates of its edges."""
    x, y = (fn(image, box, shape=(None, None)) / 5 for image in _index_images())
    if x.size == 0:
        raise ProbeFailure(f"{fn.name} returned an empty image for the box {box.tolist()}")
    return float(x[0, 0]), float(y[0, 0]), float(x[0, -1]) + 1, float(y[-1, 0]) + 1


def _roundings(fn: Guarded) -> str:
    """How edges between pixels are rounded, such as "floor, ceil" for left and right."""
    names = []
    for edge in (0, 2):
        fit = set(_ROUNDINGS)
        for fraction in _FRACTIONS:
            box = np.array([10.0, 10.0, 30.0, 30.0])
            box[edge] += fraction
            try:
                got = _span(fn, box)[edge]
                extra = _span(fn, np.array([10.0, 10.0, 30.0, 30.0]))[edge] - (10, 0, 30)[edge]
            except ProbeFailure:
                return ""
            fit = {n for n in fit if abs(_ROUNDINGS[n](box[edge]) + extra - got) < 0.01}
        names.append(sorted(fit)[0] if fit else "sampled between pixels")
    return names[0] if names[0] == names[1] else f"{names[0]} on the left, {names[1]} on the right"


def _border(left: np.ndarray) -> str:
    """What fills three pixels on the left of a ramp 0, 5, 10, ..., 250."""
    if np.ptp(left) == 0 and left[0] != 0:
        return f"filled with {250 - left[0]:g}"
    for name, values in (
        ("the edge repeated", (0, 0, 0)),
        ("symmetric", (10, 5, 0)),
        ("reflect", (15, 10, 5)),
        ("wrap", (240, 245, 250)),
    ):
        if np.abs(left - values).max() < 0.01:
            return name
    return "unknown"
