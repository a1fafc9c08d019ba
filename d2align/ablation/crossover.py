"""Crossover arms: what a training detail is worth, free of the price of changing it.

A network that was trained under one convention pays for a while when it is turned to another.
So both ends of a pair are fine-tuned from both starts, one trained all aligned, one trained under
the variant: whatever the change costs is then paid once by each end, and cancels in the mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from d2align.ablation.study import REFERENCE, Arm, Study


@dataclass(frozen=True)
class Crossing:
    """One fine-tune of a crossover: from where, to which convention, in which order of batches."""

    arm: Arm
    start: str
    order: int


def crossings(study: Study, arm: Arm) -> Iterator[tuple[Crossing, Crossing]]:
    """Yield the pairs of fine-tunes whose mean difference is a crossover arm's.

    Args:
        study: the study, for how many orders of batches.
        arm: an arm of kind "crossover".

    Yields:
        (to aligned, to the variant), of the same start and order.
    """
    for order in range(study.crossover_orders):
        for start in ("final", arm.name):
            yield _crossing(REFERENCE, start, order, None), _crossing(arm.name, start, order, arm)


def _crossing(end: str, start: str, order: int, variant: Arm | None) -> Crossing:
    factor, value = (variant.factor, variant.value) if variant else (REFERENCE, "aligned")
    name = f"from_{start}-to_{end}-order{order}"  # aligned to aligned is the same for all arms
    return Crossing(Arm(name, "crossing", factor, value), start, order)
