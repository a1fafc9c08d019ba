"""How many images or bases would tell an effect from zero."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

from .bootstrap import PairedDelta
from .student_t import t_quantile


def images_to_resolve(delta: PairedDelta, effect: float, power: float = 0.8) -> int:
    """Number of images on which an effect would be told from zero.

    The image part of the variance shrinks as 1 / images, the base part stays.

    Args:
        delta: a paired difference measured with the same bases and a like pair of arms.
        effect: true difference to resolve, in AP points; its sign does not matter.
        power: chance that the interval then leaves zero out.

    Returns:
        The smallest sufficient number of images, at least 2.

    Raises:
        ValueError: for an effect of zero, a power outside 0..1, or an effect that the bases'
            own spread hides at any number of images.
    """
    num_bases = len(delta.base_deltas)
    hidden = _detectable(delta, 0.0, delta.base_se, 2, num_bases, power)
    if _is_hidden(effect, hidden, delta.image_se, power):
        raise ValueError(
            f"effect: got {effect}, expected more than {hidden:.3g}, which the spread "
            f"of {num_bases} bases hides at any number of images; use more bases"
        )

    def resolved(images: int) -> bool:
        image_se = delta.image_se * math.sqrt(delta.num_images / images)
        limit = _detectable(delta, image_se, delta.base_se, images, num_bases, power)
        return limit <= abs(effect)

    return _smallest(resolved)


def bases_to_resolve(delta: PairedDelta, effect: float, power: float = 0.8) -> int:
    """Number of bases (trainings) with which an effect would be told from zero.

    The base part of the variance shrinks as 1 / bases. The image part is taken to stay, though
    the share of it that bases do not have in common shrinks too: the number is on the safe side.

    Args:
        delta: a paired difference measured on as many images and a like pair of arms, with at
            least 2 bases.
        effect: true difference to resolve, in AP points; its sign does not matter.
        power: chance that the interval then leaves zero out.

    Returns:
        The smallest sufficient number of bases, at least 2.

    Raises:
        ValueError: for an effect of zero, a power outside 0..1, a single base, or an effect that
            the choice of images hides at any number of bases.
    """
    measured = len(delta.base_deltas)
    if measured < 2:
        raise ValueError(f"delta: got {measured} base, expected at least 2, whose spread is known")
    hidden = _detectable(delta, delta.image_se, 0.0, delta.num_images, measured, power)
    if _is_hidden(effect, hidden, delta.base_se, power):
        raise ValueError(
            f"effect: got {effect}, expected more than {hidden:.3g}, which the choice of "
            f"{delta.num_images} images hides at any number of bases; use more images"
        )

    def resolved(bases: int) -> bool:
        base_se = delta.base_se * math.sqrt(measured / bases)
        limit = _detectable(delta, delta.image_se, base_se, delta.num_images, bases, power)
        return limit <= abs(effect)

    return _smallest(resolved)


def _is_hidden(effect: float, hidden: float, shrinking_se: float, power: float) -> bool:
    """Whether an effect stays hidden however far one part of the standard error shrinks."""
    if effect == 0 or not math.isfinite(effect):
        raise ValueError(f"effect: got {effect}, expected a finite number other than 0")
    if not 0 < power < 1:
        raise ValueError(f"power: got {power}, expected a number between 0 and 1")
    return hidden > abs(effect) or (shrinking_se > 0 and hidden >= abs(effect))


def _detectable(
    delta: PairedDelta,
    image_se: float,
    base_se: float,
    num_images: int,
    num_bases: int,
    power: float,
) -> float:
    """The effect whose interval leaves zero out with the given chance."""
    tail = 0.5 + delta.confidence / 2
    image_half = t_quantile(tail, num_images - 1) * image_se if image_se else 0.0
    base_half = t_quantile(tail, num_bases - 1) * base_se if base_se else 0.0
    chance = NormalDist().inv_cdf(power) if 0 < power < 1 else 0.0
    return math.hypot(image_half, base_half) + chance * math.hypot(image_se, base_se)


def _smallest(resolved: Callable[[int], bool]) -> int:
    """The smallest number, at least 2, from which on a monotone condition holds."""
    high = 2
    while not resolved(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if resolved(middle) else (middle, high)
    return max(high, 2)
