"""The headline of a report as plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from d2align.ablation.report.headline import headline, notes
from d2align.ablation.report.outcome import Outcome
from d2align.ablation.report.page import Cell, Link, Table

_WIDTH = 100


def terminal(outcome: Outcome) -> str:
    """Return the headline table and its notes, columns aligned.

    Args:
        outcome: what was measured.

    Returns:
        Text of several lines.
    """
    lead = [textwrap.fill(text, _WIDTH) for text in outcome.lead]
    below = [textwrap.fill(text, _WIDTH) for text in notes(outcome)]
    return "\n\n".join(["", *lead, format_table(headline(outcome)), *below])


def format_table(table: Table) -> str:
    """Return a table with aligned columns.

    Args:
        table: the table.

    Returns:
        Lines: header, rule, rows.
    """
    rows = [table.header, *([_text(cell) for cell in row] for row in table.rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.header))]
    lines = [_line(row, widths) for row in rows]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])


def _line(row: Sequence[str], widths: list[int]) -> str:
    return "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()


def _text(cell: Cell) -> str:
    return cell.text if isinstance(cell, Link) else cell
