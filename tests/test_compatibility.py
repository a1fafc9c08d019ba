"""tools/check_compatibility.py: its cells, its page, and how it counts; no environment is made."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from compatibility import check, page, trial
from compatibility.cells import Cell, choose_cells, read_cells
from compatibility.environment import find_python, make_environment
from compatibility.page import PAGE, make_page, read_records
from compatibility.trial import count_results, try_environment
from detectron2_suite.record import make_record
from detectron2_suite.run import Verdict

CELL = Cell("one", "3.11", "2.12.1", "0.27.1", ">=2", "v0.5")
CONTENT = {key: value for key, value in vars(CELL).items() if key != "name"}
RECORD: dict[str, Any] = {
    "python": "3.11.7",
    "torch": "2.12.1+cu130",
    "torchvision": "0.27.1",
    "numpy": "2.4.6",
    "detectron2": "0.6",
    "detectron2_source": "main",
    "operators": "compiled",
    "system": "Linux x86_64",
    "device": "CPU",
    "passed": 7,
    "failed": 0,
    "skipped": 1,
    "failures": [],
    "date": "2026-01-02",
    "tests": ["tests"],
}


def test_the_page_is_what_the_records_give() -> None:
    detectron2_tests = read_records(page.DETECTRON2_TESTS)
    assert PAGE.read_text() == make_page(read_records(), detectron2_tests)


def test_every_record_is_of_a_cell_and_of_its_versions() -> None:
    cells = read_cells()
    for name, record in read_records().items():
        cell = cells[name]
        assert record["python"].rpartition(".")[0] == cell.python
        assert record["torch"].split("+")[0] == cell.torch
        assert record["torchvision"].split("+")[0] == cell.torchvision
        assert record["detectron2_source"] == cell.detectron2
        assert (record["operators"] == "compiled") == (cell.detectron2 == "main")


def test_no_recorded_test_failed() -> None:
    for name, record in read_records().items():
        assert record["passed"] > 0 and record["failures"] == [], name


def test_rows_are_sorted_by_age_and_failures_are_named() -> None:
    old = {**RECORD, "python": "3.9.1", "torch": "2.0.1", "failed": 1, "failures": ["a::b"]}
    text = make_page({"new": RECORD, "old": old, "older": {**old, "torch": "1.13"}}, {})
    rows = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")]
    assert rows == ["| environment", "| ---", "| older", "| old", "| new"]
    row = "| new | 3.11.7 | 2.12.1+cu130 | 0.27.1 | 2.4.6 | main | compiled | 7 | 0 | 1 |"
    assert f"{row} 2026-01-02 |" in text
    assert "- old: `a::b`" in text and "- new" not in text


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of records and page, in the place of docs/."""
    monkeypatch.setattr(page, "RECORDS", tmp_path / "compatibility.json")
    monkeypatch.setattr(page, "DETECTRON2_TESTS", tmp_path / "detectron2_tests.json")
    monkeypatch.setattr(page, "PAGE", tmp_path / "compatibility.md")
    return tmp_path


def test_a_record_takes_the_place_of_its_cells_last_one(files: Path) -> None:
    other = Cell("another", **CONTENT)
    for cell, passed in ((CELL, 1), (other, 2), (CELL, 3)):
        page.write_record(cell, {**RECORD, "passed": passed})
    written = json.loads((files / "compatibility.json").read_text())
    assert {name: record["passed"] for name, record in written.items()} == {"another": 2, "one": 3}
    assert (files / "compatibility.md").read_text() == make_page(written, {})


def test_detectron2s_tests_get_their_own_part_of_the_page(files: Path) -> None:
    verdict = Verdict("made up", {"a/test_b.py": ["Name -> module:Component"]}, ["t1", "t2"])
    verdict.differing["t3"], verdict.skipped["t4"] = "a reason", "no data"
    page.write_record(CELL, RECORD)
    before = (files / "compatibility.md").read_text()
    versions = {key: RECORD[key] for key in ("python", "torch", "numpy", "detectron2", "operators")}
    page.write_detectron2_tests(make_record([verdict], versions))
    text = (files / "compatibility.md").read_text()
    assert text.startswith(before)
    for row in (
        "| made up | 2 | 1 | 0 | 1 | 0 |",
        "| `t3` | a reason |",
        "| `t4` | is skipped |",
        "| made up | `a/test_b.py` | `Name` | `module:Component` |",
    ):
        assert row in text


def test_cells_can_be_chosen() -> None:
    cells = {name: Cell(name, **CONTENT) for name in ("a", "b")}
    assert [c.name for c in choose_cells([], cells)] == ["a", "b"]
    assert [c.name for c in choose_cells(["b"], cells)] == ["b"]
    with pytest.raises(ValueError, match=r"got 'c', expected one of \['a', 'b'\]"):
        choose_cells(["c"], cells)


