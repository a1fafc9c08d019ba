"""Slow float64 references, one number at a time, written from the definitions.

A signal spans [0, N]; pixel i covers [i, i + 1] and its value belongs to its centre, i + 0.5.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch


def bilinear(image: np.ndarray, y: float, x: float, outside: float | None = None) -> float:
    """The value at index position (y, x); beyond the pixels: ``outside``, or the edge if None."""
    h, w = image.shape
    y0, x0 = math.floor(y), math.floor(x)
    total = 0.0
    for i, wy in ((y0, 1 - (y - y0)), (y0 + 1, y - y0)):
        for j, wx in ((x0, 1 - (x - x0)), (x0 + 1, x - x0)):
            if 0 <= i < h and 0 <= j < w:
                value = float(image[i, j])
            elif outside is None:
                value = float(image[min(max(i, 0), h - 1), min(max(j, 0), w - 1)])
            else:
                value = outside
            total += wy * wx * value
    return total


def roi_align(
    features: Any,
    rois: Any,
    bins: tuple[int, int],
    scale: float = 1.0,
    ratio: int = 0,
    aligned: bool = True,
) -> np.ndarray:
    """RoIAlign: each bin is the mean of samples in the middle of equal parts of it."""
    features, rois = np.asarray(features, np.float64), np.asarray(rois, np.float64)
    height, width = features.shape[2:]
    out = np.zeros((len(rois), features.shape[1], *bins))
    for n, (batch, *box) in enumerate(rois):
        x1, y1, x2, y2 = (v * scale for v in box)
        h, w = y2 - y1, x2 - x1
        if not aligned:
            h, w = max(h, 1.0), max(w, 1.0)
        samples_y = ratio or math.ceil(h / bins[0])
        samples_x = ratio or math.ceil(w / bins[1])
        for c, i, j in np.ndindex(*out.shape[1:]):
            total = 0.0
            for a, b in np.ndindex(samples_y, samples_x):
                y = y1 + h / bins[0] * (i + (a + 0.5) / samples_y)
                x = x1 + w / bins[1] * (j + (b + 0.5) / samples_x)
                if aligned:
                    y, x = y - 0.5, x - 0.5
                if -1 <= y <= height and -1 <= x <= width:
                    total += bilinear(features[int(batch), c], y, x)
            out[n, c, i, j] = total / max(samples_y * samples_x, 1)
    return out


def paste(mask: Any, box: Any, image_size: tuple[int, int]) -> np.ndarray:
    """The mask's value at the centre of every pixel of the image; 0 outside the mask's cells."""
    mask = np.asarray(mask, np.float64)
    m_h, m_w = mask.shape
    x1, y1, x2, y2 = (float(v) for v in box)
    out = np.zeros(image_size)
    if x2 <= x1 or y2 <= y1:
        return out
    for i, j in np.ndindex(*image_size):
        u, v = (j + 0.5 - x1) / (x2 - x1) * m_w, (i + 0.5 - y1) / (y2 - y1) * m_h
        if -1 < u < m_w + 1 and -1 < v < m_h + 1:
            out[i, j] = bilinear(mask, v - 0.5, u - 0.5, outside=0.0)
    return out


def paste_detectron1(mask: Any, box: Any, image_size: tuple[int, int]) -> np.ndarray:
    """Detectron's paste at threshold 0.5, by OpenCV."""
    import cv2

    mask = np.asarray(mask, np.float32)
    m = len(mask)
    padded = np.zeros((m + 2, m + 2), np.float32)
    padded[1:-1, 1:-1] = mask
    x1, y1, x2, y2 = np.asarray(box, np.float32)
    factor = np.float32((m + 2) / m)
    half_w, half_h = (x2 - x1) * np.float32(0.5) * factor, (y2 - y1) * np.float32(0.5) * factor
    cx, cy = (x2 + x1) * np.float32(0.5), (y2 + y1) * np.float32(0.5)
    left, top, right, bottom = (
        int(v) for v in (cx - half_w, cy - half_h, cx + half_w, cy + half_h)
    )
    resized = cv2.resize(padded, (max(right - left + 1, 1), max(bottom - top + 1, 1)))
    out = np.zeros(image_size, bool)
    for i, j in np.ndindex(*image_size):
        if top <= i <= bottom and left <= j <= right:
            out[i, j] = resized[i - top, j - left] > 0.5
    return out


def grid_locations(grid: int, length: float, stride: float) -> list[float]:
    """Where grid 1, 2 or 3 of the article samples a signal on [0, length]."""
    steps = round(length / stride)
    offset = stride / 2 if grid == 2 else 0.0
    return [offset + stride * i for i in range(steps + (grid == 1))]


def resize_1d(values: Any, out_size: int, grid: int) -> tuple[list[float], list[float]]:
    """Resample the signal that grid 1, 2 or 3 puts under values: positions read, and results."""
    n = len(values)
    length = n - 1 if grid == 1 else n
    if grid == 1:
        locations = [length * i / max(out_size - 1, 1) for i in range(out_size)]
    else:
        locations = grid_locations(grid, length, length / out_size)
    first = 0.5 if grid == 2 else 0.0
    positions = [x - first for x in locations]
    image = np.asarray(values, np.float64)[None]
    return positions, [bilinear(image, 0.0, min(max(p, 0.0), n - 1.0)) for p in positions]


