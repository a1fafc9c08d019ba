"""What a resize weighs its input with: its kernel, its rule at the border, its antialiasing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from d2align.audit.fit import Line
from d2align.audit.guard import ProbeFailure
from d2align.audit.probes.resize_sampling import (
    ResizeByScale,
    ResizeBySize,
    inner_positions,
    measure,
)

# Dark blocks at both ends, so that a resize which moves rows still shows all.
_SPARE = 2
# To sizes that are prime, so that every output pixel sees the kernel at another place.
ENLARGE, SHRINK = (52, 137 / 52), (52, 23 / 52)
# Weights nearer than this are the same; rules nearer than that cannot be told apart.
_SAME_WEIGHT = 0.04
_SAME_RULE = 0.002
_SAME_KERNEL = 0.01


@dataclass(frozen=True)
class Response:
    """The weights of one resize: (m, n), and the line of its sampling positions."""

    weights: np.ndarray
    line: Line

    def kernel(self) -> Callable[[np.ndarray], np.ndarray]:
        """Return the weight as a function of (input index - sampled position)."""
        m, n = self.weights.shape
        at = self.line.at(np.arange(m))
        inner = inner_positions(at, n, m, 4.0)
        away = np.arange(n)[None, :] - at[:, None]
        distance, weight = away[inner].ravel(), self.weights[inner].ravel()
        order = np.argsort(distance)
        return lambda d: _within_cells(np.asarray(d), distance[order], weight[order])


def _within_cells(at: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Interpolate between samples, never across whole numbers, where kernels have their kinks."""
    cell = np.floor(at)
    first, last = np.searchsorted(x, cell), np.searchsorted(x, cell + 1) - 1
    enough = last > first
    right = np.clip(np.searchsorted(x, at), first + 1, last)
    right = np.where(enough, right, 1)
    run = np.maximum(x[right] - x[right - 1], 1e-12)
    slope = (y[right] - y[right - 1]) / run
    return np.where(enough, y[right - 1] + slope * (at - x[right - 1]), 0.0)


