"""The records of all trials, and the page of the documentation that shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from compatibility.cells import Cell
from compatibility.environment import ROOT
from compatibility.markdown import detectron2_tests_section, make_table

RECORDS = ROOT / "docs" / "compatibility.json"
DETECTRON2_TESTS = ROOT / "docs" / "detectron2_tests.json"
PAGE = ROOT / "docs" / "compatibility.md"

_HEAD = """# What it runs with

Each row is an environment that was made and in which d2align's tests ran; what has no row was not
tried, but for that of `make setup`, in which `make test` runs all of them. The versions are those
that Python imported. This page is generated; do not edit it.

"""
_COLUMNS = {
    "python": "Python",
    "torch": "torch",
    "torchvision": "torchvision",
    "numpy": "NumPy",
    "detectron2_source": "Detectron2",
    "operators": "its operators",
    "passed": "passed",
    "failed": "failed",
    "skipped": "skipped",
    "date": "date",
}
_COMMAND = """
Made by

    tools/check_compatibility.py --python python3.10 --python python3.13 --detectron2-main CHECKOUT

which makes one environment after another, runs the tests in it and writes
`docs/compatibility.json`, from which this page is made. `tests/compatibility/cells.json` says what
is installed in each. Detectron2 v0.5 comes from `tools/install_detectron2.py`, without compiled
operators; main is a checkout, compiled for the CPU.
"""


def read_records(path: Path = RECORDS) -> dict[str, Any]:
    """Read a file of records.

    Args:
        path: of the file; if it is not there, there are none.

    Returns:
        Its content; of RECORDS, name of a cell -> what its last trial gave.
    """
    records: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return records


def write_record(cell: Cell, record: dict[str, Any]) -> None:
    """Put a trial in the place of the cell's last one, and make the page again.

    Args:
        cell: what was tried.
        record: how it went.
    """
    known = {**read_records(RECORDS), cell.name: record}
    RECORDS.write_text(json.dumps(dict(sorted(known.items())), indent=2) + "\n")
    write_page()


def write_detectron2_tests(record: dict[str, Any]) -> None:
    """Put a run of Detectron2's tests in the place of the last one, and make the page again.

    Args:
        record: how it went.
    """
    DETECTRON2_TESTS.write_text(json.dumps(record, indent=2) + "\n")
    write_page()


def write_page() -> None:
    """Make the page from the records."""
    PAGE.write_text(make_page(read_records(RECORDS), read_records(DETECTRON2_TESTS)))


def make_page(records: dict[str, Any], detectron2_tests: dict[str, Any]) -> str:
    """Make the page.

    Args:
        records: name of a cell -> what its last trial gave.
        detectron2_tests: what the last run of Detectron2's tests gave; may be empty.

    Returns:
        Markdown, the oldest Python and torch first.
    """
    by_age = sorted(
        records.items(), key=lambda item: (_numbers(item[1]["python"]), _numbers(item[1]["torch"]))
    )
    rows = [[name, *(str(record[key]) for key in _COLUMNS)] for name, record in by_age]
    table = make_table(["environment", *_COLUMNS.values()], rows)
    page = _HEAD + table + _what_ran(records) + _failures(by_age) + _COMMAND
    return page + (detectron2_tests_section(detectron2_tests) if detectron2_tests else "")


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split("+")[0].split(".") if part.isdigit()]


def _what_ran(records: dict[str, Any]) -> str:
    lines = []
    for key, words in (("system", "System"), ("device", "Device"), ("tests", "Tests")):
        found = {_text(record[key]) for record in records.values()}
        lines.append(f"{words}: {'; '.join(sorted(found))}.")
    return "\n" + "\n".join(lines) + "\n"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ", ".join(f"`{part}`" for part in value)


def _failures(items: list[tuple[str, Any]]) -> str:
    lines = [f"- {name}: `{failure}`\n" for name, record in items for failure in record["failures"]]
    return "\nFailed:\n\n" + "".join(lines) if lines else ""
