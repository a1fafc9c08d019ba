"""Known deviations: a file of excuses with reasons, each of which fails when it goes stale.

    [[deviation]]
    kind = "resize"
    subject = "OpenCV: cv2.resize(dsize, INTER_NEAREST)"     # may have *
    error_px = 0.5                                           # the most that is excused
    reason = "labels only; images go through INTER_LINEAR"

``status = "failed"`` or ``status = "unknown"`` instead of ``error_px`` excuses what could not be
measured or named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from d2align.audit.read_toml import read_toml
from d2align.audit.record import Finding

_SLACK_PX = 0.01
_KEYS = {"kind", "subject", "error_px", "status", "reason"}


@dataclass(frozen=True)
class Deviation:
    """One excuse; see the head of this file."""

    kind: str
    subject: str
    reason: str
    error_px: float | None = None
    status: str | None = None

    def matches(self, finding: Finding) -> bool:
        """Whether this is about that function."""
        return self.kind == finding.kind and _glob(finding.subject, self.subject)

    def excuses(self, finding: Finding) -> bool:
        """Whether that function is no worse than is excused here."""
        if not self.matches(finding):
            return False
        if self.status is not None:
            return finding.status == self.status
        assert self.error_px is not None
        return finding.error_px is not None and finding.error_px <= self.error_px + _SLACK_PX


@dataclass(frozen=True)
class Judgement:
    """What a limit and a list of excuses make of findings.

    Attributes:
        failures: findings over the limit that nothing excuses.
        excused: findings over the limit with the excuse of each.
        stale: excuses for what is no longer over the limit, or no longer there.
    """

    failures: Sequence[Finding]
    excused: Sequence[tuple[Finding, Deviation]]
    stale: Sequence[Deviation]


def judge(
    findings: Sequence[Finding], fail_over: float, deviations: Sequence[Deviation] = ()
) -> Judgement:
    """Hold findings against a limit.

    Args:
        findings: what was measured.
        fail_over: the largest error that passes, pixels. What has no known convention or could not
            be measured does not pass.
        deviations: the excuses.

    Returns:
        The judgement. An excuse about something that was not measured here (a library that is not
        installed) is not stale.
    """
    bad = [f for f in findings if is_over(f, fail_over)]
    excused, failures = [], []
    for finding in bad:
        excuse = next((d for d in deviations if d.excuses(finding)), None)
        if excuse is None:
            failures.append(finding)
        else:
            excused.append((finding, excuse))
    used = {id(excuse) for _, excuse in excused}
    measured = {_owner(f.subject) for f in findings}
    stale = [d for d in deviations if id(d) not in used and _owner(d.subject) in measured]
    return Judgement(failures, excused, stale)


def reason_for(finding: Finding, deviations: Sequence[Deviation]) -> str:
    """Return why a finding that deviates is known and kept; "" if nothing says so."""
    if finding.status == "aligned":
        return ""
    return next((d.reason for d in deviations if d.excuses(finding)), "")


def is_over(finding: Finding, limit: float) -> bool:
    """Tell whether a finding is farther off than a limit, or cannot be said to be within it."""
    if finding.status in ("unknown", "failed"):
        return True
    return finding.error_px is not None and finding.error_px > limit


def read_deviations(path: str | Path) -> list[Deviation]:
    """Read a file of known deviations.

    Args:
        path: of a TOML file in the form described at the head of this module.

    Returns:
        The excuses.

    Raises:
        ValueError: no such file, no TOML, or an entry with missing or unknown keys.
    """
    data = read_toml(path)
    entries = data.get("deviation", [])
    if set(data) - {"deviation"} or not isinstance(entries, list):
        raise ValueError(f"{path}: got {sorted(data)}, expected [[deviation]] tables only")
    return [_entry(path, k, entry) for k, entry in enumerate(entries, 1)]


def _entry(path: str | Path, number: int, entry: dict[str, Any]) -> Deviation:
    where = f"{path}: deviation {number}"
    if set(entry) - _KEYS or not {"kind", "subject", "reason"} <= set(entry):
        raise ValueError(f"{where}: got the keys {sorted(entry)}, expected {sorted(_KEYS)}")
    texts = [entry[key] for key in ("kind", "subject", "reason")]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError(f"{where}: kind, subject and reason must be text, none of them empty")
    if ("error_px" in entry) == ("status" in entry):
        raise ValueError(f"{where}: expected either error_px or status")
    error, status = entry.get("error_px"), entry.get("status")
    if error is not None and (isinstance(error, bool) or not isinstance(error, int | float)):
        raise ValueError(f"{where}: error_px: got {error!r}, expected pixels")
    if status not in (None, "unknown", "failed"):
        raise ValueError(f"{where}: status: got {status!r}, expected 'unknown' or 'failed'")
    return Deviation(*texts, error_px=error, status=status)


def _owner(subject: str) -> str:
    """The library of a subject such as "OpenCV: cv2.resize"; the whole of any other."""
    return subject.partition(": ")[0]


def _glob(subject: str, pattern: str) -> bool:
    # Only * is a wildcard: brackets are part of names.
    return fnmatchcase(subject, pattern.replace("[", "[[]").replace("?", "[?]"))
