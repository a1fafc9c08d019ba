"""Write a report's page from what was measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from d2align.ablation.comparison import Row
from d2align.ablation.report.biases import bias_section
from d2align.ablation.report.crops import crops_figure, most_different
from d2align.ablation.report.environment import environment
from d2align.ablation.report.figures import deltas_figure
from d2align.ablation.report.headline import headline, no_effect_notes, notes, resolution_notes
from d2align.ablation.report.outcome import Outcome
from d2align.ablation.report.page import Block, Bullets, Code, Page, Section, Table
from d2align.ablation.report.reported import NOTES
from d2align.ablation.report.sizes import size_section
from d2align.ablation.report.tables import ResultTables


def write_page(outcome: Outcome, progress: Callable[[str], None] = lambda part: None) -> Page:
    """Write the page of a comparison.

    Args:
        outcome: what was measured.
        progress: called with the name of each part before it is made.

    Returns:
        The page.
    """
    tables = ResultTables(outcome.dataset)
    makers: list[tuple[str, Callable[[], Section]]] = [
        ("pixels", lambda: bias_section(outcome, tables)),
        ("sizes", lambda: size_section(outcome, tables)),
        ("crops", lambda: _crop_section(outcome, tables)),
        ("configs", lambda: _diff_section(outcome)),
        ("how", lambda: _reproduce_section(outcome)),
    ]
    sections = [_price_section(outcome)]
    for name, make in makers:
        progress(name)
        sections.append(make())
    return Page(outcome.title, tuple(outcome.lead), tuple(s for s in sections if s.blocks))


def _price_section(outcome: Outcome) -> Section:
    blocks: list[Block] = [headline(outcome), *notes(outcome)]
    if outcome.rows:
        blocks.append(deltas_figure(outcome.rows, outcome.title))
    bullets = (*no_effect_notes(outcome), *resolution_notes(outcome))
    blocks += [Bullets(bullets), NOTES] if bullets else [NOTES]
    return Section("The price of each detail", tuple(blocks))


def _crop_section(outcome: Outcome, tables: ResultTables) -> Section:
    if outcome.image_root is None:
        return Section("Where they differ most", ())
    root = outcome.image_root
    files = {i["id"]: root / i["file_name"] for i in outcome.dataset["images"]}
    blocks: list[Block] = []
    for rows in outcome.rows:
        blocks += _crops_of_arm(outcome, tables, rows, files)
    return Section("Where they differ most", tuple(blocks))


def _crops_of_arm(
    outcome: Outcome, tables: ResultTables, rows: Sequence[Row], files: dict[int, Path]
) -> list[Block]:
    arm = rows[0].arm
    changed = [row.metric for row in rows if row.verdict != "same"]
    if not changed or arm.factor == "null":
        return []
    # The metric that the arm moves most is what is shown.
    metric = max(rows, key=lambda row: abs(row.delta.delta)).metric
    reference, variant = outcome.pairs(arm)[0][0]
    differences = most_different(tables.results(reference), tables.results(variant), metric)
    figure = crops_figure(f"crops_{arm.name}", differences, metric, files) if differences else None
    return [f"{arm.factor}: {arm.value} ({arm.note})", figure] if figure else []


def _diff_section(outcome: Outcome) -> Section:
    rows = tuple(
        (name, "; ".join(lines) if lines else "nothing in the config")
        for name, lines in outcome.config_diffs.items()
    )
    table = Table(("arm", "lines that differ from the reference's config"), rows)
    return Section("What each arm changes", (table,) if rows else ())


def _reproduce_section(outcome: Outcome) -> Section:
    settings = json.dumps(outcome.settings, indent=1)
    versions = ", ".join(f"{name} {version}" for name, version in environment().items())
    blocks: list[Block] = [Code(outcome.command), f"Made with {versions}.", Code(settings)]
    if outcome.seconds:
        times = ", ".join(f"{name} {value:.0f} s" for name, value in outcome.seconds.items())
        blocks.append(f"Time: {times}.")
    return Section("How to reproduce it", tuple(blocks))
