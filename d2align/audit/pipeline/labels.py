"""Masks and label maps under a mapper's augmentations: does where they land depend on the dtype?"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from d2align.audit.pipeline.drift import find_drift, measure_drift
from d2align.audit.pipeline.load import Pipeline, quiet
from d2align.audit.pipeline.mapped import seeded
from d2align.audit.pipeline.targets import map_extent, mask_extent, targets
from d2align.audit.pipeline.words import Rule
from d2align.audit.record import Finding

_DTYPES = ("uint8", "bool", "int32", "int64", "float32")
_STAGE = "labels by dtype"
# Sizes at which the ratio is no fraction of small numbers, which would hide a bias or make ties.
_SIZES = ((427, 640), (481, 333))
_RASTER_PX, _NOISE_PX = 0.1, 0.15
_SEEDS, _ENOUGH = 6, 10
_SURE = 2.5  # standard errors of a mean, about, if the scatter were one deviation


def audit_labels(pipeline: Pipeline) -> list[Finding]:
    """Measure masks of several dtypes under the augmentations of the training mapper.

    Args:
        pipeline: what is audited.

    Returns:
        A finding for each dtype; none for a mapper without Detectron2's ``augmentations``, and
        none for a dtype that the augmentations refuse.
    """
    augmentations = getattr(pipeline.train_mapper, "augmentations", None)
    if augmentations is None:
        return []
    found = []
    for dtype in _DTYPES:
        measured = [p for size in _SIZES for p in _measure(augmentations, size, dtype)]
        if not measured:
            continue
        wanted, got = zip(*measured, strict=True)
        drift = measure_drift(wanted, got, _NOISE_PX)
        tolerance = max(_RASTER_PX, _SURE * drift.scatter / np.sqrt(len(measured)))
        name = f"{dtype} masks"
        found.append(
            find_drift(_STAGE, name, drift, tolerance=tolerance, scatter=1.0, words=_WORDS)
        )
    return found


def _measure(augmentations: Any, size: tuple[int, int], dtype: str) -> list[Any]:
    """Pairs of extents, where a mask belongs by the coordinates of its object, and where it is."""
    from detectron2.data import transforms as T

    pairs: list[Any] = []
    for seed, target in itertools.product(range(_SEEDS), targets(size)):
        if len(pairs) >= _ENOUGH:
            break
        image = np.zeros((*size, 3), dtype=np.uint8)
        with seeded(seed), quiet():
            transforms = augmentations(T.AugInput(image))
            try:
                mask = transforms.apply_segmentation(target.mask.astype(dtype))
            except (TypeError, NotImplementedError, RuntimeError, KeyError):
                return []
        extent = mask_extent(np.asarray(mask, dtype=np.float64))
        drawn = mask_extent(target.mask)
        assert drawn is not None
        corners = np.array([[0.0, 0.0], [1000.0, 0.0], [0.0, 1000.0]])
        moved = np.asarray(transforms.apply_coords(corners.copy()), dtype=np.float64)
        axes = ((moved[1:] - moved[0]) / 1000).T
        if min(axes[0, 0], axes[1, 1]) <= 0:
            continue  # a flip would turn the bias round
        wanted = map_extent(np.column_stack([axes, moved[0]]), drawn)
        h, w = np.asarray(mask).shape[:2]
        inside = wanted.min() > 2 and wanted[2] < w - 2 and wanted[3] < h - 2
        if extent is not None and inside:
            pairs.append((wanted, extent))
    return pairs


def _is_moved(drift: Any, near: float, parameters: Any) -> bool:
    """Whether it lies half a pixel of the result to one side, as floor(i * scale) puts it."""
    size_kept = np.abs(drift.mean[2:] - drift.mean[:2]).max() < near + 0.1
    # A rotation after it turns the direction.
    return bool(size_kept and abs(np.hypot(drift.x, drift.y) - np.sqrt(0.5)) < 0.15)


_WORDS = (
    Rule(
        "floor_nearest",
        _is_moved,
        "{field}: resized by nearest at floor(i * scale), which puts them {x:+.2f} px (x), "
        "{y:+.2f} px (y) off the image. That is Detectron2's ResizeTransform for all that is not "
        "uint8; what its mapper reads is. Fix: uint8 masks, or D2ALIGN.MASK_RESIZE unbiased",
    ),
)
