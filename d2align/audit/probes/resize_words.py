"""Sentences about a resize."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_RULES = {
    "half_pixel": "samples on grid 2 (half_pixel), as d2align does",
    "align_corners": (
        "samples on grid 1 (align_corners): the first and last pixel stay, and the rest is "
        "stretched, by up to {error:.2f} px of the result ({worst}). Fix: ask for "
        "align_corners=False or half_pixel"
    ),
    "asymmetric": (
        "samples on grid 3 (asymmetric): the content moves by up to {error:.2f} px of the result "
        "({worst}), and differently after a flip. Fix: ask for half_pixel (half_pixel_centers=True)"
    ),
    "asymmetric_floor": (
        "takes pixel floor(i * in / out): the content moves {error:.2f} px of the result to the "
        "right and down. Fix: a nearest mode called exact, or resize masks linearly and keep what "
        "is at least 0.5"
    ),
}
_OTHER = "obeys {convention}, up to {error:.2f} px of the result off grid 2. Fix: use half_pixel"
_GAIN = (
    "changes brightness: its weights sum to {gain:.3f}, so that it is no interpolation. It samples "
    "{residual:.2f} px of the input off the nearest grid"
)
_UNKNOWN = (
    "obeys none of the three grids: it is {residual:.2f} px of the input off the nearest one and "
    "{error:.2f} px of the result off grid 2. Where it samples is in the evidence"
)


def describe(convention: str, error: float, residual: float, parameters: Mapping[str, Any]) -> str:
    """Return what a person should know about a resize.

    Args:
        convention: its name.
        error: pixels of the result off grid 2.
        residual: pixels of the input off the nearest grid.
        parameters: those of the finding.

    Returns:
        A sentence or a few.
    """
    gain, worst = parameters["gain"], parameters["worst_sizes"]
    rule = _RULES.get(convention, _OTHER)
    if convention == "unknown":
        rule = _GAIN if abs(gain - 1) >= 0.02 else _UNKNOWN
    text = rule.format(
        convention=convention, error=error, residual=residual, worst=worst, gain=gain
    )
    notes = [text[0].upper() + text[1:]]
    if parameters.get("step") == "1 / scale":
        notes.append("Scale boxes by the scale asked for, not by the ratio of the sizes")
    ties = parameters.get("ties", "untested")
    if convention == "half_pixel" and ties != "untested":
        notes.append(
            f"Ties go {ties}: shrinking by an even factor moves the content by half an input pixel"
        )
    if parameters.get("antialias") is False:
        notes.append("It does not antialias when it shrinks")
    if parameters.get("border_shrinking") == "renormalised" and parameters["end_shift_px"] > 0.01:
        notes.append(
            "When it shrinks, its outermost samples are pulled inwards, here by up to "
            f"{parameters['end_shift_px']:.2f} px of the input"
        )
    return ". ".join(notes) + "."
