"""Signed offsets in pixels, which see what AP cannot."""

from __future__ import annotations

from d2align.ablation.comparison import Row
from d2align.ablation.report.outcome import Outcome
from d2align.ablation.report.page import Section, Table
from d2align.ablation.report.tables import ResultTables
from d2align.evaluation.bias import PairedBias, paired_bias
from d2align.evaluation.localization import BOX_ERRORS, MASK_ERRORS

_ERRORS = {"bbox": BOX_ERRORS, "segm": MASK_ERRORS}
_TEXT = (
    "How far the variant's detections lie from the reference's, on objects that both find, in "
    "original pixels (positive: to the right, or below). A shift of a fraction of a pixel is "
    "certain here long before AP moves. Of masks: the centroid (x, y), and by how much the outline "
    "moves outwards (edge: half the difference of the square roots of the areas)."
)


def bias_section(outcome: Outcome, tables: ResultTables) -> Section:
    """Return the section on pixel offsets.

    Args:
        outcome: what was measured.
        tables: its results files.

    Returns:
        A paragraph, and a table for boxes and one for masks.
    """
    made = [_table(outcome, tables, metric) for metric in _ERRORS]
    return Section("By how many pixels", (_TEXT, *(table for table in made if table.rows)))


def _table(outcome: Outcome, tables: ResultTables, metric: str) -> Table:
    names = _ERRORS[metric]
    rows = []
    for arm_rows in outcome.rows:
        for row in arm_rows:
            if row.metric == metric and row.verdict != "same":
                biases = _biases(outcome, tables, row)
                if biases:
                    cells = [_format(bias) for bias in biases]
                    rows.append((row.arm.factor, row.arm.value, *cells))
    what = "Boxes" if metric == "bbox" else "Masks"
    caption = f"{what}: pixels, with 95 % intervals over images and bases."
    return Table(("detail", "turned to", *names), tuple(rows), caption)


def _biases(outcome: Outcome, tables: ResultTables, row: Row) -> list[PairedBias]:
    bases = outcome.pairs(row.arm)
    reference, variant = (
        [[tables.errors(pair[end], row.metric) for pair in pairs] for pairs in bases]
        for end in (0, 1)
    )
    return paired_bias(reference, variant, outcome.num_draws)


def _format(bias: PairedBias) -> str:
    if bias.low == bias.high == 0:
        return "0"
    return f"{bias.delta:+.3f} [{bias.low:+.3f}, {bias.high:+.3f}]"
