"""Names for what a resize samples: the article's grids, and the rules of nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from d2align.audit.probes.resize_sampling import Sampling

GRIDS = ("half_pixel", "align_corners", "asymmetric")
ROUNDINGS = ("round", "floor", "ceil")
POOLINGS = ("adaptive pooling", "box of whole pixels")
# floor(p) is the pixel nearest to p - 1/2.
_BIAS = {"floor": -0.5, "ceil": 0.5}
# A line within this of a grid's, in input pixels, is on that grid; the second if values are
# rounded.
NAMED_PX, ROUNDED_PX = 0.01, 0.05
# Measurements this far off their line, in input pixels, are no grid's at all. The worst kernel
# that is sound (cubic, -0.75) leaves a ramp by 0.09.
SCATTER_PX, ROUNDED_SCATTER_PX = 0.15, 0.25
# A position this near a rule's limit may fall to either side by rounding of floats.
_LIMIT_PX = 1e-4


@dataclass(frozen=True)
class Match:
    """The rule that comes nearest to the measurements.

    Attributes:
        grid: one of GRIDS.
        step: "sizes" (input size / output size) or "scale" (1 / the scale asked for).
        rounding: for nearest, one of ROUNDINGS; for averages of whole pixels, one of POOLINGS;
            "" for interpolation.
        residual_px: how far the measurements are from the rule, input pixels (interpolation), or
            the share of pixels that it gets wrong (nearest).
        ties: which pixel wins at equal distance: "up", "down", "even", "odd", "mixed", or
            "untested".
    """

    grid: str
    step: str
    rounding: str
    residual_px: float
    ties: str = "untested"

    @property
    def name(self) -> str:
        """The convention's name: the grid, and the rounding if it is not to the nearest."""
        return f"{self.grid}_{self.rounding}" if self.rounding in _BIAS else self.grid

    def positions(self, s: Sampling) -> np.ndarray:
        """Return the (m,) positions it samples, input pixels, before rounding to the nearest."""
        at = grid_positions(self.grid, s.in_size, s.out_size, s.steps[self.step])
        return at + _BIAS.get(self.rounding, 0.0)


def grid_positions(grid: str, n: int, m: int, step: float) -> np.ndarray:
    """Return the (m,) index positions that a grid samples.

    Args:
        grid: one of GRIDS.
        n: input size.
        m: output size.
        step: distance between samples, input pixels; grid 1 has its own.

    Returns:
        (m,) float64.
    """
    j = np.arange(m, dtype=np.float64)
    if grid == "half_pixel":
        return (j + 0.5) * step - 0.5
    if grid == "asymmetric":
        return j * step
    return j * ((n - 1) / max(m - 1, 1))


def nearest_grid(samplings: Sequence[Sampling]) -> Match:
    """Return the grid nearest to interpolated samplings, with the largest distance from it."""
    best = None
    for grid in GRIDS:
        for step in samplings[0].steps:
            residual = max(_line_distance(s, grid, step).max() for s in samplings)
            if best is None or residual < best.residual_px - 1e-9:
                best = Match(grid, step, "", float(residual))
    assert best is not None
    return best


def _line_distance(s: Sampling, grid: str, step: str) -> np.ndarray:
    """Between the fitted line and a grid, input pixels, at the inner pixels."""
    wanted = grid_positions(grid, s.in_size, s.out_size, s.steps[step])
    return np.abs(s.line.at(np.arange(s.out_size)) - wanted)[s.inner]


def pooled_rule(samplings: Sequence[Sampling]) -> Match | None:
    """Return the rule of a resize that averages whole pixels around grid 2, if it is one.

    Such averages lie up to half a pixel off the grid, to both sides alike.

    Args:
        samplings: of one axis.

    Returns:
        The rule, or None.
    """
    for rule in POOLINGS:
        if all(_is_pooled(s, rule) for s in samplings):
            return Match("half_pixel", "sizes", rule, 0.0)
    return None


def _is_pooled(s: Sampling, rule: str) -> bool:
    j = np.arange(s.out_size)
    if rule == "adaptive pooling":
        first, last = np.floor(j * s.ratio + 1e-9), np.ceil((j + 1) * s.ratio - 1e-9) - 1
    else:
        half = max(1.0, s.ratio) / 2
        centre = (j + 0.5) * s.ratio - 0.5
        first, last = np.floor(centre - half) + 1, np.floor(centre + half)
    right = np.abs(s.positions - (first + last) / 2) < 1e-3
    return float(right[s.inner].mean()) > 0.95


def nearest_rule(samplings: Sequence[Sampling], at_ties: Sequence[Sampling]) -> Match:
    """Return the rule that gets the fewest pixels of a nearest resize wrong.

    Args:
        samplings: of one axis.
        at_ties: more of them, with exact ties; these say which pixel wins.

    Returns:
        The rule.
    """
    best = None
    every = [*samplings, *at_ties]
    for grid in GRIDS:
        for rounding in ROUNDINGS:
            for step in samplings[0].steps:
                wrong = [_mistakes(s, grid, step, rounding) for s in every]
                share = sum(w for w, _ in wrong) / sum(t for _, t in wrong)
                if best is None or share < best.residual_px:
                    ties = _ties(at_ties, grid, step) if rounding == "round" else "untested"
                    best = Match(grid, step, rounding, share, ties)
    assert best is not None
    return best


def _mistakes(s: Sampling, grid: str, step: str, rounding: str) -> tuple[int, int]:
    """How many pixels a rule gets wrong, and of how many; near a limit both sides are right."""
    wanted = grid_positions(grid, s.in_size, s.out_size, s.steps[step])
    low, high = (_rounded(wanted + d, rounding, s.in_size) for d in (-_LIMIT_PX, _LIMIT_PX))
    seen = np.isfinite(s.positions)
    got = s.positions[seen]
    wrong = (np.abs(got - low[seen]) > 0.1) & (np.abs(got - high[seen]) > 0.1)
    return int(wrong.sum()), int(seen.sum())


def _rounded(positions: np.ndarray, rounding: str, n: int) -> np.ndarray:
    rule = {"round": lambda p: np.floor(p + 0.5), "floor": np.floor, "ceil": np.ceil}[rounding]
    return np.clip(rule(positions), 0, n - 1)


def _ties(samplings: Sequence[Sampling], grid: str, step: str) -> str:
    """Which neighbour wins where a position is half-way between two."""
    ups: list[bool] = []
    lower_is_odd: list[bool] = []
    for s in samplings:
        wanted = grid_positions(grid, s.in_size, s.out_size, s.steps[step])
        low = np.floor(wanted)
        tie = np.abs(wanted - low - 0.5) < _LIMIT_PX
        tie &= (low >= 0) & (low < s.in_size - 1) & np.isfinite(s.positions)
        ups += list(s.positions[tie] > low[tie] + 0.5)
        lower_is_odd += list(low[tie] % 2 == 1)
    if not ups:
        return "untested"
    up, odd = np.array(ups), np.array(lower_is_odd)
    shares = {
        "up": np.mean(up),
        "down": np.mean(~up),
        "even": np.mean(up == odd),
        "odd": np.mean(up != odd),
    }
    name, share = max(shares.items(), key=lambda item: item[1])
    return name if share > 0.97 else f"mostly {name}" if share > 0.9 else "mixed"
