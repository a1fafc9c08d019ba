"""The tables of the page, and its part on Detectron2's own tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_HEAD = """
## Detectron2's own tests

    tools/run_detectron2_tests.py --tests CHECKOUT/tests --record

runs unit tests of a checkout of Detectron2's main twice: as they are, and with names that they
import bound to d2align's components, in the test modules alone. Detectron2 itself is not changed.
`FastRPN`, `FastROIAlign`, `FastROIPooler` and the adapter of anchors turn into Detectron2's own
classes where TorchScript compiles them, so tests that script them show that this works, and nothing
of their values.
"""
_OTHERS = {
    "failed": "fails",
    "skipped": "is skipped",
    "broken": "fails with Detectron2's own, too",
}
_ROUND_COLUMNS = ("passed", "differ", "failed", "skipped", "fail with Detectron2's own, too")


def make_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Make a table.

    Args:
        head: of its columns.
        rows: its cells.

    Returns:
        Markdown.
    """
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def detectron2_tests_section(record: dict[str, Any]) -> str:
    """Show a run of Detectron2's own tests.

    Args:
        record: what it gave.

    Returns:
        Markdown.
    """
    versions = [f"{name} {record[name]}" for name in ("python", "torch", "numpy", "detectron2")]
    ran = (
        f"\nRun on {record['date']} with {', '.join(versions)}, operators {record['operators']}.\n"
    )
    rounds = record["rounds"]
    keys = ("differing", "failed", "skipped", "broken")
    counts = [
        [one["name"], str(one["passed"]), *(str(len(one[key])) for key in keys)] for one in rounds
    ]
    bound = [
        [one["name"], f"`{path}`", f"`{name}`", f"`{component}`"]
        for one in rounds
        for path, lines in one["substituted"].items()
        for name, component in (line.split(" -> ") for line in lines)
    ]
    differing = {(test, reason) for one in rounds for test, reason in one["differing"].items()}
    others = {
        (f"`{test}`", words)
        for one in rounds
        for key, words in _OTHERS.items()
        for test in one[key]
    }
    parts = [
        make_table(["components", *_ROUND_COLUMNS], counts),
        make_table(
            ["a test that differs", "because"], ([f"`{t}`", r] for t, r in sorted(differing))
        ),
        make_table(["another that does not pass", "it"], sorted(others)),
        make_table(["components", "test module", "name", "bound to"], bound),
    ]
    return "\n".join([_HEAD + ran, *parts])
