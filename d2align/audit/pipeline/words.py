"""What a drift means, and its fix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np


class Rule(NamedTuple):
    """One known fault: its name, how to tell it, and what people should read."""

    convention: str
    fits: Callable[[Any, float, Mapping[str, Any]], bool]
    sentence: str


Words = tuple[Rule, ...]
_SHOWN_PX, _SHOWN_SHARE = 5e-3, 5e-5  # with two digits less is nothing, of pixels and per cent
_NEAR = 0.1  # pixels, in telling faults from each other


def explain(
    stage: str,
    field: str,
    drift: Any,
    tolerance: float,
    fine: bool,
    rounded: bool,
    parameters: Mapping[str, Any],
    words: Words | None,
) -> tuple[str, str]:
    """Return the name of a drift and a sentence about it.

    Args:
        stage: of the pipeline.
        field: what drifts.
        drift: a Drift.
        tolerance: what can be told apart, pixels.
        fine: whether it is within that.
        rounded: whether it scatters as whole pixels do.
        parameters: its numbers; "scale" and "flipped" where they are known.
        words: rules to try first.

    Returns:
        A convention and a sentence with the fix.
    """
    if fine:
        return "aligned", f"{_capital(field)}: no drift, to {tolerance:g} px."
    rules = (*(words or ()), *_FAULTS)
    eroded = next((r for r in rules if r.convention == "eroded"), None)
    if rounded and not (eroded and eroded.fits(drift, _NEAR, parameters)):
        return "rounded", (
            f"{_capital(field)}: rounded, up to {drift.error + drift.scatter:.2f} px off, on "
            f"average by {drift.x:+.2f} px (x), {drift.y:+.2f} px (y). Fix: keep floats."
        )
    for rule in rules:
        if rule.fits(drift, max(tolerance, _NEAR), parameters):
            numbers = {**parameters, "x": drift.x, "y": drift.y, "error": drift.error}
            numbers = {name: _without_minus_zero(name, v) for name, v in numbers.items()}
            numbers["field"] = field
            return rule.convention, _capital(rule.sentence.format(**numbers))
    return "shifted", (
        f"{_capital(field)}: off by {drift.x:+.2f} px (x), {drift.y:+.2f} px (y) on average, by "
        f"up to {drift.error:.2f} px, after stage {stage!r}. Fix: look there for a - 1, a + 1, a "
        "0.5 or a rounding."
    )


def _without_minus_zero(name: str, value: Any) -> Any:
    shown = _SHOWN_SHARE if "scale" in name else _SHOWN_PX
    return 0.0 if isinstance(value, float) and abs(value) < shown else value


def _capital(text: str) -> str:
    return text if "_" in text.split()[0] else text[0].upper() + text[1:]


def _is(drift: Any, wanted: Any, near: float) -> bool:
    """Whether the mean is that, at every place."""
    return bool(np.abs(drift.mean - np.resize(wanted, len(drift.mean))).max() <= near) and (
        drift.error - float(np.abs(drift.mean).max()) <= near
    )


def _sizes(parameters: Mapping[str, Any]) -> tuple[float, ...]:
    """One pixel, in the pixels of the result: one of its own, or of the original."""
    return tuple({1.0, float(parameters.get("scale", 1.0))})


def _is_index_flip(drift: Any, near: float, parameters: Mapping[str, Any]) -> bool:
    flipped = parameters.get("flipped", "")
    wanted = {"x": (-1.0, 0.0), "y": (0.0, -1.0)}
    return flipped in wanted and any(
        _is(drift, np.array(wanted[flipped]) * s, near) for s in _sizes(parameters)
    )


def _is_wide(drift: Any, near: float, parameters: Mapping[str, Any]) -> bool:
    if len(drift.mean) != 4 or np.abs(drift.mean[:2]).max() > near:
        return False
    return any(_is(drift, (0, 0, d, d), near) for s in _sizes(parameters) for d in (s, -s))


def _is_half(drift: Any, near: float, parameters: Mapping[str, Any]) -> bool:
    return any(_is(drift, d, near) for s in _sizes(parameters) for d in (s / 2, -s / 2))


def _is_scaled(drift: Any, near: float, parameters: Mapping[str, Any]) -> bool:
    grows = np.abs(drift.slope).max() > 1e-4
    return bool(grows and drift.at_origin is not None and np.abs(drift.at_origin).max() < near)


def _is_eroded(drift: Any, near: float, parameters: Mapping[str, Any]) -> bool:
    if len(drift.mean) != 4:
        return False
    return bool(drift.mean[:2].min() > _NEAR and drift.mean[2:].max() < -_NEAR)


_FAULTS: Words = (
    Rule(
        "eroded",
        _is_eroded,
        "{field}: smaller on every side, by {x1_px:.2f} px at the left, {y1_px:.2f} px at the top: "
        "they are interpolated as images are and cut off, as by Detectron2's ExtentTransform. "
        "Fix: resample masks by the nearest pixel, or d2align.data.UnbiasedMasks",
    ),
    Rule(
        "index_flip",
        _is_index_flip,
        "{field}: flipped by W - 1 - x (or H - 1 - y), which is for indices, so {x:+.2f} px (x), "
        "{y:+.2f} px (y) off the image. Fix: W - x (d2align.geometry.flip_coords)",
    ),
    Rule(
        "inclusive",
        _is_wide,
        "{field}: the right and bottom edges are {x2_px:+.2f} px (x), {y2_px:+.2f} px (y) off, "
        "the left and top ones right: a width with + 1 or - 1. Fix: x2 = x1 + w, w = x2 - x1",
    ),
    Rule(
        "half_pixel_shift",
        _is_half,
        "{field}: {x:+.2f} px (x), {y:+.2f} px (y) off, so indices and coordinates are mixed. "
        "Fix: coordinate = index + 0.5, once on the way in and once on the way out",
    ),
    Rule(
        "scaled",
        _is_scaled,
        "{field}: scaled by a wrong factor ({x_scale:+.2%} in x, {y_scale:+.2%} in y), up to "
        "{error:.2f} px off. Fix: scale by new size / old size, each axis by its own",
    ),
)
