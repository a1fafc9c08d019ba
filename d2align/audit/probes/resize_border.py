"""What a resize takes for pixels beyond the image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from d2align.audit.probes.resize_kernel import Response

# Weights nearer than this are the same; rules nearer than that cannot be told apart.
_SAME_WEIGHT = 0.04
_SAME_RULE = 0.002


def border_rule(response: Response) -> str:
    """Name what a resize takes for pixels beyond the image.

    Args:
        response: its weights.

    Returns:
        "clamp" (the edge repeated), "symmetric", "reflect", "renormalised" (the kernel is cut and
        made to sum to 1 again), "zero", "wrap", "extrapolate", "unknown", "unclear" (several
        fit), or "not reached".
    """
    _, n = response.weights.shape
    k = np.arange(-n, 2 * n)
    free = response.endless(k)
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
