"""Where each output pixel of a resize samples its input, measured with ramps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from d2align.audit.fit import Line, fit_line, fit_rippled_line, fit_rounded_line
from d2align.audit.guard import Guarded, ProbeFailure

# (input size, scale). A ramp of n pixels from 0 to 255 has whole steps for these n, so that
# functions which round to uint8 keep it.
# Golden ratios spread the samples evenly between
# pixels, whatever the size.
GOALS = (
    (86, 1.618),
    (52, 1.87),
    (86, 2.618),
    (86, 2.3),
    (52, 0.618),
    (86, 0.7236),
    (86, 0.43),
    (86, 0.382),
    (86, 0.2764),
)
# For copied pixels, whose positions are rounded: long signals tell more.
LONG_GOALS = ((1000, 1.618), (1000, 2.618), (1000, 0.618), (1000, 0.382))
# For functions that round to uint8: short signals are steep.
STEEP_GOALS = ((26, 1.618), (26, 2.618), (26, 2.3), (26, 0.7236), (26, 0.618))
# Under some grid these put samples exactly half-way between two pixels.
TIE_GOALS = ((52, 2.0), (52, 0.5), (52, 0.25), (18, 1.95))
# Small enough to draw.
PICTURE_GOALS = ((6, 1.5), (6, 0.67))
# Rows (or columns) of the side that is not measured.
_OTHER_SIDE = 16
# Long signals are written in two digits of this base, so that functions of uint8 keep them.
_CODE = 250


class ResizeBySize:
    """Calls fn(image, (h, w)).

    Attributes:
        block: rows in which one input pixel is lit, so that rows of the result can be told apart.
    """

    block = 10

    def __init__(self, fn: Guarded) -> None:
        self.fn = fn

    def along(self, image: np.ndarray, scale: float, axis: str) -> np.ndarray:
        """Resize one axis of an image, "x" or "y", and return it with that axis last."""
        other, n = image.shape
        m = out_size(n, scale)
        if axis == "x":
            return self.fn(image, (other, m), shape=(other, m))
        return self.fn(image.T.copy(), (m, other), shape=(m, other)).T

    def steps(self, n: int, m: int, scale: float) -> dict[str, float]:
        """Return the distances between samples that the call could mean, input pixels."""
        return {"sizes": n / m}


class ResizeByScale:
    """Calls fn(image, scale), which scales both sides; see ResizeBySize."""

    block = 24

    def __init__(self, fn: Guarded) -> None:
        self.fn = fn

    def along(self, image: np.ndarray, scale: float, axis: str) -> np.ndarray:
        """Resize an image and return it with the axis of interest last."""
        given = image if axis == "x" else image.T.copy()
        out = self.fn(given, scale, shape=(None, None))
        out = out if axis == "x" else out.T
        for side, got in zip(image.shape, out.shape, strict=True):
            if abs(got - side * scale) > 1.01:
                raise ProbeFailure(
                    f"{self.fn.name} made {got} pixels of {side} at scale {scale}, expected about "
                    f"{side * scale:.1f}"
                )
        return out

    def steps(self, n: int, m: int, scale: float) -> dict[str, float]:
        """Return the distances between samples that the call could mean, input pixels."""
        return {"sizes": n / m, "scale": 1 / scale}


@dataclass(frozen=True)
class Sampling:
    """What one resize along one axis was seen to do.

    Attributes:
        axis: "x" or "y".
        in_size: n, pixels.
        out_size: m, pixels.
        scale: as it was asked for.
        steps: the distances between samples that the call could mean.
        positions: (m,) the index position each output pixel samples; NaN where it sees nothing.
        gains: (m,) the sum of each output pixel's weights; 1 for an interpolation.
        inner: (m,) bool, far enough from both ends that no border rule acts.
        nearest: whether each inner output pixel is a copy of an input pixel.
        rounded: whether values are rounded to whole numbers, as uint8 is.
        line: fitted through the inner positions.
    """

    axis: str
    in_size: int
    out_size: int
    scale: float
    steps: dict[str, float]
    positions: np.ndarray
    gains: np.ndarray
    inner: np.ndarray
    nearest: bool
    rounded: bool
    line: Line

    @property
    def ratio(self) -> float:
        """Input pixels an output pixel."""
        return self.in_size / self.out_size


def out_size(n: int, scale: float) -> int:
    """Return the size asked for at a scale, in calls that take a size."""
    return max(1, round(n * scale))


def measure(
    call: ResizeBySize | ResizeByScale, n: int, scale: float, axis: str, *, whole: bool = False
) -> Sampling:
    """Measure one resize along one axis.

    Args:
        call: the guarded function.
        n: input size, pixels.
        scale: output size over input size.
        axis: "x" or "y".
        whole: take every output pixel for an inner one (small images, for pictures).

    Returns:
        The sampling.

    Raises:
        ProbeFailure: see Guarded.
    """
    slope = 255 // (n - 1)
    gains = _row(call, np.full(n, 255.0), scale, axis) / 255
    values = _row(call, np.arange(n) * float(slope), scale, axis) / slope
    m = len(gains)
    with np.errstate(divide="ignore", invalid="ignore"):
        positions = np.where(np.abs(gains) > 1e-3, values / gains, np.nan)
    inner = np.isfinite(positions) if whole else _inner(call, positions, n)
    on_pixels = np.abs(values - np.round(values)) < 1e-4
    nearest = bool(on_pixels[inner].all()) and bool(np.abs(gains[inner] - 1).max() < 0.01)
    whole = np.abs(values * slope - np.round(values * slope)).max() < 1e-6
    rounded = bool(whole) and not nearest
    j = np.arange(m)
    line = fit_rippled_line(j[inner], positions[inner])
    return Sampling(
        axis, n, m, scale, call.steps(n, m, scale), positions, gains, inner, nearest, rounded, line
    )


def measure_copies(call: ResizeBySize | ResizeByScale, n: int, scale: float, axis: str) -> Sampling:
    """Measure a resize that copies pixels, on a signal of any length; as ``measure``."""
    index = np.arange(n)
    low = _row(call, (index % _CODE).astype(np.float64), scale, axis)
    high = _row(call, (index // _CODE).astype(np.float64), scale, axis)
    positions = high * _CODE + low
    m = len(positions)
    # Where the border clamps, nothing is learnt.
    inner = (positions > 0.5) & (positions < n - 1.5)
    if inner.sum() < 3:
        raise ProbeFailure(f"{call.fn.name} does not show the inside of its image")
    line = fit_rounded_line(np.arange(m)[inner], np.round(positions[inner]))
    steps = call.steps(n, m, scale)
    return Sampling(axis, n, m, scale, steps, positions, np.ones(m), inner, True, False, line)


def _row(
    call: ResizeBySize | ResizeByScale, signal: np.ndarray, scale: float, axis: str
) -> np.ndarray:
    """A signal after the resize, seen in the middle of an image of equal rows."""
    out = call.along(np.tile(signal, (_OTHER_SIDE, 1)), scale, axis)
    return out[out.shape[0] // 2]


def _inner(call: ResizeBySize | ResizeByScale, positions: np.ndarray, n: int) -> np.ndarray:
    """Which output pixels sample so far from both ends that no border rule acts."""
    m = len(positions)
    seen = np.isfinite(positions)
    expected = (np.arange(m) + 0.5) * (n / m) - 0.5
    for _ in range(2):
        inner = seen & inner_positions(expected, n, m, 4.0)
        if inner.sum() < 3:
            raise ProbeFailure(f"{call.fn.name} turns most of a white image of {n} pixels black")
        expected = fit_line(np.arange(m)[inner], positions[inner]).at(np.arange(m))
    return seen & inner_positions(expected, n, m, 4.0)


def inner_positions(positions: np.ndarray, n: int, m: int, margin: float) -> np.ndarray:
    """Return (m,) bool: which lie ``margin`` kernel widths from both ends of n pixels."""
    reach = margin * max(1.0, n / m)
    return (positions >= reach) & (positions <= n - 1 - reach)
