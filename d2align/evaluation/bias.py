"""By how many pixels two arms differ on the objects that both of them find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .bootstrap import combine_bases
from .localization import LocalizationErrors


@dataclass(frozen=True)
class PairedBias:
    """Mean difference of one signed error between two arms, variant minus reference.

    Attributes:
        name: of the error: "left", "top", "right", "bottom", or "x", "y", "edge" of masks.
        delta: mean over bases, original pixels.
        low: lower end of the interval.
        high: upper end of the interval.
        reference: mean error of the reference, pixels.
        variant: mean error of the variant, pixels.
        base_deltas: difference of each base.
        num_objects: found by both arms, mean over bases.
    """

    name: str
    delta: float
    low: float
    high: float
    reference: float
    variant: float
    base_deltas: tuple[float, ...]
    num_objects: float


def paired_bias(
    reference: Sequence[LocalizationErrors],
    variant: Sequence[LocalizationErrors],
    num_draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> list[PairedBias]:
    """Compare the signed errors of two arms, with intervals over images and bases.

    Args:
        reference: errors of the reference, one for each base.
        variant: errors of the variant, bases in the same order.
        num_draws: bootstrap draws over images, at least 2.
        seed: of the draws.
        confidence: nominal coverage of the intervals, between 0 and 1.

    Returns:
        One PairedBias for each kind of error; empty if no base has a common object in at least
        two images.

    Raises:
        ValueError: different numbers of bases, or too few draws.
    """
    if len(reference) != len(variant) or not reference:
        raise ValueError(
            f"variant: got {len(variant)} bases, expected as many as reference has "
            f"({len(reference)}), at least one"
        )
    if num_draws < 2:
        raise ValueError(f"num_draws: got {num_draws}, expected at least 2")
    pairs = [_common(a, b) for a, b in zip(reference, variant, strict=True)]
    images = np.unique(np.concatenate([ids for ids, _, _ in pairs]))
    if len(images) < 2 or any(not len(ids) for ids, _, _ in pairs):
        return []
    return [
        _bias(reference[0].names[e], e, pairs, images, num_draws, seed, confidence)
        for e in range(len(reference[0].names))
    ]


_Pair = tuple[np.ndarray, np.ndarray, np.ndarray]


def _common(reference: LocalizationErrors, variant: LocalizationErrors) -> _Pair:
    """Images and both arms' errors of the objects that both arms find."""
    _, a, b = np.intersect1d(reference.annotation_ids, variant.annotation_ids, return_indices=True)
    return reference.image_ids[a], reference.values[a], variant.values[b]


def _bias(
    name: str,
    error: int,
    pairs: list[_Pair],
    images: np.ndarray,
    num_draws: int,
    seed: int,
    confidence: float,
) -> PairedBias:
    deltas = np.array([(v[:, error] - r[:, error]).mean() for _, r, v in pairs])
    sums = [_by_image(ids, v[:, error] - r[:, error], images) for ids, r, v in pairs]
    rng = np.random.default_rng(seed)
    n = len(images)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=num_draws)
    draws = [(weights @ total) / np.maximum(weights @ count, 1) for total, count in sums]
    covariance = np.atleast_2d(np.cov(draws)) * (n / (n - 1))
    _, _, half = combine_bases(deltas, covariance, n, confidence)
    return PairedBias(
        name=name,
        delta=float(deltas.mean()),
        low=float(deltas.mean() - half),
        high=float(deltas.mean() + half),
        reference=float(np.mean([r[:, error].mean() for _, r, _ in pairs])),
        variant=float(np.mean([v[:, error].mean() for _, _, v in pairs])),
        base_deltas=tuple(deltas.tolist()),
        num_objects=float(np.mean([len(ids) for ids, _, _ in pairs])),
    )


def _by_image(
    ids: np.ndarray, values: np.ndarray, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    index = np.searchsorted(images, ids)
    total = np.bincount(index, weights=values, minlength=len(images))
    return total, np.bincount(index, minlength=len(images))
