"""How far a field lies from where it should be: its mean, its change with place, its scatter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from d2align.audit.pipeline.words import Words, explain
from d2align.audit.record import Finding

_EDGES = ("x1", "y1", "x2", "y2")
_POINT = ("x", "y")


@dataclass(frozen=True)
class Drift:
    """Where a field lies, less where it should lie, in pixels.

    Attributes:
        mean: (k,) of x, y or of x1, y1, x2, y2.
        slope: (2,) change of x with x and of y with y, pixels a pixel.
        error: the largest drift that mean and slope make at a place measured.
        scatter: the largest distance of a measurement from them.
        at_origin: (2,) the drift that mean and slope make at x = 0 and at y = 0.
    """

    mean: np.ndarray
    slope: np.ndarray
    error: float
    scatter: float
    at_origin: np.ndarray | None = None

    @property
    def x(self) -> float:
        """The mean along x."""
        return float(self.mean[0::2].mean())

    @property
    def y(self) -> float:
        """The mean along y."""
        return float(self.mean[1::2].mean())

    def numbers(self) -> dict[str, float]:
        """Return them by name."""
        names = _EDGES if len(self.mean) == 4 else _POINT
        found = {f"{n}_px": float(m) for n, m in zip(names, self.mean, strict=True)}
        found |= {"x_px": self.x, "y_px": self.y, "scatter_px": self.scatter}
        return {**found, "x_scale": float(self.slope[0]), "y_scale": float(self.slope[1])}


def measure_drift(expected: Sequence[Any], measured: Sequence[Any], noise: float = 0.0) -> Drift:
    """Compare places.

    Args:
        expected: (n, k) places, k of 2 (x, y) or 4 (x1, y1, x2, y2), pixels.
        measured: (n, k).
        noise: of one measurement, pixels; a change with place that is less does not count.

    Returns:
        The drift.
    """
    wanted, got = (np.asarray(a, dtype=np.float64) for a in (expected, measured))
    away = got - wanted
    mean, fitted, slopes = away.mean(axis=0), np.empty_like(away), np.zeros(2)
    origin = np.zeros(2)
    for axis in (0, 1):
        columns = slice(axis, None, 2)
        place = wanted[:, columns] - wanted[:, columns].mean(axis=0)
        spread = float((place**2).sum())
        rest = away[:, columns] - mean[columns]
        slopes[axis] = (place * rest).sum() / spread if spread > 1e-6 and len(wanted) > 2 else 0.0
        fitted[:, columns] = mean[columns] + slopes[axis] * place
        origin[axis] = (mean[columns] - slopes[axis] * wanted[:, columns].mean(axis=0)).mean()
    error, steady = float(np.abs(fitted).max()), float(np.abs(mean).max())
    if error - steady < noise:
        error = steady
    return Drift(mean, slopes, error, float(np.abs(away - fitted).max()), origin)


def find_drift(
    stage: str,
    field: str,
    drift: Drift,
    *,
    tolerance: float,
    scatter: float = 0.3,
    words: Words | None = None,
    parameters: dict[str, Any] | None = None,
) -> Finding:
    """Return the finding of a drift.

    Args:
        stage: of the pipeline.
        field: such as "boxes".
        drift: what was measured.
        tolerance: what the measurement can tell apart, pixels.
        scatter: more of it than this, and positions are rounded, pixels.
        words: further rules, tried first.
        parameters: numbers to keep beside those of the drift; "scale" is that of the resize, and
            "flipped" whether there was a flip.

    Returns:
        The finding; its error is 0 within the tolerance.
    """
    parameters = {**drift.numbers(), **(parameters or {}), "resolution_px": tolerance}
    rounded = drift.scatter > scatter
    fine = drift.error <= tolerance and not rounded
    error = 0.0 if fine else max(drift.error, drift.scatter if rounded else 0.0)
    convention, sentence = explain(stage, field, drift, tolerance, fine, rounded, parameters, words)
    return Finding(
        kind=stage,
        subject=f"{stage}: {field}",
        convention=convention,
        status="aligned" if fine else "deviates",
        sentence=sentence,
        error_px=error,
        residual_px=drift.scatter,
        parameters=parameters,
    )
