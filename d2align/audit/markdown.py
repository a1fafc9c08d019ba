"""The living table: what installed libraries do, as a page of the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from d2align.atomic import write_text
from d2align.audit.article import read_article
from d2align.audit.card import Card, library_of
from d2align.audit.deviations import Deviation, reason_for
from d2align.audit.probes import KINDS
from d2align.audit.record import Finding

_HEAD = """# Which pixel convention does each library obey?

Measured, not read off the documentation: `d2align audit --libraries` feeds each function ramps,
discs and single lit pixels, and names what it sees. An error is how far the function is off
d2align's own convention: integer corners (pixel i is centred on i + 0.5) and sampling grid 2.
Errors of a resize are in pixels of its result, for the worst of several sizes; all others in pixels
of the image. [Deviations in pictures](deviations.html) draws them. This page is generated; do not
edit it.
"""
# What a table shows beside convention and error, in this order, with the words before the value.
_DETAILS = {
    "ties": "ties {}",
    "kernel": "kernel {}",
    "border": "border {}",
    "border_shrinking": "border when shrinking {}",
    "step": "step {}",
    "output_size_rule": "size {}",
    "shift_px": "shift {:+.2f}",
    "scale": "scale {:.3f}",
    "area_error": "area {:+.1%}",
    "width_offset_px": "width {:+.0f}",
    "at_threshold": "at the threshold {}",
    "direction": "{}",
    "mask_reading": "mask as {}",
    "boxes_reading": "boxes as {}",
    "polygons_reading": "polygons as {}",
    "keypoints_reading": "keypoints as {}",
}


_NOTHING = ("untested", "not reached")


def conventions_page(card: Card, deviations: Sequence[Deviation] = ()) -> str:
    """Return the page of a card.

    Args:
        card: what was measured.
        deviations: known ones, whose reasons are given as notes.

    Returns:
        Markdown.
    """
    parts = [_HEAD, _versions(card)]
    for kind in KINDS:
        findings = [f for f in card.findings if f.kind == kind]
        if findings:
            parts.append(_section(kind, findings, deviations))
    parts.append(_article(card))
    return "\n".join(parts)


def write_page(text: str, path: str | Path) -> None:
    """Write a page, whole or not at all."""
    write_text(Path(path), text)


def _versions(card: Card) -> str:
    names = ", ".join(f"{name} {version}" for name, version in sorted(card.versions.items()))
    skipped = "".join(f"\nNot measured: {n} ({why})." for n, why in card.skipped.items())
    return f"Versions: {names}.{skipped}\n"


def _section(kind: str, findings: Sequence[Finding], deviations: Sequence[Deviation]) -> str:
    rows = ["| function | convention | off (px) | details |", "|---|---|---|---|"]
    notes: list[str] = []
    for f in findings:
        reason = reason_for(f, deviations)
        if reason and reason not in notes:
            notes.append(reason)
        mark = f" [{notes.index(reason) + 1}]" if reason else ""
        cells = (_escaped(f.subject), f"{f.convention}{mark}", _error(f), _details(f))
        rows.append(f"| {' | '.join(cells)} |")
    text = f"## {kind}\n\n" + "\n".join(rows) + "\n"
    for number, reason in enumerate(notes, 1):
        text += f"\n[{number}] {reason}\n"
    return text


def _error(f: Finding) -> str:
    if f.error_px is None:
        return ""
    return "0" if f.status == "aligned" else f"{f.error_px:.2f}"


def _details(f: Finding) -> str:
    if f.status in ("failed", "unknown"):
        return _escaped(f.sentence)
    found: list[Any] = []
    for name, text in _DETAILS.items():
        value = f.parameters.get(name)
        if value not in (None, *_NOTHING) and not _is_plain(name, value):
            found.append(text.format(value))
    if f.parameters.get("antialias"):
        found.append("antialiased")
    return _escaped(", ".join(found))


def _is_plain(name: str, value: Any) -> bool:
    """Whether a number is what it would be without any deviation."""
    return isinstance(value, float) and abs(value - (name == "scale")) < 0.005


def _article(card: Card) -> str:
    findings = {(f.kind, f.subject): f for f in card.findings}
    rows = ["| known | measured | note |", "|---|---|---|"]
    for row in read_article():
        measured = row.measured(findings)
        differences = row.differences(findings)
        if not measured:
            verdict = "not measured here"
        else:
            count = ", ".join(dict.fromkeys(library_of(f) for f in measured))
            verdict = "; ".join(differences) if differences else f"the same ({count})"
        rows.append(f"| {_escaped(row.says)} | {_escaped(verdict)} | {_escaped(row.note)} |")
    return (
        "## The article's table, row by row\n\n"
        'What "Where Are Pixels?" and earlier probes say, and what was measured now.\n\n'
        + "\n".join(rows)
        + "\n"
    )


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
