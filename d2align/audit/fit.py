"""Lines through measured positions: smooth ones, and ones that were rounded to whole pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

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
    i, index = _hull(i, index)
    low, high = guess - reach, guess + reach
    # The slack is a concave function of the stride.
    stride = _largest(lambda s: _slack(i, index, s)[0], low, high)
    slack, centre = _slack(i, index, stride)
    line = Line(centre, stride, max(0.0, -slack / 2))
    doubt = _doubt(i, index, line, reach) if slack > 0 else 0.0
    return Line(centre - stride * middle, stride, line.scatter, doubt)


def _hull(i: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The few points that bound all others from above or below; no line minds the rest."""
    order = np.argsort(i, kind="stable")
    points = list(zip(i[order].tolist(), index[order].tolist(), strict=True))
    kept: list[tuple[float, float]] = []
    for sign in (1.0, -1.0):
        chain: list[tuple[float, float]] = []
        for x, y in points:
            while len(chain) > 1 and sign * _cross(chain[-2], chain[-1], (x, y)) >= 0:
                chain.pop()
            chain.append((x, y))
        kept += chain
    hull = np.array(kept)
    return hull[:, 0], hull[:, 1]


def _cross(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    """Above 0 if a, b, c turn to the left."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _doubt(i: np.ndarray, index: np.ndarray, line: Line, reach: float) -> float:
    """How far the ends of other lines that fit lie from those of the line, at most.

    All lines that fit make a convex set: the strides are an interval, and the highest and lowest
    place of an end are concave and convex functions of the stride.
    """
    low = line.stride - _turn(i, index, line.stride, -reach)
    high = line.stride + _turn(i, index, line.stride, reach)

    def highest(end: float, sign: float, stride: float) -> float:
        slack, centre = _slack(i, index, stride)
        return sign * (centre + stride * end) + slack / 2

    doubt = 0.0
    for end in (float(i.min()), float(i.max())):
        for sign in (1.0, -1.0):
            place = partial(highest, end, sign)
            best = max(place(s) for s in (low, high, _largest(place, low, high)))
            doubt = max(doubt, best - sign * float(line.at(end)))
    return doubt


def _largest(f: Callable[[float], float], low: float, high: float) -> float:
    """Return where a concave function is largest, by ternary search."""
    for _ in range(80):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        if f(a) < f(b):
            low = a
        else:
            high = b
    return (low + high) / 2


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
