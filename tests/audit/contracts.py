"""A sound function of every kind, in d2align's own convention, and ways to spoil it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from d2align import geometry as g


def _resize(image: np.ndarray, size: tuple[int, int]) -> Any:
    return g.resize_half_pixel(torch.from_numpy(image), size)


def _resize_by_scale(image: np.ndarray, scale: float) -> Any:
    size = tuple(round(side * scale) for side in image.shape)
    return g.resize_half_pixel(torch.from_numpy(image), size)


def _roi_align(image: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> Any:
    rois = torch.tensor([[0.0, *box.tolist()]], dtype=torch.float64)
    return g.roi_align(torch.from_numpy(image)[None, None], rois, size)[0, 0]


def _paste_mask(mask: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> Any:
    return g.paste_masks(torch.from_numpy(mask)[None], torch.from_numpy(box)[None], size)[0]


def soft_paste(mask: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> Any:
    """At pixel centres, between the cells, 0 beyond the box."""
    axes = []
    for low, high, n in ((box[1], box[3], size[0]), (box[0], box[2], size[1])):
        cell = (np.arange(n) + 0.5 - low) / (high - low) * len(mask) - 0.5
        axes.append(np.maximum(0, 1 - np.abs(cell[:, None] - np.arange(len(mask))[None])))
    return axes[0] @ mask @ axes[1].T


def _sample_points(image: np.ndarray, points: np.ndarray) -> Any:
    grid = torch.from_numpy(points / np.array(image.shape[::-1]) * 2 - 1)[None, None]
    planes = torch.from_numpy(image)[None, None]
    return F.grid_sample(planes, grid, align_corners=False, padding_mode="border")[0, 0, 0]


def _warp_affine(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> Any:
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    affine, bilinear = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    canvas = Image.fromarray(image.astype(np.float32))
    return np.asarray(canvas.transform(size[::-1], affine, tuple(inverse.flat), bilinear))


def _rotate(image: np.ndarray, degrees: float) -> Any:
    bilinear = Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(image.astype(np.float32)).rotate(degrees, bilinear))


def _crop(image: np.ndarray, box: np.ndarray) -> Any:
    x1, y1, x2, y2 = (int(v) for v in box)
    return image[y1:y2, x1:x2]


def _pad(image: np.ndarray, sides: tuple[int, ...]) -> Any:
    left, top, right, bottom = sides
    return np.pad(image, ((top, bottom), (left, right)))


def _nms(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> Any:
    iou = g.box_iou(boxes, boxes)
    kept: list[int] = []
    for i in np.argsort(-scores):
        if all(iou[i, j] <= threshold for j in kept):
            kept.append(int(i))
    return np.array(kept)


def _anchors(grid: tuple[int, int], stride: int, sizes: Any, ratios: Any) -> Any:
    return g.tile_anchors(g.cell_anchors(sizes, ratios), grid, stride, 0.5)


def _mask_to_box(mask: np.ndarray) -> Any:
    y, x = np.nonzero(mask)
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])


def _find_contours(mask: np.ndarray) -> Any:
    x1, y1, x2, y2 = _mask_to_box(mask)
    return [np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])]


def _rasterize_polygon(polygon: np.ndarray, size: tuple[int, int]) -> Any:
    """The pixels whose centres lie inside, by counting the edges to their left."""
    y, x = (np.arange(n) + 0.5 for n in size)
    inside = np.zeros(size, dtype=bool)
    for (ax, ay), (bx, by) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if ay == by:
            continue
        crosses = (y >= min(ay, by)) & (y < max(ay, by))
        at = ax + (y - ay) * (bx - ax) / (by - ay)
        inside ^= crosses[:, None] & (at[:, None] <= x[None, :])
    return inside


def _flip(coords: np.ndarray, size: tuple[int, int]) -> Any:
    return g.flip_coords(coords, size[1])


SOUND: dict[str, Any] = {
    "resize": _resize,
    "resize_by_scale": _resize_by_scale,
    "roi_align": _roi_align,
    "paste_mask": _paste_mask,
    "sample_points": _sample_points,
    "warp_affine": _warp_affine,
    "rotate": _rotate,
    "transform": {
        "image": lambda im: im[:, ::-1],
        "mask": lambda m: m[:, ::-1],
        "boxes": lambda b, size: g.flip_boxes(b, size[1]),
        "polygons": _flip,
        "keypoints": _flip,
    },
    "flip_image": lambda im: im[:, ::-1],
    "flip_boxes": lambda boxes, size: g.flip_boxes(boxes, size[1]),
    "flip_coords": _flip,
    "crop": _crop,
    "pad": _pad,
    "box_pair": (g.get_deltas, g.apply_deltas),
    "anchors": _anchors,
    "box_area": g.box_areas,
    "box_iou": g.box_iou,
    "nms": _nms,
    "mask_to_box": _mask_to_box,
    "find_contours": _find_contours,
    "rasterize_polygon": _rasterize_polygon,
}


def each(function: Any, change: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Any:
    """Apply a change to a function, or to all functions of a pair or set."""
    if isinstance(function, dict):
        return {name: change(fn) for name, fn in function.items()}
    if isinstance(function, tuple):
        return tuple(change(fn) for fn in function)
    return change(function)


def raising(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Raise instead of answering."""

    def bad(*args: Any) -> Any:
        raise RuntimeError("no such luck")

    return bad


def exiting(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Leave the program instead of answering."""

    def bad(*args: Any) -> Any:
        raise SystemExit(3)

    return bad


def answering(value: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Answer with one value, whatever is asked."""
    return lambda fn: lambda *args: value


def with_nan(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Answer with NaN in the first place."""

    def spoilt(out: Any) -> np.ndarray:
        array = np.asarray(out, dtype=np.float64).copy()
        array.flat[0] = np.nan
        return array

    def bad(*args: Any) -> Any:
        out = fn(*args)
        if isinstance(out, list):
            return [spoilt(item) for item in out]
        return spoilt(out)

    return bad


def misshapen(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Answer with one dimension too many."""
    return lambda *args: np.asarray(fn(*args))[None, None, None]


def editing(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Change the first array given."""

    def bad(*args: Any) -> Any:
        out = fn(*args)
        array = next(a for a in args if isinstance(a, np.ndarray))
        array += 1.0
        return out

    return bad


def at_random(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Add noise that is never the same twice."""
    rng = np.random.default_rng(0)

    def bad(*args: Any) -> Any:
        out = fn(*args)
        if isinstance(out, list):
            return [np.array(item) + rng.normal(size=np.shape(item)) for item in out]
        return np.asarray(out, dtype=np.float64) + rng.normal(size=np.shape(out))

    return bad


def sometimes(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Raise on the second call: a function that works at first."""
    calls = itertools.count()

    def bad(*args: Any) -> Any:
        if next(calls):
            raise MemoryError("enough")
        return fn(*args)

    return bad