def encode(src: Any, target: Any, plus: float = 0.0) -> list[float]:
    """Deltas of one box; plus 1 counts the pixels of inclusive boxes."""
    deltas = []
    for axis in (0, 1):
        size = float(src[axis + 2]) - float(src[axis]) + plus
        new_size = float(target[axis + 2]) - float(target[axis]) + plus
        center = float(src[axis]) + size / 2
        deltas.append((float(target[axis]) + new_size / 2 - center) / size)
        deltas.append(math.log(new_size / size))
    return [deltas[0], deltas[2], deltas[1], deltas[3]]


def iou_by_counting(box1: Any, box2: Any, size: int, inclusive: bool) -> float:
    """IoU of two boxes of whole numbers, by counting pixels."""
    canvases = []
    for x1, y1, x2, y2 in (box1, box2):
        canvas = np.zeros((size, size), bool)
        for i, j in np.ndindex(size, size):
            if inclusive:
                canvas[i, j] = y1 <= i <= y2 and x1 <= j <= x2
            else:
                canvas[i, j] = y1 < i + 0.5 < y2 and x1 < j + 0.5 < x2
        canvases.append(canvas)
    union = (canvases[0] | canvases[1]).sum()
    return float((canvases[0] & canvases[1]).sum() / union) if union else 0.0


def rasterize(polygon: Any, image_size: tuple[int, int]) -> np.ndarray:
    """The pixels whose centre is inside the polygon (even-odd rule)."""
    points = np.asarray(polygon, np.float64).reshape(-1, 2)
    out = np.zeros(image_size, bool)
    ys, xs = np.mgrid[: image_size[0], : image_size[1]] + 0.5
    for (xa, ya), (xb, yb) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if ya != yb:
            crosses = (ys < ya) != (ys < yb)
            out ^= crosses & (xs < xa + (ys - ya) / (yb - ya) * (xb - xa))
    return out


def disc_polygon(cx: float, cy: float, radius: float, points: int = 720) -> np.ndarray:
    angle = np.arange(points) * (2 * np.pi / points)
    return np.stack([cx + radius * np.cos(angle), cy + radius * np.sin(angle)], 1).reshape(-1)


def disc_mask(cx: float, cy: float, radius: float, image_size: tuple[int, int]) -> np.ndarray:
    ys, xs = np.mgrid[: image_size[0], : image_size[1]] + 0.5
    return (xs - cx) ** 2 + (ys - cy) ** 2 <= radius**2


def centroid(mask: Any) -> tuple[float, float]:
    """The mean coordinates (x, y) of the pixels of a mask."""
    ys, xs = np.nonzero(np.asarray(mask))
    return float(xs.mean() + 0.5), float(ys.mean() + 0.5)


def disc_radius(mask: Any) -> float:
    """The radius of the disc of the same area."""
    return math.sqrt(np.asarray(mask).sum() / math.pi)


def random_boxes(rng: np.random.Generator, n: int, size: float = 600, least: float = 1) -> Any:
    """(n, 4) float64 XYXY boxes inside a square."""
    corner = rng.uniform(0, size * 0.6, (n, 2))
    return np.concatenate([corner, corner + rng.uniform(least, size * 0.4, (n, 2))], axis=1)


def assert_pure(fn: Callable[..., Any], *args: Any) -> Any:
    """Call fn and check that no argument was modified and none is aliased by the result."""
    before = [_copy(a) for a in args]
    out = fn(*args)
    for a, b in zip(args, before, strict=True):
        _assert_same(a, b)
    for result in out if isinstance(out, list) else [out]:
        if isinstance(result, torch.Tensor) and result.numel() and result.dtype != torch.bool:
            result.detach().zero_()
        elif isinstance(result, np.ndarray) and result.dtype != bool:
            result[...] = 0
    for a, b in zip(args, before, strict=True):
        _assert_same(a, b)
    return out


def _copy(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    return [_copy(v) for v in value] if isinstance(value, list) else value


def _assert_same(value: Any, expected: Any) -> None:
    if isinstance(value, torch.Tensor):
        assert torch.equal(value.detach(), expected)
    elif isinstance(value, np.ndarray):
        np.testing.assert_array_equal(value, expected)
    elif isinstance(value, list):
        for v, e in zip(value, expected, strict=True):
            _assert_same(v, e)
    else:
        assert value == expected


def assert_refused_in_a_process(setup: str, calls: list[tuple[str, str]]) -> None:
    """Check that calls which could crash or hang raise a ValueError that names the argument."""
    lines = ["import torch", "import numpy as np", setup]
    for call, name in calls:
        lines += [f"print({call!r}, flush=True)", "try:", f"    {call}", "except ValueError as e:"]
        lines += [f"    assert {name!r} in str(e), e", "else:", "    raise SystemExit('no error')"]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=40
    )
    assert done.returncode == 0, (done.returncode, done.stdout[-300:], done.stderr[-600:])
