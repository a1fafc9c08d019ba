"""Quantiles of Student's t distribution."""

from __future__ import annotations

import math
from statistics import NormalDist


def t_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's t distribution with integer degrees of freedom.

    Args:
        probability: between 0.5 and 1.
        degrees: degrees of freedom, at least 1.

    Returns:
        The t that the distribution stays below with this probability.
    """
    if degrees > 200:  # Cornish-Fisher; off by less than 1e-6 here
        z = NormalDist().inv_cdf(probability)
        first = (z**3 + z) / 4
        second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
        return z + first / degrees + second / degrees**2
    low, high = 0.0, math.pi / 2  # bisect the angle atan(t / sqrt(degrees))
    for _ in range(60):
        middle = (low + high) / 2
        if _t_two_sided(middle, degrees) < 2 * probability - 1:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan(low)


def _t_two_sided(angle: float, degrees: int) -> float:
    """P(abs(t) < sqrt(degrees) * tan(angle)), a finite sum for integer degrees."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = 0.0
    for power in range(1 + odd, degrees, 2):
        total += term
        term *= cosine**2 * power / (power + 1)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
