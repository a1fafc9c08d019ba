"""A function with a fault of known size, and what an audit got wrong about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

Rng = np.random.Generator


@dataclass(frozen=True)
class Planted:
    """A function, the rule that an audit must name, and what it must measure.

    The error and the numbers of ``measured`` must be met to within ``tolerance_px``; ``says`` are
    words among the parameters.
    """

    kind: str
    fn: Any
    convention: str
    error_px: float | None
    measured: dict[str, float] = field(default_factory=dict)
    tolerance_px: float = 0.01
    says: dict[str, str] = field(default_factory=dict)

    def faults(self, finding: Any) -> list[str]:
        """Return what a finding gets wrong; nothing, if it is right."""
        if finding.convention != self.convention:
            return [f"{finding.convention}, not {self.convention}: {finding.sentence}"]
        if self.convention == "unknown" and not finding.residual_px > 0.01:
            return [f"unknown with a residual of {finding.residual_px} px"]
        wrong = [
            f"{name} is {finding.parameters[name]}, not {value}"
            for name, value in self.says.items()
            if finding.parameters[name] != value
        ]
        if self.miss(finding) > self.tolerance_px:
            wrong.append(f"{self.miss(finding):.4f} px off {self.error_px}, {self.measured}")
        return wrong

    def miss(self, finding: Any) -> float:
        """Return by how much the worst number that was measured is off."""
        off = [abs(finding.parameters[name] - value) for name, value in self.measured.items()]
        if self.error_px is not None:
            off.append(abs(finding.error_px - self.error_px))
        return max(off)


def drawn_offset(rng: Rng, rules: dict[float, str], reach: float = 1.4) -> tuple[float, str]:
    """A number of a rule, or one that is clearly none's."""
    if rng.random() < 0.5:
        value = float(rng.choice(list(rules)))
        return value, rules[value]
    while True:
        value = float(rng.uniform(-reach, reach))
        if min(abs(value - known) for known in rules) > 0.04:
            return value, "unknown"
