"""The documentation is true: snippets run, links and commands exist, nothing public is left out."""

from __future__ import annotations

import contextlib
import doctest
import functools
import importlib
import importlib.util
import io
import json
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
NOTEBOOK = DOCS / "notebooks" / "where_are_pixels.ipynb"
# A fence of Python is run, in the order of its page, unless a comment before it says why not.
FENCE = re.compile(r"^(<!-- not run: [^\n]+ -->\n)?```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"((?:tools|benchmarks)/\w+\.py|\bd2align (?:audit|price|ablate|grids)\b)(.*)")
CONFIG_KEY = re.compile(r"\b(?:D2ALIGN|MODEL|SOLVER|INPUT)(?:\.[A-Z][A-Z0-9_]*[A-Z0-9]\b)+")
PACKAGES = ("geometry", "modeling", "data", "evaluation", "audit", "ablation")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def fences(page: Path) -> list[tuple[int, str]]:
    """The line and the text of each Python fence that is to be run."""
    text = page.read_text()
    return [
        (text.count("\n", 0, match.start(2)) + 1, match[2])
        for match in FENCE.finditer(text)
        if not match[1]
    ]


@pytest.mark.parametrize("page", [p for p in PAGES if fences(p)], ids=name)
def test_snippets_run(page: Path) -> None:
    if "detectron2" in page.read_text():
        pytest.importorskip("detectron2")
    names: dict[str, Any] = {}
    for line, text in fences(page):
        if text.startswith(">>>"):
            run_examples(page, line, text, names)
        else:
            exec(compile("\n" * (line - 1) + text, str(page), "exec"), names)


def run_examples(page: Path, line: int, text: str, names: dict[str, Any]) -> None:
    """Run a fence of ``>>>`` lines, whose results are compared."""
    examples = doctest.DocTestParser().get_examples(text)
    test = doctest.DocTest(examples, names, name(page), str(page), line - 1, text)
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test, out=told.append, clear_globs=False)
    names.update(test.globs)
    assert not runner.failures, "".join(told)


def test_the_imports_of_the_readme_exist() -> None:
    pytest.importorskip("detectron2")
    found = re.findall(
        r"^from (d2align\S*) import ([\w, ]+)$", (ROOT / "README.md").read_text(), re.M
    )
    assert found
    for module, names in found:
        for public in names.split(", "):
            assert hasattr(importlib.import_module(module), public), f"{module}.{public}"


def test_the_notebook_runs_and_holds_no_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "Agg")
    cells = [c for c in json.loads(NOTEBOOK.read_text())["cells"] if c["cell_type"] == "code"]
    assert len(cells) > 5
    names: dict[str, Any] = {}
    for number, cell in enumerate(cells):
        assert cell["outputs"] == [] and cell["execution_count"] is None
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile("".join(cell["source"]), f"{NOTEBOOK.name}:{number}", "exec"), names)


@pytest.mark.parametrize("text", TEXTS, ids=name)
def test_relative_links_and_images_exist(text: Path) -> None:
    without_code = re.sub(r"^```.*?^```|`[^`\n]*`", "", text.read_text(), flags=re.M | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code):
        if re.match(r"[a-z]+:", target):
            continue
        path = target.split("#")[0]
        assert not path or (text.parent / path).exists(), f"{name(text)}: {target}"


def commands(text: Path) -> Iterator[tuple[str, list[str]]]:
    """Each command that a page mentions, with the options that it gives."""
    joined = text.read_text().replace("\\\n", " ")
    for line in joined.splitlines():
        for part in re.split(r"`", line):
            for tool, rest in COMMAND.findall(part):
                yield tool, re.findall(r"(?<!\S)--[a-z][\w-]*", rest.split(" #")[0])


@functools.cache
def options_of(tool: str) -> set[str]:
    """The options that a command's help names; it is run in this process."""
    flag = "--hydra-help" if tool == "tools/sweep.py" else "--help"
    arguments = [*tool.split(), flag]
    path = ROOT / arguments[0]
    old, printed = sys.argv, io.StringIO()
    sys.argv = arguments
    sys.path.insert(0, str(path.parent))
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            if path.suffix:
                runpy.run_path(str(path), run_name="__main__")
            else:
                importlib.import_module("d2align.cli.command").main(arguments[1:])
    finally:
        sys.argv = old
        sys.path.remove(str(path.parent))
    return set(re.findall(r"--[a-z][\w-]*", printed.getvalue()))


