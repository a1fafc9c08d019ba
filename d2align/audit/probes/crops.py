"""Where a function that crops and resizes a box samples its image, one axis at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from d2align.audit.fit import Line, fit_rippled_line, fit_rounded_line
from d2align.audit.guard import ProbeFailure

# A ramp of 52 pixels has steps of 5 in 0..255.
SIDE, _SLOPE = 52, 5.0


@dataclass(frozen=True)
class Crop:
    """The index positions that k output samples of one box read along one axis.

    Attributes:
        low: the box's left or upper edge, pixels.
        high: its right or lower edge.
        line: through the positions.
        positions: (k,) as measured.
        inner: (k,) bool, so far inside the box that no rule at its edges acts.
        nearest: whether pixels are copied.
        gain: how far the sum of the weights is from 1.
    """

    low: float
    high: float
    line: Line
    positions: np.ndarray
    inner: np.ndarray
    nearest: bool
    gain: float

    @property
    def edges(self) -> tuple[float, float]:
        """The box that was really cropped: sampled on grid 2, it would read these positions."""
        k = len(self.positions)
        low = self.line.at(-0.5) + 0.5
        return float(low), float(low + self.line.stride * k)


def measure_crop(
    values: Callable[[np.ndarray], np.ndarray], low: float, high: float, name: str
) -> Crop:
    """Measure one axis of one crop.

    Args:
        values: takes a signal of SIDE pixels along the axis, and returns the (k,) samples.
        low: the box's lower edge along it, pixels.
        high: its upper edge.
        name: of the function, for messages.

    Returns:
        The crop.

    Raises:
        ProbeFailure: white is cropped as black.
    """
    gain = values(np.full(SIDE, 255.0)) / 255
    if np.abs(gain).min() < 1e-3:
        raise ProbeFailure(f"{name} turns a white image black inside the box {low}..{high}")
    ramp = values(np.arange(SIDE) * _SLOPE) / _SLOPE
    k, positions = len(ramp), ramp / gain
    cell = (high - low) / k
    from_edge = np.minimum(np.arange(k) + 0.5, k - np.arange(k) - 0.5) * cell
    inner = from_edge >= 0.5 + 1.5 * max(1.0, cell)
    if inner.sum() < 3:
        inner[:] = True
    nearest = bool(np.abs(ramp - np.round(ramp))[inner].max() < 1e-4)
    j, seen = np.arange(k)[inner], positions[inner]
    line = fit_rounded_line(j, np.round(seen)) if nearest else fit_rippled_line(j, seen)
    return Crop(low, high, line, positions, inner, nearest, float(np.abs(gain - 1).max()))
