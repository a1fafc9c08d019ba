"""From distances to every known rule to a finding: named if one fits, unknown if none does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from d2align.audit.record import Finding, status_of


def name_rule(residuals: Mapping[str, float], tolerance: float) -> tuple[str, float]:
    """Return the rule that fits best and how far off it is.

    Args:
        residuals: distance of the measurements from each rule, pixels; among equals the first.
        tolerance: the largest distance at which a rule is named, pixels.

    Returns:
        Its name, or "unknown", and its distance.
    """
    name = min(residuals, key=lambda key: residuals[key])
    return (name if residuals[name] <= tolerance else "unknown"), residuals[name]


def conclude(
    kind: str,
    subject: str,
    residuals: Mapping[str, float],
    error_px: float,
    words: Mapping[str, str],
    *,
    tolerance: float = 0.01,
    parameters: Mapping[str, Any] | None = None,
    evidence: Mapping[str, list[Any]] | None = None,
) -> Finding:
    """Return the finding of a probe that knows its rules and how far each is.

    Args:
        kind: of the function.
        subject: its name.
        residuals: distance of the measurements from each rule, pixels; d2align's own comes first.
        error_px: distance from d2align's own rule, pixels. It counts as 0 if that is the rule
            obeyed, to within the tolerance.
        words: a sentence for each rule and for "unknown"; may hold {error}, {residual},
            {nearest} and the names of parameters.
        tolerance: the largest distance at which a rule is named, pixels.
        parameters: what was measured.
        evidence: what lies behind it.

    Returns:
        The finding.
    """
    name, residual = name_rule(residuals, tolerance)
    nearest = min(residuals, key=lambda key: residuals[key])
    parameters = dict(parameters or {})
    if name == next(iter(residuals)) and error_px <= tolerance:
        error_px = 0.0
    sentence = words[name].format(
        error=error_px, residual=residual, nearest=nearest.replace("_", " "), **parameters
    )
    return Finding(
        kind=kind,
        subject=subject,
        convention=name,
        status="unknown" if name == "unknown" else status_of(error_px),
        sentence=f"{sentence[0].upper()}{sentence[1:]}.",
        error_px=error_px,
        residual_px=residual,
        parameters=parameters,
        evidence=dict(evidence or {}),
    )