@pytest.mark.parametrize(
    ("change", "why"),
    [({"detectron2": "v0.6"}, "got 'v0.6'"), ({"cuda": "13"}, "got .*'cuda'")],
)
def test_unknown_content_of_a_cell_is_refused(
    tmp_path: Path, change: dict[str, str], why: str
) -> None:
    path = tmp_path / "cells.json"
    path.write_text(json.dumps({"a": {**CONTENT, **change}}))
    with pytest.raises(ValueError, match=f"a: .*{why}"):
        read_cells(path)


def test_an_interpreter_is_found_by_the_version_that_it_tells() -> None:
    version = "{}.{}".format(*sys.version_info)
    assert find_python(version, [sys.executable]) == sys.executable
    with pytest.raises(ValueError, match=r"no Python 9\.9"):
        find_python("9.9", [sys.executable])


def test_a_complete_environment_is_used_again(tmp_path: Path) -> None:
    (tmp_path / "complete").touch()
    assert make_environment(CELL, [], tmp_path, None) == tmp_path / "bin" / "python"


def test_main_wants_a_checkout(tmp_path: Path) -> None:
    cell = Cell("main", **{**CONTENT, "detectron2": "main"})
    with pytest.raises(ValueError, match="got None, expected a checkout or a wheel"):
        make_environment(cell, [], tmp_path / "venv", None)


def junit(*cases: str) -> str:
    inner = "".join(
        f'<testcase classname="t" name="n{i}">{c}</testcase>' for i, c in enumerate(cases)
    )
    return f"<testsuites><testsuite>{inner}</testsuite></testsuites>"


def test_counts_of_results(tmp_path: Path) -> None:
    path = tmp_path / "results.xml"
    path.write_text(junit("", "<failure/>", "<error/>", "<skipped/>", ""))
    counts = count_results(path)
    assert counts == {"passed": 2, "failed": 2, "skipped": 1, "failures": ["t::n1", "t::n2"]}
    path.write_text(junit("<skipped/>"))
    with pytest.raises(ValueError, match="got no test that ran"):
        count_results(path)


def test_a_trial_tells_what_was_imported_and_how_tests_went(tmp_path: Path) -> None:
    pytest.importorskip("detectron2")
    import numpy

    tests = tmp_path / "test_two.py"
    tests.write_text("def test_good(): pass\ndef test_bad(): assert 0\n")
    record = try_environment(Path(sys.executable), [str(tests)], tmp_path, processes=0)
    assert set(RECORD) <= {*record, "detectron2_source"}
    assert record["numpy"] == numpy.__version__
    assert record["operators"] in ("compiled", "none, a stub")
    assert (record["passed"], record["failed"], record["skipped"]) == (1, 1, 0)
    assert [name.rpartition("::")[2] for name in record["failures"]] == ["test_bad"]


def test_a_trial_without_results_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "imported_versions", lambda python: {})
    with pytest.raises(ValueError, match="pytest: got no results"):
        try_environment(Path(sys.executable), ["--no-such-option"], tmp_path, processes=0)


@pytest.mark.parametrize("keep", [True, False])
def test_cells_are_tried_and_their_environments_removed(
    files: Path, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:

    def make(cell: Cell, pythons: Any, folder: Path, detectron2_main: Any) -> Path:
        (folder / "bin").mkdir(parents=True, exist_ok=True)
        return folder / "bin" / "python"

    monkeypatch.setattr(check, "make_environment", make)
    failed = {"oldest": 0, "newest": 2}
    monkeypatch.setattr(
        check, "try_environment", lambda p, *_: {**RECORD, "failed": failed[p.parts[-4]]}
    )
    settings = check.Settings([], None, ["tests"], 1, files / "build", keep)
    assert check.check_cells(["oldest"], settings) == 0
    assert check.check_cells(["oldest", "newest"], settings) == 1
    assert list(json.loads((files / "compatibility.json").read_text())) == ["newest", "oldest"]
    assert (files / "build" / "newest" / "venv").exists() == keep


def test_the_tool_names_the_cells(tmp_path: Path) -> None:
    tool = Path(__file__).parents[1] / "tools" / "check_compatibility.py"
    child = subprocess.run(
        [sys.executable, str(tool), "no_such_cell"], capture_output=True, text=True
    )
    assert child.returncode == 2
    assert "got 'no_such_cell', expected one of ['oldest'" in child.stderr
    assert shutil.which(str(tool))