def respond(call: ResizeBySize | ResizeByScale, n: int, scale: float) -> Response:
    """Measure the weights of a resize along x by lighting one pixel at a time.

    Args:
        call: the guarded function.
        n: input size, pixels.
        scale: output size over input size.

    Returns:
        The weights.
    """
    dark = np.zeros((_SPARE, n))
    blocks = np.concatenate([dark, np.eye(n) * 255.0, dark])
    lit = call.along(np.repeat(blocks, call.block, axis=0), scale, "x") / 255
    # The other axis may move too: labels tell which block each row of the result shows.
    labels = np.repeat(np.arange(n + 2.0 * _SPARE), call.block)
    shown = call.along(np.tile(labels[:, None], (1, n)), scale, "x")
    shown = shown[:, shown.shape[1] // 2]
    rows = [np.flatnonzero(np.abs(shown - k) < 1e-3) for k in range(_SPARE, n + _SPARE)]
    if any(len(row) == 0 for row in rows):
        raise ProbeFailure(f"{call.fn.name} does not show every row of its image")
    weights = np.stack([lit[row[len(row) // 2]] for row in rows], axis=1)
    return Response(weights, measure(call, n, scale, "x").line)


def border_rule(response: Response) -> str:
    """Name what a resize takes for pixels beyond the image.

    Args:
        response: its weights.

    Returns:
        "clamp" (the edge repeated), "symmetric", "reflect", "renormalised" (the kernel is cut and
        made to sum to 1 again), "zero", "wrap", "extrapolate", "unknown", "unclear" (several
        fit), or "not reached".
    """
    m, n = response.weights.shape
    k = np.arange(-n, 2 * n)
    free = response.kernel()(k[None, :] - response.line.at(np.arange(m))[:, None])
    inside = (k >= 0) & (k < n)
    reached = np.abs(free[:, ~inside]).sum(axis=1) > 0.02
    if not reached.any():
        return "not reached"
    wanted = {rule: fold(free, k, n) for rule, fold in _FOLDS.items()}
    errors = {
        rule: float(np.abs(weights - response.weights)[reached].max())
        for rule, weights in wanted.items()
    }
    least = min(errors.values())
    if least > _SAME_WEIGHT:
        return "unknown"
    fit = [rule for rule in _FOLDS if errors[rule] <= 2 * least + _SAME_RULE]
    alike = all(np.abs(wanted[rule] - wanted[fit[0]]).max() < 2 * _SAME_RULE for rule in fit)
    return fit[0] if alike else "unclear"


def is_antialiased(enlarging: Response, shrinking: Response) -> bool:
    """Tell whether the kernel grows when the image shrinks, as it must to avoid aliasing."""
    m, n = shrinking.weights.shape
    # Half-hearted filters count too: without any, the width stays.
    return _width(shrinking) > (1 + 0.25 * (n / m - 1)) * _width(enlarging)


def kernel_name(enlarging: Response) -> str:
    """Name the interpolation kernel: "linear", "cubic -0.5", ..., or "other"."""
    m, n = enlarging.weights.shape
    at = enlarging.line.at(np.arange(m))
    inner = inner_positions(at, n, m, 4.0)
    away = (np.arange(n)[None, :] - at[:, None])[inner]
    errors = {}
    for name, kernel in _KERNELS.items():
        wanted = kernel(away)
        wanted = wanted / wanted.sum(axis=1, keepdims=True)
        errors[name] = np.abs(wanted - enlarging.weights[inner]).max()
    name = min(errors, key=lambda key: errors[key])
    return name if errors[name] < _SAME_KERNEL else "other"


def _width(response: Response) -> float:
    """The width over which the kernel is at least a fifth of its largest value."""
    distance = np.linspace(-20, 20, 4001)
    weight = response.kernel()(distance)
    return float((weight > 0.2 * weight.max()).sum())


Fold = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def _read_elsewhere(index: Callable[[np.ndarray, int], np.ndarray]) -> Fold:
    """A border rule that reads another pixel of the image instead.

    Folds take the (m, K) weights of an endless signal at the pixels k, and give the (m, n) weights
    of the image.
    """
    return lambda free, k, n: free @ np.eye(n)[index(k, n)]


def _zero(free: np.ndarray, k: np.ndarray, n: int) -> np.ndarray:
    return free[:, (k >= 0) & (k < n)]


def _renormalised(free: np.ndarray, k: np.ndarray, n: int) -> np.ndarray:
    weights = _zero(free, k, n)
    total = weights.sum(axis=1, keepdims=True)
    return weights / np.where(np.abs(total) > 1e-3, total, 1.0)


def _extrapolate(free: np.ndarray, k: np.ndarray, n: int) -> np.ndarray:
    """Pixels beyond the image lie on the line through the last two."""
    fold = np.eye(n)[np.clip(k, 0, n - 1)]
    beyond = np.maximum(-k, k - (n - 1)).clip(min=0)
    near = np.where(k < 0, 0, n - 1)
    next_to_it = np.where(k < 0, 1, n - 2)
    rows = np.arange(len(k))
    np.add.at(fold, (rows, near), beyond)
    np.add.at(fold, (rows, next_to_it), -beyond)
    return free @ fold


# In the order of preference: a linear kernel that overhangs by half a pixel cannot tell the
# first two apart.
_FOLDS: dict[str, Fold] = {
    "clamp": _read_elsewhere(lambda k, n: np.clip(k, 0, n - 1)),
    "symmetric": _read_elsewhere(lambda k, n: np.minimum(k % (2 * n), 2 * n - 1 - k % (2 * n))),
    "reflect": _read_elsewhere(lambda k, n: np.abs((k + n - 1) % (2 * n - 2) - n + 1)),
    "renormalised": _renormalised,
    "zero": _zero,
    "wrap": _read_elsewhere(lambda k, n: k % n),
    "extrapolate": _extrapolate,
}


def _cubic(a: float) -> Callable[[np.ndarray], np.ndarray]:
    def kernel(d: np.ndarray) -> np.ndarray:
        d = np.abs(d)
        near = (a + 2) * d**3 - (a + 3) * d**2 + 1
        far = a * (d**3 - 5 * d**2 + 8 * d - 4)
        return np.where(d <= 1, near, np.where(d < 2, far, 0.0))

    return kernel


def _lanczos(a: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda d: np.where(np.abs(d) < a, np.sinc(d) * np.sinc(d / a), 0.0)


_KERNELS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda d: np.maximum(0.0, 1.0 - np.abs(d)),
    "cubic -0.5": _cubic(-0.5),
    "cubic -0.75": _cubic(-0.75),
    "lanczos 3": _lanczos(3),
    "lanczos 4": _lanczos(4),
}
