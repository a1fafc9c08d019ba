"""Intervals for the AP difference of two arms evaluated on the same images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .matches import MatchTable
from .student_t import t_quantile


@dataclass(frozen=True)
class PairedDelta:
    """AP difference of two arms, variant minus reference, in AP points (0..100).

    Attributes:
        delta: mean difference over bases.
        low: lower end of the interval.
        high: upper end of the interval.
        se: standard error, ``sqrt(image_se**2 + base_se**2)``.
        image_se: part of it that comes from the choice of images; shrinks with more images.
        base_se: part of it that comes from the choice of bases; shrinks with more bases.
        reference_ap: mean AP of the reference.
        variant_ap: mean AP of the variant.
        num_images: images both arms were evaluated on.
        num_draws: bootstrap draws.
        confidence: nominal coverage of the interval.
        base_deltas: difference of each base.
        includes_base_variance: False for a single base: the interval then speaks of other
            images, not of other trainings.
    """

    delta: float
    low: float
    high: float
    se: float
    image_se: float
    base_se: float
    reference_ap: float
    variant_ap: float
    num_images: int
    num_draws: int
    confidence: float
    base_deltas: tuple[float, ...]
    includes_base_variance: bool


# One base: a table, or several whose mean AP is the base's.
Base = MatchTable | Sequence[MatchTable]


def paired_bootstrap(
    reference: MatchTable | Sequence[Base],
    variant: MatchTable | Sequence[Base],
    num_draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    area: str = "all",
    iou: float | None = None,
) -> PairedDelta:
    """Estimate how much AP the variant gains or loses, with an interval.

    Every draw resamples the images with replacement and gives all tables the same ones, so
    that what the arms have in common cancels. With several bases (seeds, trainings) the
    interval also covers the choice of bases; see ``combine_bases`` for the formula. It is
    symmetric, from a t quantile: on synthetic detections it missed the truth 7 to 14 times in
    200 (nominal 10), where the percentiles of the draws missed 11 to 17 times.

    Args:
        reference: matches of the reference arm, one table or one for each base; a base may also
            be several tables (repeats that share a training), whose mean AP then counts as its.
        variant: matches of the other arm, same images, bases in the same order.
        num_draws: bootstrap draws, at least 2.
        seed: seed of the draws.
        confidence: nominal coverage of the interval, between 0 and 1.
        area: area range, as in ``MatchTable.ap``.
        iou: one IoU threshold, or None for the mean over all.

    Returns:
        The difference in AP points, with its interval.

    Raises:
        ValueError: for tables that cannot be paired, fewer than 2 images or draws, or no
            ground truth in the area.
    """
    references, variants = _as_groups(reference), _as_groups(variant)
    _check_pairs(references, variants)
    if num_draws < 2:
        raise ValueError(f"num_draws: got {num_draws}, expected at least 2")
    _check_confidence(confidence)
    reference_ap = 100 * np.array([_mean_ap(group, None, area, iou) for group in references])
    variant_ap = 100 * np.array([_mean_ap(group, None, area, iou) for group in variants])
    if reference_ap[0] < 0:
        raise ValueError(f"area: got {area!r}, expected one in which there is ground truth")

    num_images = references[0][0].num_images
    draws = _draw_deltas(references, variants, num_draws, seed, area, iou)
    # A resample of n images varies by (n - 1) / n of what n fresh images would.
    covariance = np.atleast_2d(np.cov(draws, rowvar=False)) * (num_images / (num_images - 1))
    deltas = variant_ap - reference_ap
    image_se, base_se, half_width = combine_bases(deltas, covariance, num_images, confidence)
    delta = float(deltas.mean())
    return PairedDelta(
        delta=delta,
        low=delta - half_width,
        high=delta + half_width,
        se=math.hypot(image_se, base_se),
        image_se=image_se,
        base_se=base_se,
        reference_ap=float(reference_ap.mean()),
        variant_ap=float(variant_ap.mean()),
        num_images=num_images,
        num_draws=num_draws,
        confidence=confidence,
        base_deltas=tuple(deltas.tolist()),
        includes_base_variance=len(deltas) > 1,
    )


def combine_bases(
    deltas: np.ndarray, covariance: np.ndarray, num_images: int, confidence: float
) -> tuple[float, float, float]:
    """Standard errors and half width of the interval of a mean delta over bases.

    Write the delta of base b as ``mu + u_b + e_b``: ``u_b`` its own effect, variance U, and
    ``e_b`` the noise of the images, whose covariance C over bases the bootstrap measures. The
    bases share their images, so ``e_b`` is partly common: ``shared``, the mean of C off its
    diagonal, is common to all, and ``own``, the mean of the diagonal less ``shared``, is not.
    Then the variance of the mean is ``shared + (U + own) / B``, and the sample variance S of the
    deltas has mean ``U + own``. So

    - the half width is ``sqrt(t(n - 1)**2 * shared + t(B - 1)**2 * S / B)``, each part with the
      quantile of its own degrees of freedom;
    - the image part of the standard error is that of all of C, ``sqrt(sum(C)) / B``, and the base
      part what is left of S: ``sqrt(max(0, S - own) / B)``.

    Taking ``own`` from the bootstrap in the half width, too, would make it narrower, most of all
    with 2 bases; but then bases that agree by chance count as no variance at all, and 92 % are
    covered with 2 bases that differ by several times the image noise. Measured at 95 % nominal:
    95 to 98 % with 3 and 5 bases, 95 to 99 % with 2 (``benchmarks/bootstrap_coverage.py``).

    Args:
        deltas: (B,) delta of each base.
        covariance: (B, B) covariance of the deltas under resampling of the images.
        num_images: number of images.
        confidence: nominal coverage, between 0 and 1.

    Returns:
        Image part of the standard error, base part of it, and the half width.
    """
    num_bases = len(deltas)
    image_se = math.sqrt(max(float(covariance.sum()), 0.0)) / num_bases
    image_quantile = t_quantile(0.5 + confidence / 2, num_images - 1)
    if num_bases == 1:
        return image_se, 0.0, image_quantile * image_se
    shared = (covariance.sum() - np.trace(covariance)) / (num_bases * (num_bases - 1))
    own = np.trace(covariance) / num_bases - shared
    spread = float(deltas.var(ddof=1))
    base_se = math.sqrt(max(0.0, spread - own) / num_bases)
    base_quantile = t_quantile(0.5 + confidence / 2, num_bases - 1)
    half_width = math.hypot(
        image_quantile * math.sqrt(max(0.0, shared)), base_quantile * math.sqrt(spread / num_bases)
    )
    return image_se, base_se, half_width


def verdict(delta: PairedDelta) -> str:
    """Say whether the variant's AP differs from the reference's.

    Args:
        delta: a paired difference.

    Returns:
        ``"lower"``, ``"higher"``, ``"same"`` when no draw of any base differs at all, or ``"not
        resolved"`` when the interval holds zero.
    """
    if delta.low == delta.high == 0:
        return "same"
    if delta.low > 0:
        return "higher"
    return "lower" if delta.high < 0 else "not resolved"


def _draw_deltas(
    references: list[list[MatchTable]],
    variants: list[list[MatchTable]],
    num_draws: int,
    seed: int,
    area: str,
    iou: float | None,
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    num_images = references[0][0].num_images
    draws = []
    for _ in range(num_draws):
        weights = rng.multinomial(num_images, np.full(num_images, 1 / num_images))
        before = [_mean_ap(group, weights, area, iou) for group in references]
        if before[0] >= 0:  # a draw without any ground truth has no AP
            after = [_mean_ap(group, weights, area, iou) for group in variants]
            draws.append(100 * np.subtract(after, before))
    if len(draws) < 2:
        raise ValueError(f"num_draws: got {num_draws}, expected more; nearly none had ground truth")
    return np.array(draws)


def _as_groups(tables: MatchTable | Sequence[Base]) -> list[list[MatchTable]]:
    bases = [tables] if isinstance(tables, MatchTable) else tables
    return [[base] if isinstance(base, MatchTable) else list(base) for base in bases]


def _mean_ap(
    group: list[MatchTable], weights: np.ndarray | None, area: str, iou: float | None
) -> float:
    return float(np.mean([table.ap(weights, area, iou) for table in group]))


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: got {confidence}, expected a number between 0 and 1")


def _check_pairs(references: list[list[MatchTable]], variants: list[list[MatchTable]]) -> None:
    if not references or len(references) != len(variants):
        raise ValueError(
            f"variant: got {len(variants)} tables, expected as many as reference has "
            f"({len(references)}), at least one"
        )
    for name, groups in (("reference", references), ("variant", variants)):
        for index, group in enumerate(groups):
            if not group:
                raise ValueError(f"{name}[{index}]: got no table, expected at least one")
    first = references[0][0]
    if first.num_images < 2:
        raise ValueError(f"reference: got {first.num_images} images, expected at least 2")
    for name, groups in (("reference", references), ("variant", variants)):
        for index, group in enumerate(groups):
            for table in group:
                _check_alike(f"{name}[{index}]", table, first)


def _check_alike(name: str, table: MatchTable, first: MatchTable) -> None:
    if table.iou_type != first.iou_type:
        raise ValueError(f"{name}: got iou_type {table.iou_type!r}, expected {first.iou_type!r}")
    for field in ("image_ids", "category_ids", "iou_thresholds"):
        if not np.array_equal(getattr(table, field), getattr(first, field)):
            raise ValueError(f"{name}: got other {field}, expected those of reference[0]")
