"""From where to where do coordinates run? What image borders tell of a data set's convention.

Objects that the image border cuts off end exactly on it, and nothing lies beyond. So each span
below says where values pile up and where there must be none, and is given up once the counts
are too improbable for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from d2align.audit.dataset_read import Floats

# A span is given up when what was counted is less probable than this.
REJECT_BELOW = 1e-4
# A value lies on a border within this many pixels (files keep one or two decimals).
_TOLERANCE = 0.05
# How far inside the border its surroundings reach, and how far outside it mistakes do.
_INSIDE, _OUTSIDE = 12.0, 2.0
# Mistakes that any data set may have: values beyond the border, per value near it ...
_STRAY = 0.02
# ... and objects that stop short of the border by a pixel, per object on it.
_SHORT = 0.2
# One or two strays prove nothing, however few were expected.
_SMALLEST = 0.05
# Values at a pixel from the border may be denser than farther inside by this factor ...
_DENSER = 1.5
# ... and those in the last pixel sparser than in the one before it.
_SPARSER = 3.0


@dataclass(frozen=True)
class Span:
    """Where coordinates of a convention run: from ``low`` to the image size + ``high``."""

    name: str
    low: float
    high: float


SPANS = (
    Span("corners", 0.0, 0.0),
    Span("indices", 0.0, -1.0),
    Span("centres", -0.5, -0.5),
    Span("one_based", 1.0, 0.0),
    Span("one_based_edges", 1.0, 1.0),
    Span("pixel_centres", 0.5, -0.5),
)


@dataclass(frozen=True)
class Counts:
    """One border's surroundings: how far values lie outside the nominal border.

    Attributes:
        gaps: those near it, positive outside: -x, or x less the image's width.
        step: the distance between possible values: 1 for whole numbers, else 0.
        density: values for each pixel farther inside.
    """

    gaps: Floats
    step: float
    density: float

    def at(self, border: float) -> int:
        """How many values lie on a border."""
        return int((np.abs(self.gaps - border) <= _TOLERANCE).sum())

    def within(self, low: float, high: float) -> int:
        """How many values lie above ``low`` and up to ``high``, each with the tolerance."""
        above = self.gaps > low + _TOLERANCE
        return int((above & (self.gaps <= high + _TOLERANCE)).sum())


def spans_of(fraction: float | None) -> tuple[Span, ...]:
    """Return the spans that values of a common fraction can have.

    Args:
        fraction: 0.0 for whole numbers, 0.5 for halves, None for any.

    Returns:
        Those of SPANS.
    """
    if fraction is None:
        return SPANS
    return tuple(span for span in SPANS if (span.low - fraction) % 1 == 0)


def common_fraction(values: Floats) -> float | None:
    """Return 0.0 if practically all values are whole numbers, 0.5 if halves, else None."""
    fractions = np.mod(values, 1.0)
    for fraction in (0.0, 0.5):
        apart = np.abs(fractions - fraction)
        if len(values) and (np.minimum(apart, 1 - apart) < 1e-6).mean() >= 0.98:
            return fraction
    return None


def count_border(gaps: Floats, fraction: float | None) -> Counts:
    """Return what lies near a border.

    Args:
        gaps: how far each value lies outside the nominal border, pixels.
        fraction: of ``common_fraction``.

    Returns:
        The counts.
    """
    near = gaps[(gaps >= -_INSIDE) & (gaps <= _OUTSIDE + 1)]
    density = (near < -2.0 + _TOLERANCE).sum() / (_INSIDE - 2.0)
    return Counts(near, 0.0 if fraction is None else 1.0, float(density))


def doubts(low: Floats, high: Floats, sizes: Floats) -> dict[str, float]:
    """Return for each span how probable the counts at the image borders would be under it.

    Args:
        low: (N,) where objects begin, pixels.
        high: (N,) where they end.
        sizes: (N,) the image's side.

    Returns:
        A p-value for each span that such values can have; 1 without objects near the borders.
    """
    fractions = common_fraction(low), common_fraction(high)
    begin = count_border(-low, fractions[0])
    end = count_border(high - sizes, fractions[1])
    both = set(spans_of(fractions[0])) & set(spans_of(fractions[1]))
    spans = [span for span in SPANS if span in both]
    low_borders, high_borders = {-s.low for s in spans}, {s.high for s in spans}
    return {
        s.name: min(_doubt(begin, -s.low, low_borders), _doubt(end, s.high, high_borders))
        for s in spans
    }


def _doubt(counts: Counts, border: float, borders: set[float]) -> float:
    """The probability of the least probable thing about a border."""
    near, here = len(counts.gaps), counts.at(border)
    beyond = counts.within(border, border + _OUTSIDE)
    p = at_least(beyond, _STRAY * near)
    for rival in borders:
        if rival >= border:
            continue
        chance = counts.density * (counts.step or 2 * _TOLERANCE)
        p = min(p, at_least(counts.at(rival), _DENSER * chance + _SHORT * here))
        # Whole numbers made by rounding reach the outermost one half as often.
        room = (border - rival) * (0.5 if counts.step else 1.0)
        before = counts.within(rival - 1, rival)
        p = min(p, at_most(counts.within(rival, border), before * room / _SPARSER))
    return p


def at_least(count: int, expected: float) -> float:
    """Return the probability of so many events or more, where ``expected`` are (Poisson)."""
    if count == 0:
        return 1.0
    shape, mean = _doubles(count, max(expected, _SMALLEST))
    return float(torch.special.gammainc(shape, mean))


def at_most(count: int, expected: float) -> float:
    """Return the probability of so many events or fewer, where ``expected`` are (Poisson)."""
    if expected <= 0:
        return 1.0
    shape, mean = _doubles(count + 1, expected)
    return float(torch.special.gammaincc(shape, mean))


def beyond_errors(estimate: float, truth: float, error: float) -> float:
    """Return the probability of an estimate as far from the truth (normal, two-sided)."""
    return math.erfc(abs(estimate - truth) / (error * math.sqrt(2)))


def survivors(p: dict[str, float]) -> list[str]:
    """Return the spans that are not given up."""
    return [name for name, value in p.items() if value >= REJECT_BELOW]


def touching(low: Floats, high: Floats, sizes: Floats) -> dict[str, int]:
    """Return how many objects begin or end on each possible border, for the record.

    Args:
        low: (N,) where objects begin, pixels.
        high: (N,) where they end.
        sizes: (N,) the image's side.

    Returns:
        Counts by words such as "begin at 0" and "end at size - 1"; none that are zero.
    """
    begin, end = count_border(-low, None), count_border(high - sizes, None)
    found = {f"begin at {s:g}": begin.at(-s) for s in sorted({s.low for s in SPANS})}
    for s in sorted({s.high for s in SPANS}):
        found["end at size" + (f" {'-' if s < 0 else '+'} {abs(s):g}" if s else "")] = end.at(s)
    return {name: count for name, count in found.items() if count}


def _doubles(*values: float) -> Sequence[torch.Tensor]:
    return [torch.tensor(value, dtype=torch.float64) for value in values]
