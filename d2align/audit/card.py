"""The card of an environment: every library's conventions at one place and time; comparing two."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d2align.atomic import write_text
from d2align.audit.function import audit_function
from d2align.audit.libraries import ADAPTERS, cases, find_adapter, versions
from d2align.audit.record import Finding

_FORMAT = 1
# Numbers that differ by less are the same measurement.
_SAME_PX = 0.01


@dataclass(frozen=True)
class Card:
    """What was measured in one environment.

    Attributes:
        versions: of the packages, by pip's names.
        findings: of every function.
        skipped: libraries that were not measured, and why.
    """

    versions: Mapping[str, str]
    findings: Sequence[Finding]
    skipped: Mapping[str, str]

    def of(self, library: str) -> list[Finding]:
        """Return the findings about one library, by the name before the colon."""
        return [f for f in self.findings if library_of(f) == library]


@dataclass(frozen=True)
class Change:
    """One thing that differs between two cards."""

    kind: str
    subject: str
    what: str


def library_of(finding: Finding) -> str:
    """Return the library that a finding of a card is about."""
    return finding.subject.partition(": ")[0]


def audit_libraries(names: Iterable[str] | None = None, *, processes: int = 1) -> Card:
    """Audit every library that is installed.

    Args:
        names: of adapters, from ``d2align.audit.libraries.ADAPTERS``; all by default.
        processes: how many libraries to audit at once.

    Returns:
        The card.

    Raises:
        ValueError: an unknown name.
    """
    wanted = list(names or ADAPTERS)
    unknown = sorted(set(wanted) - set(ADAPTERS))
    if unknown:
        raise ValueError(f"--libraries: got {unknown[0]!r}, expected some of {', '.join(ADAPTERS)}")
    if processes > 1 and len(wanted) > 1:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, mp_context=spawn, initializer=_quiet) as pool:
            parts = list(pool.map(audit_library, wanted))
    else:
        parts = [audit_library(name) for name in wanted]
    return Card(
        {k: v for part in parts for k, v in part.versions.items()},
        [finding for part in parts for finding in part.findings],
        {k: v for part in parts for k, v in part.skipped.items()},
    )


def audit_library(name: str) -> Card:
    """Return the card of one library, by its adapter's name."""
    adapter = find_adapter(name)
    if isinstance(adapter, str):
        return Card({}, [], {name: adapter})
    findings = [
        audit_function(fn, kind, subject=f"{adapter.NAME}: {label}")
        for kind, label, fn in cases(adapter)
    ]
    return Card(versions(adapter), findings, {})


def _quiet() -> None:
    """One thread a process, and no chatter of libraries on standard error."""
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)


def compare_cards(before: Card, after: Card) -> list[Change]:
    """Return what differs between two cards: what an upgrade changed.

    Args:
        before: the earlier one.
        after: the later one.

    Returns:
        Changed, gone and new functions; those of libraries that only one card has are left out.
    """
    old = {(f.kind, f.subject): f for f in before.findings}
    new = {(f.kind, f.subject): f for f in after.findings}
    shared = {library_of(f) for f in before.findings} & {library_of(f) for f in after.findings}
    changes = []
    for key in [*old, *(key for key in new if key not in old)]:
        if library_of(old.get(key) or new[key]) not in shared:
            continue
        if key not in new:
            changes.append(Change(*key, "is gone"))
        elif key not in old:
            changes.append(Change(*key, f"is new: {new[key].convention}"))
        else:
            changes += [Change(*key, what) for what in _differences(old[key], new[key])]
    return changes


def _differences(a: Finding, b: Finding) -> list[str]:
    found = []
    for name in ("status", "convention"):
        if getattr(a, name) != getattr(b, name):
            found.append(f"{name}: {getattr(a, name)} -> {getattr(b, name)}")
    pairs: dict[str, tuple[Any, Any]] = {"error": (a.error_px, b.error_px)}
    for name in sorted(set(a.parameters) | set(b.parameters)):
        pairs[name] = a.parameters.get(name), b.parameters.get(name)
    for name, (x, y) in pairs.items():
        if not _same(x, y):
            found.append(f"{name}: {_text(x)} -> {_text(y)}")
    return found


def _same(x: Any, y: Any) -> bool:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (x, y))
    return abs(x - y) <= _SAME_PX if numbers else x == y


def _text(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def write_card(card: Card, path: str | Path) -> None:
    """Write a card as JSON, whole or not at all."""
    data = {
        "format": _FORMAT,
        "versions": dict(card.versions),
        "skipped": dict(card.skipped),
        "findings": [f.to_json() for f in card.findings],
    }
    write_text(Path(path), _lines(data) + "\n")


def read_card(path: str | Path) -> Card:
    """Read a card.

    Args:
        path: of a file that ``write_card`` made.

    Returns:
        The card.

    Raises:
        ValueError: no such file, or one that is no card.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as e:
        raise ValueError(f"{path}: cannot be read as a card ({e})") from None
    keys = {"format", "versions", "skipped", "findings"}
    if not isinstance(data, dict) or set(data) != keys or data["format"] != _FORMAT:
        raise ValueError(f"{path}: is no card of format {_FORMAT} (made by d2align audit --json)")
    kinds = {"versions": dict, "skipped": dict, "findings": list}
    wrong = [key for key, kind in kinds.items() if not isinstance(data[key], kind)]
    if wrong:
        raise ValueError(f"{path}: {wrong[0]}: got {data[wrong[0]]!r:.80}, expected a card's")
    return Card(data["versions"], [Finding.from_json(f) for f in data["findings"]], data["skipped"])


def _lines(data: dict[str, Any]) -> str:
    """JSON with one finding a line, so that a difference of two files can be read."""
    head = {key: value for key, value in data.items() if key != "findings"}
    text = json.dumps(head, indent=1, sort_keys=True)[:-2]
    rows = ",\n  ".join(json.dumps(f, sort_keys=True) for f in data["findings"])
    return f'{text},\n "findings": [\n  {rows}\n ]\n}}'
