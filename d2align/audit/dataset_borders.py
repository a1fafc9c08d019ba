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
# Objects pile up on a border when so many there are less probable than this.
_PILED_BELOW = 0.01
# A value lies on a border within this many pixels (files keep one or two decimals).
_TOLERANCE = 0.05
# How far inside the border its surroundings reach, and how far outside it mistakes do.
_INSIDE, _OUTSIDE = 12.0, 2.0
# Mistakes that any data set may have: values beyond the border, per value near it ...
_STRAY = 0.02
# ... and objects that stop short of the border by a pixel, per object on it.
_SHORT = 0.3
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

    @property
    def chance(self) -> float:
        """How many values lie on a place like any other."""
        return self.density * (self.step or 2 * _TOLERANCE)

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


@dataclass(frozen=True)
class Borders:
    """What lies near the image borders, and the spans that such values can have."""

    begin: Counts
    end: Counts
    spans: tuple[Span, ...]


def count_borders(low: Floats, high: Floats, sizes: Floats) -> Borders:
    """Return what lies near the image borders.

    Args:
        low: (N,) where objects begin, pixels.
        high: (N,) where they end.
        sizes: (N,) the image's side.

    Returns:
        The counts at both borders; whole numbers leave out the spans of halves.
    """
    fractions = common_fraction(low), common_fraction(high)
    both = set(spans_of(fractions[0])) & set(spans_of(fractions[1]))
    return Borders(
        count_border(-low, fractions[0]),
        count_border(high - sizes, fractions[1]),
        tuple(span for span in SPANS if span in both),
    )


def doubts(borders: Borders) -> dict[str, float]:
    """Return for each span how probable the counts at the image borders would be under it.

    Args:
        borders: the counts.

    Returns:
        A p-value for each span that such values can have; 1 without objects near the borders.
    """
    lows, highs = {-s.low for s in borders.spans}, {s.high for s in borders.spans}
    return {
        s.name: min(_doubt(borders.begin, -s.low, lows), _doubt(borders.end, s.high, highs))
        for s in borders.spans
    }


def piled_up(borders: Borders) -> frozenset[str]:
    """Return the spans on both of whose borders objects pile up: what cutting them off does.

    That nothing lies beyond a border proves little: objects may keep away from it.

    Args:
        borders: the counts.

    Returns:
        Names of spans.
    """
    return frozenset(
        s.name
        for s in borders.spans
        if _piles_up(borders.begin, -s.low) and _piles_up(borders.end, s.high)
    )


def reached(borders: Borders) -> frozenset[str]:
    """Return the spans whose last pixels hold something; points are not cut off by a border.

    Args:
        borders: the counts.

    Returns:
        Names of spans.
    """
    return frozenset(
        s.name
        for s in borders.spans
        if borders.begin.within(-s.low - 0.5, -s.low) and borders.end.within(s.high - 0.5, s.high)
    )


def _piles_up(counts: Counts, border: float) -> bool:
    return at_least(counts.at(border), _DENSER * counts.chance) < _PILED_BELOW


def _doubt(counts: Counts, border: float, borders: set[float]) -> float:
    """The probability of the least probable thing about a border."""
    near, here = len(counts.gaps), counts.at(border)
    beyond = counts.within(border, border + _OUTSIDE)
    p = at_least(beyond, _STRAY * near)
    for rival in borders:
        if rival >= border:
            continue
        p = min(p, at_least(counts.at(rival), _DENSER * counts.chance + _SHORT * here))
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


def touching(borders: Borders) -> dict[str, int]:
    """Return how many objects begin or end on each possible border, for the record.

    Args:
        borders: the counts.

    Returns:
        Counts by words such as "begin at 0" and "end at size - 1"; none that are zero.
    """
    lows, highs = sorted({s.low for s in SPANS}), sorted({s.high for s in SPANS})
    found = {begin_name(low): borders.begin.at(-low) for low in lows}
    found.update({end_name(high): borders.end.at(high) for high in highs})
    return {name: count for name, count in found.items() if count}


def begin_name(low: float) -> str:
    """Return what counts call a near border, such as "begin at 0"."""
    return f"begin at {low:g}"


def end_name(high: float) -> str:
    """Return what counts call a far border, such as "end at size - 1"."""
    return f"end at size {'-' if high < 0 else '+'} {abs(high):g}" if high else "end at size"


def _doubles(*values: float) -> Sequence[torch.Tensor]:
    return [torch.tensor(value, dtype=torch.float64) for value in values]
