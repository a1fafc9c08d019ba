"""The article's table and what else was known of libraries, row by row, against measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d2align.audit.read_toml import read_toml
from d2align.audit.record import Finding

_TABLE = Path(__file__).with_name("article.toml")


@dataclass(frozen=True)
class Row:
    """What was known of some functions.

    Attributes:
        says: the row, in words.
        kind: of the functions.
        subjects: the functions, as subjects of findings.
        convention: the convention that a finding must name.
        parameters: what else it must say.
        note: where the article and the measurement differ, and why.
    """

    says: str
    kind: str
    subjects: tuple[str, ...]
    convention: str
    parameters: Mapping[str, Any]
    note: str

    def measured(self, findings: Mapping[tuple[str, str], Finding]) -> list[Finding]:
        """Return the findings about its functions, by (kind, subject), that there are."""
        keys = [(self.kind, subject) for subject in self.subjects]
        return [findings[key] for key in keys if key in findings]

    def differences(self, findings: Mapping[tuple[str, str], Finding]) -> list[str]:
        """Return what findings say otherwise, one text for each."""
        found = []
        for finding in self.measured(findings):
            wanted = {"convention": self.convention, **self.parameters}
            got = {"convention": finding.convention, **finding.parameters}
            for name, value in wanted.items():
                if got.get(name) != value:
                    found.append(f"{finding.subject}: {name} is {got.get(name)}, not {value}")
        return found


def read_article() -> list[Row]:
    """Return the rows of the table that d2align carries."""
    return [
        Row(
            says=row["says"],
            kind=row["kind"],
            subjects=tuple(row["subjects"]),
            convention=row["convention"],
            parameters=row.get("parameters", {}),
            note=row.get("note", ""),
        )
        for row in read_toml(_TABLE)["row"]
    ]
