"""Functions of images with faults of known size: half follow a rule, half follow none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import contracts
import numpy as np
import resamplers
from planted import Planted, Rng, drawn_offset
from planted_boxes import FLIPS, flipped

from d2align.audit.probes import resize_sampling

SOUND = contracts.SOUND


def resize_by_scale(rng: Rng) -> Planted:
    """By a factor s: at steps of 1 / s, or of the ratio of the sizes, which are whole."""
    shift, _ = drawn_offset(rng, {0.0: ""}, 0.9)
    grid = str(rng.choice(("half_pixel", "asymmetric")))
    rule, exact = str(rng.choice(("floor", "round", "ceil"))), bool(rng.random() < 0.5)
    seen: dict[tuple[int, float], np.ndarray] = {}

    def matrix(n: int, scale: float) -> np.ndarray:
        if (n, scale) not in seen:
            m = int(getattr(np, rule)(n * scale))
            stretch = m / n / scale if exact else 1.0
            start = 0.5 * (stretch - 1) if grid == "half_pixel" else 0.0
            made = resamplers.Resampler(grid, stretch=stretch, shift_in=start + shift)
            seen[n, scale] = made.matrix(n, m)
        return seen[n, scale]

    def resized(image: np.ndarray, scale: float) -> np.ndarray:
        rows, columns = (matrix(n, scale) for n in image.shape)
        return rows @ image @ columns.T

    return Planted(
        "resize_by_scale",
        resized,
        "unknown" if shift else grid,
        None,
        {"offset_px": _first(grid, rule, exact) + shift},
        says={} if shift else {"step": _STEP[exact], "output_size_rule": rule},
    )


_STEP = ("input size / output size", "1 / scale")


def _first(grid: str, rule: str, exact: bool) -> float:
    """Where the first sample of the first resize of the probe lies, as a coordinate."""
    n, scale = resize_sampling.GOALS[0]
    step = 1 / scale if exact else n / getattr(np, rule)(n * scale)
    return float(step / 2 if grid == "half_pixel" else 0.5)


def paste_mask(rng: Rng) -> Planted:
    shift, name = drawn_offset(rng, {0.0: "aligned", 0.5: "half_pixel_shift"})
    hard = bool(rng.random() < 0.3)

    def pasted(mask: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> Any:
        out = contracts.soft_paste(mask, box + shift, size)
        return out >= 0.5 if hard else out

    close = 0.03 if hard else 0.01
    return Planted("paste_mask", pasted, name, abs(shift), {"shift_px": shift}, close)


def roi_align(rng: Rng) -> Planted:
    shift, name = drawn_offset(rng, {0.0: "aligned"})
    scale = 1.0 if name == "aligned" else float(rng.uniform(0.9, 1.1))

    def cropped(image: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> Any:
        centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * scale
        moved = np.concatenate([centre - half, centre + half]) + shift
        return SOUND["roi_align"](image, moved, size)

    # The widest box is 28.5 px; the centre of the last of 7 cells is 3/7 of it from the middle.
    error = abs(shift) + abs(scale - 1) * 3 / 7 * 29.7
    return Planted("roi_align", cropped, name, error, {"shift_px": shift, "scale": scale})


def sample_points(rng: Rng) -> Planted:
    rules = {0.0: "corner", 0.5: "centre", -0.5: "half_pixel_twice"}
    shift, name = drawn_offset(rng, rules)
    return Planted(
        "sample_points",
        lambda image, points: SOUND["sample_points"](image, points + shift),
        name,
        abs(shift),
    )


def warp_affine(rng: Rng) -> Planted:
    shift, name = drawn_offset(rng, {0.0: "corner"}, 0.9)
    move = np.array([[0, 0, shift], [0, 0, 0]])
    return Planted(
        "warp_affine",
        lambda image, matrix, size: SOUND["warp_affine"](image, matrix + move, size),
        name,
        abs(shift),
        tolerance_px=0.02,
    )


def rotate(rng: Rng) -> Planted:
    shift, name = drawn_offset(rng, {0.0: "centre_of_image", 0.5: "half_pixel_centre"})
    sign = float(rng.choice((-1, 1)))

    def turned(image: np.ndarray, degrees: float) -> Any:
        c, s = np.cos(np.radians(degrees)), sign * np.sin(np.radians(degrees))
        linear = np.array([[c, -s], [s, c]])
        centre = np.array(image.shape[::-1]) / 2 + shift
        matrix = np.column_stack([linear, centre - linear @ centre])
        return SOUND["warp_affine"](image, matrix, image.shape)

    measured = {"centre_x": 48 + shift, "centre_y": 42 + shift}
    return Planted("rotate", turned, name, abs(shift), measured, 0.02)


def transform(rng: Rng) -> Planted:
    axis = int(rng.integers(2))
    shifts = {
        name: drawn_offset(rng, {0.0: "", -1.0: ""}, 2.0)[0] for name in ("polygons", "keypoints")
    }
    functions: dict[str, Any] = dict.fromkeys(("image", "mask"), lambda im: np.flip(im, 1 - axis))
    functions["boxes"] = lambda boxes, size: flipped(boxes, axis, size[1 - axis])
    for name, extra in shifts.items():
        functions[name] = lambda p, size, extra=extra: flipped(p, axis, size[1 - axis] + extra)
    name = "agree"
    if any(shifts.values()):
        name = "mixed" if set(shifts.values()) <= {0.0, -1.0} else "disagree"
    error = max(map(abs, shifts.values()))
    measured = {f"{field}_px": abs(extra) for field, extra in shifts.items()}
    return Planted("transform", functions, name, error, measured)


def flip_image(rng: Rng) -> Planted:
    extra, axis = int(rng.integers(-3, 4)), int(rng.integers(2))
    name = FLIPS.get(extra, "unknown")
    return Planted(
        "flip_image",
        lambda im: np.roll(np.flip(im, 1 - axis), extra, 1 - axis),
        name,
        abs(extra),
        {"shift_px": extra},
    )


def crop(rng: Rng) -> Planted:
    last = int(rng.integers(-1, 4))
    cut = (np.floor, np.round, np.ceil)[rng.integers(3)]

    def cropped(image: np.ndarray, box: np.ndarray) -> Any:
        x1, y1, x2, y2 = cut(box).astype(int)
        return image[y1 : y2 + last, x1 : x2 + last]

    name = {0: "coordinates", 1: "inclusive"}.get(last, "unknown")
    return Planted("crop", cropped, name, abs(last))


def pad(rng: Rng) -> Planted:
    x, y = (int(rng.choice((0, 0, v))) for v in rng.integers(-2, 3, 2))

    def padded(image: np.ndarray, sides: tuple[int, ...]) -> Any:
        left, top, right, bottom = sides
        return SOUND["pad"](image, (left + x, top + y, right - x, bottom - y))

    return Planted("pad", padded, "unknown" if x or y else "exact", max(abs(x), abs(y)))


def rasterize_polygon(rng: Rng) -> Planted:
    rules = {
        (0, 0): "pixel_centres",
        (-0.5, 0.5): "fat",
        (0.5, 0.5): "centre",
        (0, 1): "fat_centre",
    }
    low, high = list(rules)[rng.integers(4)]
    if rng.random() < 0.5:
        low, high = rng.uniform(-1.4, -0.6), rng.uniform(-0.4, 1.4)

    def drawn(polygon: np.ndarray, size: tuple[int, int]) -> Any:
        moved = np.where(polygon < polygon.mean(axis=0), polygon + low, polygon + high)
        return SOUND["rasterize_polygon"](moved, size)

    name = rules.get((low, high), "unknown")
    error = max(abs(low), abs(high))
    measured = {"low_px": low, "high_px": high}
    return Planted("rasterize_polygon", drawn, name, error, measured, 0.024)


DRAWS: dict[str, Callable[[Rng], Planted]] = {
    "resize_by_scale": resize_by_scale,
    "roi_align": roi_align,
    "paste_mask": paste_mask,
    "sample_points": sample_points,
    "warp_affine": warp_affine,
    "rotate": rotate,
    "transform": transform,
    "flip_image": flip_image,
    "crop": crop,
    "pad": pad,
    "rasterize_polygon": rasterize_polygon,
}
