"""What an audit found out about one function: a record, and a sentence for people."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

STATUSES = ("aligned", "deviates", "unknown", "failed")
# Below this a function counts as aligned, in pixels.
ALIGNED_PX = 0.01
# Digits kept of every number, so that cards of two machines can be compared.
_DECIMALS = 5


@dataclass(frozen=True)
class Finding:
    """Which convention a function obeys and how far that is from d2align's.

    Attributes:
        kind: what the function does, one of ``d2align.audit.KINDS``.
        subject: the name of the function.
        convention: the name of the rule it obeys; "unknown" or "none" if no rule fits.
        status: "aligned" (d2align's convention), "deviates" (another one), "unknown" (none that
            is known), "failed" (it could not be measured; the sentence says why).
        sentence: what a person should know, with the fix.
        error_px: how far it is off d2align's convention, pixels, at least 0; None if unknown.
        residual_px: how far the measurements lie from the named convention, pixels; for an
            unknown one, from the nearest known.
        parameters: what was measured, numbers and words by name.
        evidence: lists of numbers behind it, such as the positions sampled.
    """

    kind: str
    subject: str
    convention: str
    status: str
    sentence: str
    error_px: float | None = None
    residual_px: float | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    evidence: Mapping[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("kind", "subject", "convention", "sentence"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise ValueError(f"{name}: got {value!r}, expected text")
        if self.status not in STATUSES:
            raise ValueError(f"status: got {self.status!r}, expected one of {STATUSES}")
        for name in ("error_px", "residual_px", "parameters", "evidence"):
            object.__setattr__(self, name, _plain(name, getattr(self, name)))
        if self.status in ("aligned", "deviates") and self.error_px is None:
            raise ValueError(f"error_px: got None, expected pixels for status {self.status!r}")
        if self.status == "unknown" and self.residual_px is None:
            raise ValueError("residual_px: got None, expected pixels for an unknown convention")

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain dicts, lists, numbers and strings."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Finding:
        """Return the record that ``to_json`` made.

        Args:
            data: its dict.

        Returns:
            The record.

        Raises:
            ValueError: a field is missing, unknown or of the wrong type.
        """
        names = {f.name for f in dataclasses.fields(cls)}
        if not isinstance(data, Mapping) or set(data) != names:
            got = sorted(data) if isinstance(data, Mapping) else type(data).__name__
            raise ValueError(f"finding: got {got}, expected the fields {sorted(names)}")
        return cls(**data)


def status_of(error_px: float) -> str:
    """Return "aligned" or "deviates" for an error in pixels."""
    return "aligned" if abs(error_px) <= ALIGNED_PX else "deviates"


def _plain(name: str, value: Any) -> Any:
    """NumPy's numbers and arrays as Python's own, rounded; refuses what JSON cannot hold."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return _plain(name, value.tolist())
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{name}: got {value}, expected a finite number")
        return round(value, _DECIMALS) + 0.0  # no -0.0
    if isinstance(value, Mapping):
        return {str(key): _plain(f"{name}.{key}", item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(name, item) for item in value]
    raise ValueError(f"{name}: got {type(value).__name__}, expected numbers, text, lists or dicts")
