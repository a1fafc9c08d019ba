"""Differences to the reference arm, paired by seed, and their intervals across seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from d2align.evaluation.student_t import t_quantile

CONFIDENCE = 0.95


@dataclass(frozen=True)
class SeedDelta:
    """Differences of an arm to its reference, one for each seed that both have.

    Attributes:
        deltas: AP points, in the order of the seeds.
        mean: of the deltas.
        half_width: of the two-sided Student t interval of the mean; None with one seed, which
            says nothing about others.
    """

    deltas: tuple[float, ...]
    mean: float
    half_width: float | None

    def __str__(self) -> str:
        """Such as "-1.12 [-1.60, -0.64]"."""
        if not any(self.deltas):
            return "0 (no difference)"
        if self.half_width is None:
            return f"{self.mean:+.2f} (one seed: no interval)"
        low, high = self.mean - self.half_width, self.mean + self.half_width
        return f"{self.mean:+.2f} [{low:+.2f}, {high:+.2f}]"


def seed_delta(deltas: Sequence[float]) -> SeedDelta:
    """Return the mean of paired differences, with its 95 % interval across seeds.

    Args:
        deltas: one for each seed, at least one.
    """
    n, mean = len(deltas), math.fsum(deltas) / len(deltas)
    if n < 2:
        return SeedDelta(tuple(deltas), mean, None)
    variance = math.fsum((d - mean) ** 2 for d in deltas) / (n - 1)
    half_width = t_quantile(0.5 + CONFIDENCE / 2, n - 1) * math.sqrt(variance / n)
    return SeedDelta(tuple(deltas), mean, half_width)
