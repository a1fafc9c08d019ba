"""What a resize weighs its input with: its kernel, and whether that grows to antialias."""

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
# Every output pixel sees the kernel at another place: on grid 1 (51 / 140 and 51 / 22) as on the
# others, the sizes have no factor in common.
ENLARGE, SHRINK = (52, 141 / 52), (52, 23 / 52)
_SAME_KERNEL = 0.01


Kernel = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Response:
    """The weights of one resize: (m, n), and the line of its sampling positions."""

    weights: np.ndarray
    line: Line

    def kernel(self) -> Kernel:
        """Return the weight as a function of (input index - sampled position), as measured."""
        away, weights = self.inside()
        distance, weight = away.ravel(), weights.ravel()
        order = np.argsort(distance)
        return lambda d: _within_cells(np.asarray(d), distance[order], weight[order])

    def inside(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (k, n) distances of input pixels from samples far from the ends, and weights."""
        m, n = self.weights.shape
        at = self.line.at(np.arange(m))
        inner = inner_positions(at, n, m, 4.0)
        return (np.arange(n)[None, :] - at[:, None])[inner], self.weights[inner]

    def endless(self, k: np.ndarray) -> np.ndarray:
        """Return the (m, K) weights of an endless signal at the pixels k.

        They are exact if the kernel is one that is known, and as measured if not.
        """
        m, n = self.weights.shape
        away = k[None, :] - self.line.at(np.arange(m))[:, None]
        for stretch in {1.0, max(1.0, n / m)}:
            name = nearest_kernel(self, stretch)
            if name is not None:
                return _normalised(_KERNELS[name](away / stretch))
        return self.kernel()(away)


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


def is_antialiased(enlarging: Response, shrinking: Response) -> bool:
    """Tell whether the kernel grows when the image shrinks, as it must to avoid aliasing."""
    m, n = shrinking.weights.shape
    # Half-hearted filters count too: without any, the width stays.
    return _width(shrinking) > (1 + 0.25 * (n / m - 1)) * _width(enlarging)


def kernel_name(enlarging: Response) -> str:
    """Name the interpolation kernel: "linear", "cubic -0.5", ..., or "other"."""
    return nearest_kernel(enlarging, 1.0) or "other"


def nearest_kernel(response: Response, stretch: float) -> str | None:
    """Return the known kernel that a resize weighs with, or None.

    Args:
        response: its weights.
        stretch: how many pixels wide a pixel's width of the kernel is.

    Returns:
        Its name.
    """
    away, weights = response.inside()
    errors = {
        name: float(np.abs(_normalised(kernel(away / stretch)) - weights).max())
        for name, kernel in _KERNELS.items()
    }
    name = min(errors, key=lambda key: errors[key])
    return name if errors[name] < _SAME_KERNEL else None


def _normalised(weights: np.ndarray) -> np.ndarray:
    total = weights.sum(axis=1, keepdims=True)
    return weights / np.where(np.abs(total) > 1e-3, total, 1.0)


def _width(response: Response) -> float:
    """The width over which the kernel is at least a fifth of its largest value."""
    distance = np.linspace(-20, 20, 4001)
    weight = response.kernel()(distance)
    return float((weight > 0.2 * weight.max()).sum())


def _cubic(a: float) -> Kernel:
    def kernel(d: np.ndarray) -> np.ndarray:
        d = np.abs(d)
        near = (a + 2) * d**3 - (a + 3) * d**2 + 1
        far = a * (d**3 - 5 * d**2 + 8 * d - 4)
        return np.where(d <= 1, near, np.where(d < 2, far, 0.0))

    return kernel


def _lanczos(a: int) -> Kernel:
    return lambda d: np.where(np.abs(d) < a, np.sinc(d) * np.sinc(d / a), 0.0)


_KERNELS: dict[str, Kernel] = {
    "linear": lambda d: np.maximum(0.0, 1.0 - np.abs(d)),
    "cubic -0.5": _cubic(-0.5),
    "cubic -0.75": _cubic(-0.75),
    "lanczos 3": _lanczos(3),
    "lanczos 4": _lanczos(4),
}
