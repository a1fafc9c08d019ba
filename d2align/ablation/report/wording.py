"""Differences in words: no more than an interval says."""

from __future__ import annotations

from collections.abc import Sequence

from d2align.ablation.comparison import METRICS, Row
from d2align.evaluation.bootstrap import PairedDelta
from d2align.evaluation.resolution import bases_to_resolve, images_to_resolve

_MOST_IMAGES = 10**6
_MOST_BASES = 10**4


def format_delta(delta: PairedDelta) -> str:
    """Return a difference with its interval, in AP points.

    Args:
        delta: a paired difference.

    Returns:
        Such as "-1.67 [-2.00, -1.34]".
    """
    if delta.low == delta.high == 0:
        return "0 (the same)"
    return f"{delta.delta:+.2f} [{delta.low:+.2f}, {delta.high:+.2f}]"


def verdicts(rows: Sequence[Row]) -> str:
    """Return the verdict of an arm's rows: one word, or one for boxes and one for masks.

    Args:
        rows: one or two.

    Returns:
        Such as "not resolved / lower".
    """
    words = [row.verdict for row in rows]
    return words[0] if len(set(words)) == 1 else " / ".join(words)


def what_would_resolve(row: Row) -> str:
    """Say what it would take to tell a difference from zero.

    Args:
        row: a row whose verdict is "not resolved".

    Returns:
        A sentence on its measured difference.
    """
    delta, name = row.delta, f"{row.arm.factor} {row.arm.value}, {METRICS[row.metric]}"
    if abs(delta.delta) < 0.005:
        return f"{name}: no difference to resolve ({format_delta(delta)})."
    ways = [way for way in (_images(delta), _bases(delta)) if way]
    needed = " or ".join(ways) if ways else "more images and more bases, both"
    return f"{name}: not resolved. If {delta.delta:+.2f} is the truth, it takes {needed}."


def within_margin(rows: Sequence[Row], margin: float) -> str:
    """Say whether a reported "no effect" holds, as far as the intervals go.

    Args:
        rows: of an arm of which no effect is reported.
        margin: AP within which a difference counts as none.

    Returns:
        A sentence.
    """
    parts = []
    for row in rows:
        low, high = row.delta.low, row.delta.high
        if -margin < low and high < margin:
            holds = f"within {margin:g} AP of no effect"
        elif high <= -margin or low >= margin:
            holds = f"more than {margin:g} AP: an effect"
        else:
            holds = f"too wide to say whether it is within {margin:g} AP of no effect"
        parts.append(f"{METRICS[row.metric]} {format_delta(row.delta)} is {holds}")
    return f"{rows[0].arm.factor} {rows[0].arm.value}: {'; '.join(parts)}."


def _images(delta: PairedDelta) -> str:
    try:
        images = images_to_resolve(delta, delta.delta)
    except ValueError:
        return ""
    return f"{images:,} images" if images <= _MOST_IMAGES else ""


def _bases(delta: PairedDelta) -> str:
    try:
        bases = bases_to_resolve(delta, delta.delta)
    except ValueError:
        return ""
    return f"{bases:,} bases" if bases <= _MOST_BASES else ""