def test_commands_and_their_options_exist() -> None:
    pytest.importorskip("detectron2")
    wanted: dict[str, set[str]] = {}
    for text in TEXTS:
        for tool, options in commands(text):
            wanted.setdefault(tool, set()).update(options)
    assert {"tools/train_net.py", "tools/sweep.py", "d2align audit"} <= set(wanted)
    for tool, options in wanted.items():
        if not options:
            assert " " in tool or (ROOT / tool).is_file(), tool
            continue
        assert options <= options_of(tool), f"{tool} has no {sorted(options - options_of(tool))}"


def test_options_named_alone_are_those_of_a_command_of_the_page() -> None:
    pytest.importorskip("detectron2")
    for text in TEXTS:
        alone = set(re.findall(r"`(--[a-z][\w-]*)[^`\n]*`", text.read_text()))
        known = set().union(*(options_of(tool) for tool, _ in commands(text))) if alone else set()
        assert alone <= known, f"{name(text)}: {sorted(alone - known)}"


@pytest.mark.parametrize("text", TEXTS, ids=name)
def test_files_and_make_targets_exist(text: Path) -> None:
    content = text.read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^ {4}|`)make ([a-z]+)", content, re.M):
        assert re.search(rf"^{target}:", makefile, re.M), f"make {target}"
    for config in re.findall(r"`(ablation_\w+\.yaml)`", content):
        assert (ROOT / "configs" / config).exists(), config
    folders = r"(?<![\w./-])(?:configs|tools|benchmarks|tests|docs)/[\w./-]+\.(?:yaml|py|md|toml)"
    for path in re.findall(folders, content):
        assert (ROOT / path).exists(), path


def test_config_keys_exist() -> None:
    pytest.importorskip("detectron2")
    from d2align.engine import load_config

    cfg = load_config("", ["MODEL.DEVICE", "cpu"])
    for text in TEXTS:
        for key in CONFIG_KEY.findall(text.read_text()):
            node: Any = cfg
            for part in key.split("."):
                assert part in node, f"{name(text)}: {key}"
                node = node[part]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_the_reference(package: str) -> None:
    if package in ("modeling", "data"):
        pytest.importorskip("detectron2")
    page = (DOCS / "api" / f"{package}.md").read_text()
    module = importlib.import_module(f"d2align.{package}")
    missing = [n for n in module.__all__ if not re.search(rf"(\.|`){n}(\n|`)", page)]
    assert not missing, f"docs/api/{package}.md lacks {missing}"


def test_every_kind_of_audit_is_in_the_reference() -> None:
    from d2align.audit import KINDS

    table = re.findall(r"^\| `(\w+)` \| .*`", (DOCS / "api" / "audit.md").read_text(), re.M)
    assert table == list(KINDS)


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    listed = set(re.findall(r"[\w/]+\.md", navigation))
    assert listed == {str(p.relative_to(DOCS)) for p in PAGES}


def test_docstring_labels_become_paragraphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "griffe", SimpleNamespace(Extension=object, Object=object))
    path = DOCS / "_build" / "docstring_labels.py"
    spec = importlib.util.spec_from_file_location("docstring_labels", path)
    assert spec is not None and spec.loader is not None
    labels = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(labels)
    text = "Do.\nConvention: integer\ncorners.\n\nDiffers from: a.\nSource: b,\n    c.\n"
    paragraphs = [part for part in labels.label(text).split("\n") if part]
    assert paragraphs == [
        "Do.",
        "**Convention:** integer corners.",
        "**Differs from:** a.",
        "**Source:** b, c.",
    ]
    assert labels.label(text).count("\n\n**") == 3
    returns = "Do.\n\nReturns:\n    bool: so.\n"
    assert labels.name_returned_type(returns, "Tensor") == returns.replace("bool", "Tensor: bool")
