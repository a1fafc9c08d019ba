"""AP differences by the size of objects."""

from __future__ import annotations

import math

from d2align.ablation.comparison import METRICS, Row
from d2align.ablation.report.outcome import Outcome
from d2align.ablation.report.page import Block, Section, Table
from d2align.ablation.report.tables import ResultTables
from d2align.ablation.report.wording import format_delta
from d2align.evaluation.bootstrap import paired_bootstrap


def size_section(outcome: Outcome, tables: ResultTables) -> Section:
    """Return the section on object sizes.

    Args:
        outcome: what was measured.
        tables: its results files.

    Returns:
        A paragraph on the ranges, and a table.
    """
    header = ("detail", "turned to", "metric", *tables.areas)
    rows = [
        (row.arm.factor, row.arm.value, METRICS[row.metric], *_cells(outcome, tables, row))
        for arm_rows in outcome.rows
        for row in arm_rows
        if row.verdict != "same"
    ]
    caption = f"Differences in AP points, 95 % intervals ({outcome.num_draws} draws)."
    blocks: tuple[Block, ...] = (_ranges(tables), Table(header, tuple(rows), caption))
    return Section("By the size of objects", blocks)


def _cells(outcome: Outcome, tables: ResultTables, row: Row) -> list[str]:
    bases = outcome.pairs(row.arm)
    reference, variant = (
        [[tables.by_size(pair[end], row.metric) for pair in pairs] for pairs in bases]
        for end in (0, 1)
    )
    return [
        format_delta(paired_bootstrap(reference, variant, outcome.num_draws, area=name))
        for name in tables.areas
    ]


def _ranges(tables: ResultTables) -> str:
    limits = [f"{math.sqrt(low):.0f}" for low, _ in list(tables.areas.values())[1:]]
    sides = f"sides of {limits[0]} and {limits[1]} px (square roots of areas)"
    if tables.areas_are_coco:
        return f"Small, medium and large as COCO has them: split at {sides}."
    return (
        "COCO's ranges (split at 32 and 96 px) would leave one of them next to empty here, so "
        f"small, medium and large are thirds of this data's objects: split at {sides}."
    )
