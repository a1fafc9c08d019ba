"""Installed libraries do what the committed card says, and every excuse for them still holds."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from d2align.audit.article import read_article
from d2align.audit.card import Card, audit_library, compare_cards, library_of, read_card
from d2align.audit.deviations import judge, read_deviations
from d2align.audit.libraries import ADAPTERS, cases, find_adapter
from d2align.audit.markdown import conventions_page
from d2align.audit.probes import KINDS
from d2align.audit.record import ALIGNED_PX

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FOLDER = ROOT / "d2align" / "audit" / "libraries"
CARD = read_card(DOCS / "conventions.json")
DEVIATIONS = read_deviations(DOCS / "known_deviations.toml")
HOW = "tools/audit.py --libraries --json docs/conventions.json --markdown docs/conventions.md"


@cache
def measured(name: str) -> Card:
    return audit_library(name)


def test_every_adapter_is_listed() -> None:
    files = {p.stem for p in FOLDER.glob("*.py")} - {"__init__", "onnx_model"}
    assert files == set(ADAPTERS)


@pytest.mark.parametrize("name", ADAPTERS)
def test_adapters_name_their_library_and_kinds(name: str) -> None:
    """Read, not imported: libraries that are not installed are checked too."""
    tree = ast.parse((FOLDER / f"{name}.py").read_text())
    public = {n.name for n in tree.body if isinstance(n, ast.FunctionDef) and n.name[0] != "_"}
    assert public
    assert public <= set(KINDS)
    targets = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert {"NAME", "PACKAGES"} <= targets


@pytest.mark.parametrize("name", ADAPTERS)
def test_installed_libraries_do_what_the_card_says(name: str) -> None:
    """If this fails: a library's behaviour moved. See what with --compare, then run HOW."""
    card = measured(name)
    if card.skipped:
        pytest.skip(f"{name}: {card.skipped[name]}")
    libraries = {library_of(f) for f in card.findings}
    before = Card({}, [f for f in CARD.findings if library_of(f) in libraries], {})
    changes = [f"{c.kind} {c.subject}: {c.what}" for c in compare_cards(before, card)]
    if changes and (older := older_than_the_card(card)):
        pytest.skip(f"older than the card's, and not the same: {older}")
    assert changes == [], f"to accept them: {HOW}"


def older_than_the_card(card: Card) -> list[str]:
    return [
        f"{name} {version}"
        for name, version in card.versions.items()
        if name in CARD.versions and numbers(version) < numbers(CARD.versions[name])
    ]


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.partition("+")[0].split(".") if part.isdigit()]


@pytest.mark.parametrize("name", ADAPTERS)
def test_no_function_of_an_installed_library_fails(name: str) -> None:
    assert [f.subject for f in measured(name).findings if f.status == "failed"] == []


def test_every_deviation_has_a_reason_and_every_reason_holds() -> None:
    judged = judge(CARD.findings, ALIGNED_PX, DEVIATIONS)
    assert [f.subject for f in judged.failures] == []
    assert [d.subject for d in judged.stale] == []


def test_the_card_holds_all_libraries() -> None:
    assert CARD.skipped == {}
    assert {library_of(f) for f in CARD.findings} == {library_name(n) for n in ADAPTERS}


def library_name(adapter: str) -> str:
    tree = ast.parse((FOLDER / f"{adapter}.py").read_text())
    values = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    return str(ast.literal_eval(values["NAME"]))


def test_the_article_is_reproduced() -> None:
    findings = {(f.kind, f.subject): f for f in CARD.findings}
    for row in read_article():
        assert len(row.measured(findings)) == len(row.subjects), row.says
        assert row.differences(findings) == [], row.says


def test_the_page_is_that_of_the_card() -> None:
    page = conventions_page(CARD, DEVIATIONS)
    assert (DOCS / "conventions.md").read_text() == page, f"run {HOW}"


def test_adapters_are_imported_only_when_asked_for() -> None:
    code = (
        "import sys, d2align.audit, d2align.audit.main;"
        "print([m for m in ('cv2', 'PIL', 'torchvision', 'detectron2', 'scipy') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr


def test_unknown_and_missing_libraries() -> None:
    with pytest.raises(ValueError, match="expected some of"):
        find_adapter("numpy")
    labels = [label for _, label, _ in cases(find_adapter("pillow"))]  # type: ignore[arg-type]
    assert len(labels) == len(set(labels))
