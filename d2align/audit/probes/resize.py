"""Resize: which of the article's grids it samples, and how it treats ties, borders and shrinking.

Contracts:
    resize            fn(image, (h, w)) -> (h, w)
    resize_by_scale   fn(image, scale) -> about (H * scale, W * scale)

``image`` is an (H, W) float64 array of 0..255. Ramps show where each output pixel samples; single
lit pixels show the weights. Both axes are measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from d2align.audit.guard import Guarded, ProbeFailure
from d2align.audit.probes.resize_border import border_rule
from d2align.audit.probes.resize_grid import (
    NAMED_PX,
    ROUNDED_PX,
    ROUNDED_SCATTER_PX,
    SCATTER_PX,
    Match,
    grid_positions,
    nearest_grid,
    nearest_rule,
    pooled_rule,
)
from d2align.audit.probes.resize_kernel import (
    ENLARGE,
    SHRINK,
    is_antialiased,
    kernel_name,
    respond,
)
from d2align.audit.probes.resize_sampling import (
    GOALS,
    LONG_GOALS,
    PICTURE_GOALS,
    STEEP_GOALS,
    TIE_GOALS,
    ResizeByScale,
    ResizeBySize,
    Sampling,
    measure,
    measure_copies,
)
from d2align.audit.probes.resize_words import describe
from d2align.audit.record import Finding, status_of


def probe_resize(fn: Any, subject: str) -> Finding:
    """Measure fn(image, (h, w)); see the contract above.

    Args:
        fn: the resize.
        subject: its name.

    Returns:
        The finding; its error is in pixels of the result.

    Raises:
        ProbeFailure: the function cannot be measured.
    """
    return _probe(ResizeBySize(Guarded(fn)), "resize", subject)


def probe_resize_by_scale(fn: Any, subject: str) -> Finding:
    """Measure fn(image, scale); as probe_resize."""
    return _probe(ResizeByScale(Guarded(fn)), "resize_by_scale", subject)


def _probe(call: ResizeBySize | ResizeByScale, kind: str, subject: str) -> Finding:
    axes = {axis: _samplings(call, axis) for axis in ("x", "y")}
    matches = {axis: _match(call, axis, samplings) for axis, samplings in axes.items()}
    residual = max(residual_px(matches[axis], axes[axis]) for axis in axes)
    sound = all(is_sound(axes[axis], matches[axis]) for axis in axes)
    names = [matches[axis].name for axis in axes]
    convention = "unknown"
    if sound:
        convention = names[0] if names[0] == names[1] else f"{names[0]} in x, {names[1]} in y"
    away = [shifts(s, matches[axis], sound) for axis in axes for s in axes[axis]]
    worst = max(range(len(away)), key=lambda k: np.abs(away[k]).max())
    error = float(np.abs(away[worst]).max())
    parameters = _parameters(call, axes["x"], matches["x"], sound)
    sizes = [(s.in_size, s.out_size) for axis in axes for s in axes[axis]][worst]
    parameters["worst_sizes"] = "{} to {}".format(*sizes)
    return Finding(
        kind=kind,
        subject=subject,
        convention=convention,
        status=status_of(error) if sound else "unknown",
        sentence=describe(convention, error, residual, parameters),
        error_px=error,
        residual_px=residual,
        parameters=parameters,
        evidence=_evidence(call, axes["x"]),
    )


def _samplings(call: ResizeBySize | ResizeByScale, axis: str) -> list[Sampling]:
    samplings = [measure(call, n, s, axis) for n, s in GOALS]
    if all(s.rounded for s in samplings):
        return [measure(call, n, s, axis) for n, s in STEEP_GOALS]
    if not all(s.nearest for s in samplings):
        return samplings
    longer = [measure_copies(call, n, s, axis) for n, s in LONG_GOALS]
    # The first tells the numbers of the report: the one that leaves least doubt.
    return sorted(longer, key=lambda s: s.line.doubt) + samplings


def _match(call: ResizeBySize | ResizeByScale, axis: str, samplings: Sequence[Sampling]) -> Match:
    """The rule nearest to the measurements of one axis."""
    if all(s.nearest for s in samplings):
        ties = [measure(call, n, s, axis, whole=True) for n, s in TIE_GOALS]
        return nearest_rule(samplings, [t for t in ties if t.nearest])
    match = nearest_grid(samplings)
    return match if is_sound(samplings, match) else pooled_rule(samplings) or match


def residual_px(match: Match, samplings: Sequence[Sampling]) -> float:
    """Return how far the measurements are from the nearest known rule, input pixels.

    Args:
        match: the rule.
        samplings: of one axis.

    Returns:
        Input pixels; 0 for a rule of whole pixels that gets every one right.
    """
    if match.rounding == "":
        return max(match.residual_px, *(s.line.scatter for s in samplings))
    return 0.0 if match.residual_px == 0 else nearest_grid(samplings).residual_px


def is_sound(samplings: Sequence[Sampling], match: Match) -> bool:
    """Tell whether the measurements obey their rule: on a line, on a grid, and no gain or loss."""
    if match.rounding:
        return match.residual_px == 0
    scatter = max(s.line.scatter for s in samplings)
    gain = max(np.abs(s.gains[s.inner] - 1).max() for s in samplings)
    rounded = all(s.rounded for s in samplings)
    named, scattered = (ROUNDED_PX, ROUNDED_SCATTER_PX) if rounded else (NAMED_PX, SCATTER_PX)
    return match.residual_px <= named and scatter <= scattered and bool(gain < 0.02)


def shifts(s: Sampling, match: Match, sound: bool) -> np.ndarray:
    """Return by how much each pixel of a result samples right of grid 2, pixels of the result.

    Args:
        s: the sampling.
        match: its rule, whose step counts as grid 2's.
        sound: whether it obeys the rule; otherwise the fitted line is taken.

    Returns:
        (m,) pixels.
    """
    wanted = grid_positions("half_pixel", s.in_size, s.out_size, s.steps[match.step])
    by_rule = sound and (match.rounding or (s.rounded and match.grid == "half_pixel"))
    got = match.positions(s) if by_rule else s.line.at(np.arange(s.out_size))
    return (got - wanted) / s.steps[match.step]


def _parameters(
    call: ResizeBySize | ResizeByScale, samplings: Sequence[Sampling], match: Match, sound: bool
) -> dict[str, Any]:
    first = samplings[0]
    found: dict[str, Any] = {
        "input_size": first.in_size,
        "output_size": first.out_size,
        "offset_px": first.line.offset + 0.5,
        "stride_px": first.line.stride,
        "content_shift_px": -float(np.mean(shifts(first, match, sound))),
        "gain": float(np.mean(first.gains[first.inner])),
    }
    if "scale" in first.steps:
        found["step"] = "1 / scale" if match.step == "scale" else "input size / output size"
        found["output_size_rule"] = _size_rule(samplings)
    if all(s.nearest for s in samplings):
        return found | {"kernel": "nearest", "ties": match.ties if sound else "untested"}
    found["scatter_px"] = max(s.line.scatter for s in samplings)
    try:
        enlarging, shrinking = respond(call, *ENLARGE), respond(call, *SHRINK)
    except ProbeFailure:
        return found  # an unknown rule may hide the pixels that are lit
    return found | {
        "kernel": match.rounding or kernel_name(enlarging),
        "border": border_rule(enlarging),
        "border_shrinking": border_rule(shrinking),
        "antialias": is_antialiased(enlarging, shrinking),
        "end_shift_px": _end_shift(samplings),
    }


def _size_rule(samplings: Sequence[Sampling]) -> str:
    """How the output size follows from the scale."""
    for name, rule in (("floor", np.floor), ("round", np.round), ("ceil", np.ceil)):
        if all(rule(s.in_size * s.scale) == s.out_size for s in samplings):
            return name
    return "unknown"


def _end_shift(samplings: Sequence[Sampling]) -> float:
    """How far the border pulls an end's sample off the line, inside the image, input pixels."""
    away = [0.0]
    for s in samplings:
        for j in (0, s.out_size - 1):
            on_line = float(s.line.at(j))
            if 0 <= on_line <= s.in_size - 1 and np.isfinite(s.positions[j]):
                away.append(abs(float(s.positions[j]) - on_line))
    return max(away)


def _evidence(
    call: ResizeBySize | ResizeByScale, samplings: Sequence[Sampling]
) -> dict[str, list[Any]]:
    """Sampled index positions of two small resizes, to draw; and every pair's line."""
    found: dict[str, list[Any]] = {}
    for n, scale in PICTURE_GOALS:
        s = measure(call, n, scale, "x", whole=True)
        found[f"positions_{n}_to_{s.out_size}"] = [
            float(p) if np.isfinite(p) else None for p in s.positions
        ]
    found["lines"] = [
        [s.in_size, s.out_size, s.line.offset, s.line.stride] for s in samplings if s.axis == "x"
    ]
    return found
