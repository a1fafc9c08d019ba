"""Resizes with a known grid, offset, kernel, tie rule and border, written from the definitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from d2align.audit.probes.resize_kernel import ENLARGE, SHRINK
from d2align.audit.probes.resize_sampling import TIE_GOALS, out_size

GRIDS = ("half_pixel", "align_corners", "asymmetric")
TIES = ("up", "down", "even")
BORDERS = ("clamp", "symmetric", "reflect", "zero", "renormalised", "wrap")
KERNELS = ("linear", "cubic -0.5", "cubic -0.75", "lanczos 3")


@dataclass(frozen=True)
class Resampler:
    """fn(image, (h, w)) that samples at offset_px + extra_stride * grid position.

    ``shift_in`` and ``shift_out`` move the grid by pixels of the input and of the result;
    ``stretch`` multiplies its stride.
    """

    grid: str = "half_pixel"
    kernel: str = "linear"
    ties: str = "up"
    border: str = "clamp"
    antialias: bool = False
    shift_in: float = 0.0
    shift_out: float = 0.0
    stretch: float = 1.0
    rounding: str = "round"
    wobble: float = 0.0
    matrices: dict[tuple[int, int], np.ndarray] = field(
        default_factory=dict, compare=False, repr=False
    )

    def positions(self, n: int, m: int) -> np.ndarray:
        """Return the (m,) index positions sampled."""
        j = np.arange(m, dtype=np.float64)
        ratio = n / m
        p = {
            "half_pixel": (j + 0.5) * ratio - 0.5,
            "asymmetric": j * ratio,
            "align_corners": j * ((n - 1) / max(m - 1, 1)),
        }[self.grid]
        p = p * self.stretch + self.shift_in + self.shift_out * ratio
        return p + self.wobble * np.sin(j * 0.9)

    def matrix(self, n: int, m: int) -> np.ndarray:
        """Return the (m, n) weights."""
        if (n, m) not in self.matrices:
            self.matrices[n, m] = self._matrix(n, m)
        return self.matrices[n, m]

    def _matrix(self, n: int, m: int) -> np.ndarray:
        p = self.positions(n, m)
        if self.kernel == "nearest":
            rows = np.zeros((m, n))
            rows[np.arange(m), np.clip(self._round(p), 0, n - 1)] = 1
            return rows
        scale = max(1.0, n / m) if self.antialias else 1.0
        reach = int(np.ceil(3 * scale)) + 1
        k = np.floor(p)[:, None].astype(int) + np.arange(-reach, reach + 1)[None, :]
        weights = _KERNELS[self.kernel]((k - p[:, None]) / scale)
        weights /= weights.sum(axis=1, keepdims=True)
        return _fold(weights, k, n, self.border)

    def __call__(self, image: Any, size: tuple[int, int]) -> np.ndarray:
        rows = self.matrix(image.shape[0], size[0])
        columns = self.matrix(image.shape[1], size[1])
        return rows @ np.asarray(image, dtype=np.float64) @ columns.T

    def _round(self, p: np.ndarray) -> np.ndarray:
        if self.rounding != "round":
            return {"floor": np.floor, "ceil": np.ceil}[self.rounding](p).astype(int)
        exact = np.round(p * 2) / 2
        p = np.where(np.abs(p - exact) < 1e-9, exact, p)
        rule: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            "up": lambda x: np.floor(x + 0.5),
            "down": lambda x: np.ceil(x - 0.5),
            "even": np.round,
        }
        return rule[self.ties](p).astype(int)


def _fold(weights: np.ndarray, k: np.ndarray, n: int, border: str) -> np.ndarray:
    """The (m, n) matrix of (m, taps) weights of the pixels k, some of them beyond the image."""
    inside = (k >= 0) & (k < n)
    if border in ("zero", "renormalised"):
        weights = weights * inside
        if border == "renormalised":
            total = weights.sum(axis=1, keepdims=True)
            weights = weights / np.where(np.abs(total) < 1e-3, 1.0, total)
        index = np.clip(k, 0, n - 1)
    elif border == "clamp":
        index = np.clip(k, 0, n - 1)
    elif border == "wrap":
        index = k % n
    elif border == "symmetric":
        index = np.minimum(k % (2 * n), 2 * n - 1 - k % (2 * n))
    else:
        r = k % (2 * n - 2)
        index = np.where(r < n, r, 2 * n - 2 - r)
    out = np.zeros((len(weights), n))
    np.add.at(out, (np.arange(len(weights))[:, None], index), weights)
    return out


def _cubic(a: float) -> Callable[[np.ndarray], np.ndarray]:
    def kernel(d: np.ndarray) -> np.ndarray:
        d = np.abs(d)
        near = (a + 2) * d**3 - (a + 3) * d**2 + 1
        far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
        return np.where(d < 1, near, np.where(d < 2, far, 0.0))

    return kernel


_KERNELS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda d: np.clip(1 - np.abs(d), 0, None),
    "cubic -0.5": _cubic(-0.5),
    "cubic -0.75": _cubic(-0.75),
    "lanczos 3": lambda d: np.where(np.abs(d) < 3, np.sinc(d) * np.sinc(d / 3), 0.0),
}


def draw(rng: np.random.Generator) -> Resampler:
    """Draw a resampler at random: half of them on a named grid, half on none."""
    named = rng.random() < 0.5
    kernel = str(rng.choice(("nearest", *KERNELS)))
    changes: dict[str, Any] = {}
    if not named:
        sign = rng.choice((-1, 1), 2)
        changes = {
            "shift_in": float(sign[0] * rng.uniform(0.04, 0.9)),
            "shift_out": float(sign[1] * rng.uniform(0.04, 0.9)),
            "stretch": float(rng.uniform(0.97, 1.03)),
        }
    return Resampler(
        grid=str(rng.choice(GRIDS)),
        kernel=kernel,
        ties=str(rng.choice(TIES)),
        border=str(rng.choice(BORDERS)),
        antialias=bool(rng.random() < 0.5) and kernel != "nearest",
        rounding=str(rng.choice(("round", "round", "floor", "ceil"))),
        **changes,
    )


def faults(given: Resampler, finding: Any) -> list[str]:
    """Return what a finding gets wrong about a resampler that was drawn; nothing, if it is right.

    A verdict that is withheld ("untested", "not reached", "unclear") is wrong too if there was
    something to see.
    """
    if finding.status == "failed":
        return [f"failed: {finding.sentence}"]
    found = finding.parameters
    wrong = []
    if finding.convention != true_name(given):
        wrong.append(f"convention {finding.convention}, not {true_name(given)}")
    if offset_error(given, finding) >= 0.01:
        wrong.append(f"offset {offset_error(given, finding):.4f} px off")
    if given.kernel == "nearest":
        if found["ties"] not in true_ties(given):
            wrong.append(f"ties {found['ties']}, not {given.ties}")
        return wrong
    if found["antialias"] != given.antialias:
        wrong.append(f"antialias {found['antialias']}")
    for name, goal in (("border", ENLARGE), ("border_shrinking", SHRINK)):
        if found[name] not in true_borders(given, *goal):
            wrong.append(f"{name} {found[name]}, not {given.border}")
    return wrong


def true_ties(given: Resampler) -> set[str]:
    """Return what an audit may say of the tie rule; "untested" only if no tie comes."""
    if true_name(given) != given.grid:
        return {"untested"}
    for n, scale in TIE_GOALS:
        at = given.positions(n, out_size(n, scale))
        at = at[(at > 0) & (at < n - 1)]
        if (np.abs(at - np.floor(at) - 0.5) < 1e-9).any():
            return {given.ties}
    return {"untested"}


def true_borders(given: Resampler, n: int, scale: float) -> set[str]:
    """Return what an audit may say of the border rule: rules of equal weights count as one."""
    m = out_size(n, scale)
    own = given.matrix(n, m)
    others = {b: replace(given, border=b, matrices={}).matrix(n, m) for b in BORDERS}
    far = {b: np.abs(weights - own).max() for b, weights in others.items()}
    fit = {b for b in BORDERS if far[b] < 0.01}
    if max(far.values()) < 0.05:
        fit.add("not reached")
    if any(far[b] < 0.02 for b in BORDERS if b != given.border):
        fit.add("unclear")
    return fit


_BIAS = {"floor": -0.5, "ceil": 0.5}


def offset_error(given: Resampler, finding: Any) -> float:
    """Return by how many pixels of the input the estimated first sample is off."""
    n, m = finding.parameters["input_size"], finding.parameters["output_size"]
    true = given.positions(n, m)[0] + _BIAS.get(given.rounding, 0.0) * (given.kernel == "nearest")
    return abs(finding.parameters["offset_px"] - 0.5 - true)


def true_name(given: Resampler) -> str:
    """Return the convention that an audit must name."""
    if given.shift_in or given.shift_out or given.stretch != 1 or given.wobble:
        return "unknown"
    if given.kernel == "nearest" and given.rounding != "round":
        return f"{given.grid}_{given.rounding}"
    return given.grid
