"""Mean signed errors of matched detections, with intervals over images, and what they mean."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from d2align.audit.record import Finding
from d2align.evaluation.localization import LocalizationErrors

_DRAWS, _SEED = 1000, 0
_FEW = 10  # matches below which nothing is said
_FIELDS = {"bbox": "boxes", "segm": "masks"}


class Mean(NamedTuple):
    """A mean with its 99 % interval, pixels: several are looked at, and none may be invented."""

    mean: float
    low: float
    high: float

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def mean_over_images(values: np.ndarray, image_ids: np.ndarray) -> Mean:
    """Return a mean with a bootstrap interval over images, whose objects go together.

    Args:
        values: (P,) errors, pixels.
        image_ids: (P,) the image of each.
    """
    images, index = np.unique(image_ids, return_inverse=True)
    total = np.bincount(index, weights=values)
    count = np.bincount(index)
    n = len(images)
    weights = np.random.default_rng(_SEED).multinomial(n, np.full(n, 1 / n), size=_DRAWS)
    draws = (weights @ total) / (weights @ count)
    low, high = np.quantile(draws, [0.005, 0.995])
    return Mean(float(values.mean()), float(low), float(high))


def judge_flip(kind: str, errors: LocalizationErrors) -> Finding:
    """Return the finding about detections of mirrored images, mirrored back, less the plain ones.

    A shift d of all that is detected becomes -d when mirrored back: half of the difference is the
    shift. What is wrong with widths cancels, so it cannot be seen here.

    Args:
        kind: bbox | segm.
        errors: mirrored back less plain.
    """
    stage = "flip equivariance"
    if (few := _too_few(stage, kind, errors)) is not None:
        return few
    columns = {name: errors.values[:, k] for k, name in enumerate(errors.names)}
    if kind == "bbox":
        x, y = (columns["left"] + columns["right"]) / 2, (columns["top"] + columns["bottom"]) / 2
    else:
        x, y = columns["x"], columns["y"]
    shift = mean_over_images(-x / 2, errors.image_ids)
    down = mean_over_images(y, errors.image_ids)
    away = float(np.abs(x).mean()), float(np.abs(y).mean())
    sentence = (
        f"{_FIELDS[kind].capitalize()}: all that is detected lies {shift} px off in x, judged by "
        f"its mirror image, whose y is {down} px off. A detection and its mirror image are "
        f"{away[0]:.2f} px (x), {away[1]:.2f} px (y) apart. "
    )
    if shift.is_sure:
        sentence += (
            "Fix: look in training for a flip by W - 1 - x, or for targets or pooling half a pixel "
            "off: audit the project without --weights."
        )
    return _finding(stage, kind, sentence, {"x": shift}, len(x))


def judge_bias(kind: str, errors: LocalizationErrors) -> Finding:
    """Return the finding about detections less ground truth.

    Args:
        kind: bbox | segm.
        errors: detection less ground truth.
    """
    stage = "bias"
    if (few := _too_few(stage, kind, errors)) is not None:
        return few
    ids = errors.image_ids
    means = {
        name: mean_over_images(errors.values[:, k], ids) for k, name in enumerate(errors.names)
    }
    told = ", ".join(f"{name} {mean}" for name, mean in means.items())
    if kind == "bbox":
        what, v = "edges", errors.values
        numbers = {
            "x": mean_over_images((v[:, 0] + v[:, 2]) / 2, ids),
            "y": mean_over_images((v[:, 1] + v[:, 3]) / 2, ids),
            "width": mean_over_images(v[:, 2] - v[:, 0], ids),
            "height": mean_over_images(v[:, 3] - v[:, 1], ids),
        }
    else:
        what = "centroid, and the outline ('edge', outwards),"
        numbers = dict(means)
    sentence = f"{_FIELDS[kind].capitalize()}: {what} against ground truth, px: {told}."
    if any(n.is_sure for n in numbers.values()):
        sentence += (
            " Fix: where an interval leaves out 0, look for the stage that drifts so: audit the "
            "project without --weights. Annotations and the model have biases of their own, too."
        )
    return _finding(stage, kind, sentence, numbers, len(ids))


def _finding(
    stage: str, kind: str, sentence: str, numbers: dict[str, Mean], matches: int
) -> Finding:
    """A finding whose error is the largest mean that is surely not zero."""
    sure = {name: n for name, n in numbers.items() if n.is_sure}
    error = max((abs(n.mean) for n in sure.values()), default=0.0)
    parameters: dict[str, float] = {"matches": matches}
    for name, n in numbers.items():
        parameters |= {f"{name}_px": n.mean, f"{name}_low": n.low, f"{name}_high": n.high}
    return Finding(
        kind=stage,
        subject=f"{stage}: {_FIELDS[kind]}",
        convention=_name(sure),
        status="deviates" if sure else "aligned",
        sentence=sentence.strip(),
        error_px=error,
        residual_px=max((n.high - n.low) / 2 for n in numbers.values()),
        parameters=parameters,
    )


def _name(sure: dict[str, Mean]) -> str:
    if not sure:
        return "aligned"
    return "shifted" if {"x", "y"} & set(sure) else "resized"


def _too_few(stage: str, kind: str, errors: LocalizationErrors) -> Finding | None:
    count, images = len(errors.image_ids), len(np.unique(errors.image_ids))
    if count >= _FEW and images >= 2:
        return None
    return Finding(
        stage,
        f"{stage}: {_FIELDS[kind]}",
        "none",
        "failed",
        f"Could not be measured: {count} objects in {images} images were found twice, expected at "
        f"least {_FEW} in 2. Take more images, or better weights.",
    )
