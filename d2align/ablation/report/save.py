"""Write a report's files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from d2align.ablation.comparison import METRICS, Row, misses
from d2align.ablation.report.content import write_page
from d2align.ablation.report.environment import environment
from d2align.ablation.report.html import html
from d2align.ablation.report.markdown import markdown
from d2align.ablation.report.outcome import Outcome
from d2align.ablation.report.page import Figure, Page
from d2align.ablation.report.reported import reported
from d2align.atomic import replacing, write_text


def save(
    outcome: Outcome, root: Path, progress: Callable[[str], None] = lambda part: None
) -> list[Path]:
    """Write report.html, report.md with its pictures, and results.json, each whole.

    Args:
        outcome: what was measured.
        root: the folder.
        progress: called with the name of each part before it is made.

    Returns:
        The files.
    """
    write_text(root / "results.json", json.dumps(as_json(outcome), indent=1))
    page = write_page(outcome, progress)
    pictures = [_write_picture(figure, root) for figure in _figures(page)]
    write_text(root / "report.md", markdown(page))
    write_text(root / "report.html", html(page))
    return [root / "report.html", root / "report.md", root / "results.json", *pictures]


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Return the measured numbers as JSON values.

    Args:
        outcome: what was measured.

    Returns:
        rows, nulls, settings, environment, seconds.
    """
    nulls = list(outcome.nulls)
    return {
        "title": outcome.title,
        "rows": [_row(row) for rows in outcome.rows for row in rows],
        "nulls": {"count": len(nulls), "misses": misses(nulls), "deltas": [n.delta for n in nulls]},
        "config_diffs": {name: list(lines) for name, lines in outcome.config_diffs.items()},
        "settings": dict(outcome.settings),
        "environment": environment(),
        "seconds": dict(outcome.seconds),
    }


def _row(row: Row) -> dict[str, Any]:
    link = reported(row.arm.factor, row.arm.value)
    cells = {"metric": METRICS[row.metric], "verdict": row.verdict, "reported": link.text}
    return {**asdict(row.arm), **cells, **asdict(row.delta)}


def _figures(page: Page) -> list[Figure]:
    blocks = [*page.lead, *(block for section in page.sections for block in section.blocks)]
    return [block for block in blocks if isinstance(block, Figure)]


def _write_picture(figure: Figure, root: Path) -> Path:
    path = root / f"{figure.name}.png"
    with replacing(path) as partial:
        partial.write_bytes(figure.png)
    return path
