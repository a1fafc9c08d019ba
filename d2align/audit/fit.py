"""Lines through measured positions: smooth ones, and ones that were rounded to whole pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

_HARMONICS = 5
_ROUNDS = 4


@dataclass(frozen=True)
class Line:
    """position = offset + stride * i, and how far the measurements lie from it.

    Attributes:
        offset: position of i = 0.
        stride: distance between neighbours.
        scatter: the largest distance of a measurement from the line; for rounded positions, of
            what no line explains (0 if some line rounds to exactly these).
        doubt: for rounded positions, by how much the ends of other lines that fit differ.
    """

    offset: float
    stride: float
    scatter: float
    doubt: float = 0.0

    def at(self, i: ArrayLike) -> np.ndarray:
        """Return the positions at indices i."""
        return self.offset + self.stride * np.asarray(i, dtype=np.float64)


def fit_line(i: ArrayLike, position: ArrayLike) -> Line:
    """Fit a line to smooth measurements, by least squares with outliers left out.

    Args:
        i: (n,) indices, at least two of them different.
        position: (n,) measurements.

    Returns:
        The line; its scatter covers all measurements, outliers too.
    """
    i, position = np.asarray(i, dtype=np.float64), np.asarray(position, dtype=np.float64)
    keep = np.ones(len(i), dtype=bool)
    for _ in range(5):
        stride, offset = np.polyfit(i[keep], position[keep], 1)
        away = np.abs(position - offset - stride * i)
        # 3.5 robust standard deviations, and never more than half of the measurements.
        limit = max(3.5 * 1.4826 * float(np.median(away)), 1e-9)
        closer = away <= limit
        if (closer == keep).all() or len(np.unique(i[closer])) < 2:
            break
        keep = closer
    return Line(float(offset), float(stride), float(away.max()))


def fit_rippled_line(i: ArrayLike, position: ArrayLike) -> Line:
    """Fit a line to positions that a symmetric kernel was used to measure.

    Most kernels leave a ramp by a ripple that depends on the position between two pixels alone,
    and is odd about pixels and half-way points. It is fitted beside the line, as sines.

    Args:
        i: (n,) indices.
        position: (n,) measurements.

    Returns:
        The line; its scatter is what neither line nor ripple explains.
    """
    i, position = np.asarray(i, dtype=np.float64), np.asarray(position, dtype=np.float64)
    line = fit_line(i, position)
    for _ in range(_ROUNDS):
        phase = 2 * np.pi * line.at(i)
        waves = [np.sin(k * phase) for k in _separable(line.stride, len(i))]
        columns = [np.ones_like(i), i, *waves]
        design = np.stack(columns, axis=1)
        solution = np.linalg.lstsq(design, position, rcond=None)[0]
        scatter = float(np.abs(position - design @ solution).max())
        line = Line(float(solution[0]), float(solution[1]), scatter)
    return line


def _separable(stride: float, count: int) -> list[int]:
    """The harmonics of a ripple that look neither like a line nor like one another."""
    kept: dict[int, float] = {}
    for k in range(1, min(_HARMONICS, (count - 2) // 3) + 1):
        cycles = abs(k * stride - round(k * stride)) * count
        if cycles > 1.5 and all(abs(cycles - other) > 1.0 for other in kept.values()):
            kept[k] = cycles
    return list(kept)


def fit_rounded_line(i: ArrayLike, index: ArrayLike) -> Line:
    """Fit the line whose nearest whole numbers are the measurements.

    Every measurement k at i says k - 1/2 <= offset + stride * i <= k + 1/2. Among the lines that
    obey all, the one farthest from every limit is taken.

    Args:
        i: (n,) indices, at least two of them different.
        index: (n,) whole numbers.

    Returns:
        The line.
    """
    i, index = np.asarray(i, dtype=np.float64), np.asarray(index, dtype=np.float64)
    middle = i.mean()
    i = i - middle
    guess = float(np.polyfit(i, index, 1)[0])
    reach = 2.0 / max(float(np.ptp(i)), 1.0)
    low, high = guess - reach, guess + reach
    # The slack is a concave function of the stride.
    for _ in range(80):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        if _slack(i, index, a)[0] < _slack(i, index, b)[0]:
            low = a
        else:
            high = b
    stride = (low + high) / 2
    slack, centre = _slack(i, index, stride)
    turn = max(_turn(i, index, stride, sign * reach) for sign in (-1, 1))
    doubt = max(slack, 0.0) / 2 + turn * float(np.ptp(i)) / 2
    return Line(centre - stride * middle, stride, max(0.0, -slack / 2), doubt)


def _turn(i: np.ndarray, index: np.ndarray, stride: float, reach: float) -> float:
    """By how much the stride can change in one direction before no offset fits."""
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        if _slack(i, index, stride + middle * reach)[0] >= 0:
            low = middle
        else:
            high = middle
    return low * abs(reach)


def _slack(i: np.ndarray, index: np.ndarray, stride: float) -> tuple[float, float]:
    """How much the offset can move at a stride (negative: no offset fits), and its middle."""
    rest = index - stride * i
    low, high = float(rest.max() - 0.5), float(rest.min() + 0.5)
    return high - low, (low + high) / 2
