"""Cards: what was measured in one place, compared with another; and known deviations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from d2align.audit import Finding
from d2align.audit.card import Card, compare_cards, read_card, write_card
from d2align.audit.deviations import Deviation, judge, read_deviations


def finding(subject: str, **changes: Any) -> Finding:
    fields: dict[str, Any] = {
        "kind": "resize",
        "subject": subject,
        "convention": "half_pixel",
        "status": "aligned",
        "sentence": "Samples on grid 2.",
        "error_px": 0.0,
        "residual_px": 0.0,
        "parameters": {"ties": "up", "end_shift_px": 0.1},
    }
    return Finding(**fields | changes)


def off(subject: str, error: float = 0.5) -> Finding:
    return finding(subject, convention="asymmetric_floor", status="deviates", error_px=error)


BEFORE = Card({"a": "1"}, [finding("A: f"), finding("A: g"), finding("B: h")], {"c": "not here"})


def test_a_card_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    write_card(BEFORE, path)
    assert read_card(path) == BEFORE
    assert [p.name for p in tmp_path.iterdir()] == ["card.json"]
    # One finding a line, so that two files can be compared by eye.
    assert len([line for line in path.read_text().splitlines() if '"subject"' in line]) == 3


@pytest.mark.parametrize("text", ["", "[]", '{"format": 1}', '{"findings": [], "format": 9}'])
def test_no_card(tmp_path: Path, text: str) -> None:
    path = tmp_path / "card.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="card"):
        read_card(path)


def test_no_file() -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        read_card("nowhere.json")


def test_equal_cards_have_no_changes() -> None:
    assert compare_cards(BEFORE, BEFORE) == []


def test_changes_of_an_upgrade() -> None:
    after = Card(
        {"a": "2"},
        [
            finding("A: f", parameters={"ties": "down", "end_shift_px": 0.105}),
            off("A: new"),
            finding("D: other library"),
        ],
        {},
    )
    changes = {(c.subject, c.what) for c in compare_cards(BEFORE, after)}
    assert changes == {
        ("A: f", "ties: up -> down"),
        ("A: g", "is gone"),
        ("A: new", "is new: asymmetric_floor"),
    }


def test_a_change_of_convention_is_told_with_its_error() -> None:
    after = Card({}, [off("A: f"), finding("A: g"), finding("B: h")], {})
    changes = {c.what for c in compare_cards(BEFORE, after)}
    assert changes == {
        "convention: half_pixel -> asymmetric_floor",
        "status: aligned -> deviates",
        "error: 0.00 -> 0.50",
    }


def test_judgement() -> None:
    findings = [finding("A: f"), off("A: g"), off("A: k"), off("B: h", 0.9)]
    excuses = [
        Deviation("resize", "A: g", "why", 0.5),
        Deviation("resize", "A: f", "no longer so", 0.5),
        Deviation("resize", "B: *", "too much by now", 0.5),
        Deviation("resize", "C: not installed", "why", 0.5),
    ]
    judged = judge(findings, 0.1, excuses)
    assert [f.subject for f in judged.failures] == ["A: k", "B: h"]
    assert [(f.subject, d.reason) for f, d in judged.excused] == [("A: g", "why")]
    assert [d.subject for d in judged.stale] == ["A: f", "B: *"]


def test_the_unknown_and_the_failed_do_not_pass() -> None:
    findings = [
        finding("A: f", status="unknown", convention="unknown", error_px=None),
        finding("A: g", status="failed", convention="none", error_px=None, residual_px=None),
    ]
    assert len(judge(findings, 9.0).failures) == 2
    excuse = Deviation("resize", "A: *", "why", status="unknown")
    assert [f.subject for f in judge(findings, 9.0, [excuse]).failures] == ["A: g"]


def test_brackets_in_names_are_no_wildcards() -> None:
    assert Deviation("resize", "A: f[0]?", "why", 1.0).matches(finding("A: f[0]?"))
    assert not Deviation("resize", "A: f[0]?", "why", 1.0).matches(finding("A: f0x"))


def test_files_of_deviations(tmp_path: Path) -> None:
    path = tmp_path / "known.toml"
    path.write_text(
        '[[deviation]]\nkind = "resize"\nsubject = "A: f"\nerror_px = 1\nreason = "why"\n'
        '[[deviation]]\nkind = "resize"\nsubject = "A: g"\nstatus = "failed"\nreason = "why"\n'
    )
    assert read_deviations(path) == [
        Deviation("resize", "A: f", "why", 1),
        Deviation("resize", "A: g", "why", status="failed"),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = ", "no TOML"),
        ("x = 1", "tables only"),
        ('[[deviation]]\nkind = "resize"', "expected"),
        ('[[deviation]]\nkind = "k"\nsubject = "s"\nreason = " "\nerror_px = 1', "must be text"),
        ('[[deviation]]\nkind = "k"\nsubject = "s"\nreason = "r"', "either"),
        ('[[deviation]]\nkind = "k"\nsubject = "s"\nreason = "r"\nerror_px = "1"', "pixels"),
        ('[[deviation]]\nkind = "k"\nsubject = "s"\nreason = "r"\nstatus = "odd"', "status"),
        ('[[deviation]]\nkind = "k"\nsubject = "s"\nreason = "r"\nerror = 1', "keys"),
    ],
)
def test_bad_files_of_deviations(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "known.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=says):
        read_deviations(path)
