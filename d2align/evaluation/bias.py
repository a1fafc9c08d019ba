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


# One base: its errors, or those of several repeats that share a training.
Base = LocalizationErrors | Sequence[LocalizationErrors]


def paired_bias(
    reference: Sequence[Base],
    variant: Sequence[Base],
    num_draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> list[PairedBias]:
    """Compare the signed errors of two arms, with intervals over images and bases.

    Args:
        reference: errors of the reference, one for each base; of several repeats of a base the
            mean counts as its.
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
    pairs = [
        [_common(a, b) for a, b in zip(_as_list(one), _as_list(other), strict=True)]
        for one, other in zip(reference, variant, strict=True)
    ]
    every = [ids for group in pairs for ids, _, _ in group]
    images = np.unique(np.concatenate(every))
    if len(images) < 2 or any(not len(ids) for ids in every):
        return []
    names = _as_list(reference[0])[0].names
    return [
        _bias(name, e, pairs, images, num_draws, seed, confidence) for e, name in enumerate(names)
    ]


def _as_list(base: Base) -> list[LocalizationErrors]:
    return [base] if isinstance(base, LocalizationErrors) else list(base)


_Pair = tuple[np.ndarray, np.ndarray, np.ndarray]


def _common(reference: LocalizationErrors, variant: LocalizationErrors) -> _Pair:
    """Images and both arms' errors of the objects that both arms find."""
    _, a, b = np.intersect1d(reference.annotation_ids, variant.annotation_ids, return_indices=True)
    return reference.image_ids[a], reference.values[a], variant.values[b]


def _bias(
    name: str,
    error: int,
    pairs: list[list[_Pair]],
    images: np.ndarray,
    num_draws: int,
    seed: int,
    confidence: float,
) -> PairedBias:
    references, variants = (
        np.array([np.mean([pair[arm][:, error].mean() for pair in group]) for group in pairs])
        for arm in (1, 2)
    )
    deltas, n = variants - references, len(images)
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=num_draws)
    draws = [np.mean([_draws(p, error, images, weights) for p in group], axis=0) for group in pairs]
    covariance = np.atleast_2d(np.cov(draws)) * (n / (n - 1))
    _, _, half = combine_bases(deltas, covariance, n, confidence)
    return PairedBias(
        name=name,
        delta=float(deltas.mean()),
        low=float(deltas.mean() - half),
        high=float(deltas.mean() + half),
        reference=float(references.mean()),
        variant=float(variants.mean()),
        base_deltas=tuple(deltas.tolist()),
        num_objects=float(np.mean([len(pair[0]) for group in pairs for pair in group])),
    )


def _draws(pair: _Pair, error: int, images: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean difference of one pair of arms in every draw of images."""
    ids, reference, variant = pair
    total, count = _by_image(ids, variant[:, error] - reference[:, error], images)
    means: np.ndarray = (weights @ total) / np.maximum(weights @ count, 1)
    return means


def _by_image(
    ids: np.ndarray, values: np.ndarray, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    index = np.searchsorted(images, ids)
    total = np.bincount(index, weights=values, minlength=len(images))
    return total, np.bincount(index, minlength=len(images))
