"""What people read of an audit: the worst first, with one sentence and the fix for each fault."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from d2align.audit.card import Card, Change
from d2align.audit.deviations import Judgement
from d2align.audit.record import Finding

_WIDTH = 100
_INDENT = " " * 10


def report(findings: Sequence[Finding]) -> str:
    """Return findings as text, the worst first; what is aligned comes last, as names only.

    Args:
        findings: what was measured.

    Returns:
        Lines of at most 100 characters.
    """
    blocks = [_block(group) for group in groups([f for f in findings if f.status != "aligned"])]
    fine = [f for f in findings if f.status == "aligned"]
    if len(findings) == 1 and fine:
        only = fine[0]
        return _wrapped(f"{_mark(only)} {only.kind}  {only.subject}: {only.sentence}")
    if fine:
        blocks.append(f"aligned   {len(fine)} of {len(findings)}")
    for kind in dict.fromkeys(f.kind for f in fine):
        names = "; ".join(f.subject for f in fine if f.kind == kind)
        blocks.append(_wrapped(f"{_INDENT}{kind}: {names}"))
    return "\n".join(blocks)


def report_card(card: Card) -> str:
    """Return a card as text: versions, findings as in ``report``, and what was skipped."""
    lines = []
    if card.versions:
        names = ", ".join(f"{name} {version}" for name, version in card.versions.items())
        lines.append(_wrapped(f"versions  {names}"))
    lines.append(report(card.findings))
    lines += [_wrapped(f"skipped   {name}: {why}") for name, why in card.skipped.items()]
    return "\n".join(lines)


def report_changes(changes: Sequence[Change], before: Card, after: Card) -> str:
    """Return the differences of two cards as text, with the versions that changed."""
    lines = []
    for package in sorted(set(before.versions) | set(after.versions)):
        old, new = before.versions.get(package), after.versions.get(package)
        if old != new:
            lines.append(f"{package}: {old or 'none'} -> {new or 'none'}")
    lines += [_wrapped(f"{c.kind}  {c.subject}: {c.what}") for c in changes]
    if not changes:
        lines.append("no convention changed")
    return "\n".join(lines)


def report_judgement(judgement: Judgement, fail_over: float) -> str:
    """Return what fails a limit, what is excused, and which excuses are stale."""
    lines = [f"over {fail_over:g} px: {len(judgement.failures)}"]
    lines += [f"  {_mark(f)} {f.kind}  {f.subject}" for f in judgement.failures]
    if judgement.excused:
        lines.append(f"excused: {len(judgement.excused)}")
    for d in judgement.stale:
        lines.append(_wrapped(f"stale excuse, remove it: {d.kind}  {d.subject} ({d.reason})"))
    return "\n".join(lines)


def groups(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Return findings of one kind and convention together, each group and all groups worst first.

    Args:
        findings: what was measured.

    Returns:
        The groups.
    """
    found: dict[tuple[str, str], list[Finding]] = {}
    for f in findings:
        # What is unknown or failed is unlike anything else.
        own = f.sentence if f.status in ("unknown", "failed") or f.kind == "transform" else ""
        found.setdefault((f.kind, f"{f.convention} {own}"), []).append(f)
    groups = [sorted(group, key=_badness, reverse=True) for group in found.values()]
    return sorted(groups, key=lambda group: _badness(group[0]), reverse=True)


def _badness(f: Finding) -> float:
    if f.status == "failed":
        return float("inf")
    return f.error_px if f.error_px is not None else float(f.residual_px or 0.0)


def _block(group: Sequence[Finding]) -> str:
    worst = group[0]
    head = f"{_mark(worst)} {worst.kind}  {worst.convention if worst.status != 'failed' else ''}"
    names = "; ".join(f.subject for f in group)
    text = [head.rstrip(), _wrapped(_INDENT + worst.sentence), _wrapped(_INDENT + names)]
    return "\n".join(text)


def _mark(f: Finding) -> str:
    if f.status == "failed":
        return "failed   "
    if f.status == "unknown":
        return "unknown  "
    return "aligned  " if f.status == "aligned" else f"{f.error_px:6.2f} px"


def _wrapped(text: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
