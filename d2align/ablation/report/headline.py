"""The headline table: every arm's difference in AP, and what is reported of it."""

from __future__ import annotations

from collections.abc import Sequence

from d2align.ablation.comparison import Row, misses
from d2align.ablation.report.outcome import Outcome
from d2align.ablation.report.page import Cell, Table
from d2align.ablation.report.reported import reported
from d2align.ablation.report.wording import (
    format_delta,
    verdicts,
    what_would_resolve,
    within_margin,
)

HEADER = ("detail", "turned to", "how", "box AP", "mask AP", "verdict", "reported, on COCO")
_NO_MASKS = "needs the network"


def headline(outcome: Outcome) -> Table:
    """Return the table of differences.

    Args:
        outcome: what was measured.

    Returns:
        One row an arm.
    """
    caption = "AP of the variant minus AP of the reference, in points, with 95 % intervals."
    return Table(HEADER, tuple(headline_row(rows) for rows in outcome.rows), caption)


def headline_row(rows: Sequence[Row]) -> tuple[Cell, ...]:
    """Return the cells of one arm.

    Args:
        rows: its box row and, where masks are known, its mask row.

    Returns:
        As many cells as ``HEADER``.
    """
    arm = rows[0].arm
    by_metric = {row.metric: format_delta(row.delta) for row in rows}
    deltas = (by_metric["bbox"], by_metric.get("segm", _NO_MASKS))
    return (
        arm.factor,
        arm.value,
        arm.note,
        *deltas,
        verdicts(rows),
        reported(arm.factor, arm.value),
    )


def notes(outcome: Outcome) -> list[str]:
    """Return what a reader of the table should know.

    Args:
        outcome: what was measured.

    Returns:
        One paragraph each.
    """
    found = [_reference(outcome)] if outcome.rows else []
    if outcome.nulls:
        found.append(_nulls(outcome))
    trained = [row.delta for rows in outcome.rows for row in rows if row.arm.factor == "null"]
    if trained:
        found.append(
            f"Trained nulls: {len(trained)} differences between trainings in which nothing was "
            f"turned; intervals that leave out 0: {misses(trained)}."
        )
    return found


def resolution_notes(outcome: Outcome) -> list[str]:
    """Return what would resolve the differences that are not.

    Args:
        outcome: what was measured.

    Returns:
        One sentence a row that is not resolved; nulls have nothing to resolve.
    """
    return [
        what_would_resolve(row)
        for rows in outcome.rows
        for row in rows
        if row.verdict == "not resolved" and row.arm.factor != "null"
    ]


def no_effect_notes(outcome: Outcome) -> list[str]:
    """Return whether each reported "no effect" holds within the outcome's margin.

    Args:
        outcome: what was measured.

    Returns:
        One sentence an arm of which no effect is reported.
    """
    if outcome.margin is None:
        return []
    return [
        within_margin(rows, outcome.margin)
        for rows in outcome.rows
        if rows[0].arm.factor != "null"
        and reported(rows[0].arm.factor, rows[0].arm.value).text.startswith("0")
    ]


def _reference(outcome: Outcome) -> str:
    names = {"bbox": "box AP", "segm": "mask AP"}
    first = outcome.rows[0]
    levels = ", ".join(f"{names[row.metric]} {row.delta.reference_ap:.1f}" for row in first)
    bases = len(first[0].delta.base_deltas)
    of = f", mean of {bases} bases," if bases > 1 else ""
    return f"Reference: {levels}{of} on {first[0].delta.num_images} images."


def _nulls(outcome: Outcome) -> str:
    confidence = outcome.nulls[0].confidence
    expected = (1 - confidence) * len(outcome.nulls)
    return (
        f"Nulls: {len(outcome.nulls)} comparisons of equal random jitters; intervals that leave "
        f"out 0: {misses(list(outcome.nulls))}, where {expected:.0f} are expected at "
        f"{confidence:.0%}."
    )
