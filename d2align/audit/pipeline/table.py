"""A project's findings as a table, one row a stage and field, and what is to be done."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from d2align.audit.pipeline.command import DETECTRON2S
from d2align.audit.record import Finding

_WIDTH = 100


def report_pipeline(findings: Sequence[Finding]) -> str:
    """Return findings as text: a table in the order of the stages, then a sentence for each fault.

    Args:
        findings: of ``audit_pipeline``.

    Returns:
        Lines of at most 100 characters.
    """
    rows = [("stage", "field", "x px", "y px", "error", "verdict")]
    rows += [_row(f) for f in findings]
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [_line(row, widths) for row in rows]
    for f in findings:
        if f.status != "aligned":
            lines += ["", f"{f.subject}  ({_verdict(f)})", *textwrap.wrap(f.sentence, _WIDTH)]
    faults = sum(f.status != "aligned" and not _is_detectron2s(f) for f in findings)
    known = sum(_is_detectron2s(f) for f in findings)
    lines += ["", f"{faults} of {len(findings)} to look at, {known} known of Detectron2 itself"]
    return "\n".join(line.rstrip() for line in lines)


def _row(f: Finding) -> tuple[str, ...]:
    stage, _, field = f.subject.partition(": ")
    x, y = (f.parameters.get(name) for name in ("x_px", "y_px"))
    error = "" if f.error_px is None else f"{f.error_px:.2f}"
    return stage, field, _signed(x), _signed(y), error, _verdict(f)


def _signed(value: float | None) -> str:
    # No -0.00.
    return "" if value is None else f"{round(value, 2) + 0.0:+.2f}"


def _verdict(f: Finding) -> str:
    if f.status in ("aligned", "failed", "unknown"):
        return f.status
    return f"known: {f.convention}" if _is_detectron2s(f) else f.convention


def _is_detectron2s(f: Finding) -> bool:
    return f.status == "deviates" and (f.kind, f.convention) in DETECTRON2S


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        cell.rjust(width) if 2 <= k <= 4 else cell.ljust(width)
        for k, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells)
