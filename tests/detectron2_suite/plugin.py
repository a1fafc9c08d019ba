"""A pytest plugin that binds names of collected test modules to components, and notes outcomes."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from detectron2_suite.substitutions import Substitutions, substitute


class SubstitutionPlugin:
    """Substitutes between collection and the first test.

    Names are bound in the collected test modules alone; what they were imported from is not
    changed. A decorator, a base class or a default argument of a module keeps what it was.

    Attributes:
        outcomes: id of a test -> passed | failed | skipped.
        messages: id of a test -> why it failed or was skipped.
        substituted: module's path -> "name -> component", all that was bound.
        error: why substitution did not work, or "".
    """

    def __init__(self, tests: Path, substitutions: Substitutions) -> None:
        """Make the plugin.

        Args:
            tests: Detectron2's folder of tests.
            substitutions: what to bind where; modules with nothing to bind run as they are.
        """
        self.tests, self.substitutions = tests.resolve(), substitutions
        self.outcomes: dict[str, str] = {}
        self.messages: dict[str, str] = {}
        self.substituted: dict[str, list[str]] = {}
        self.error = ""
        self._modules: dict[str, types.ModuleType] = {}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Bind every name, or stop the run."""
        for item in items:
            self._modules[self._path(item.path)] = item.module
        try:
            for path, names in self.substitutions.items():
                if path not in self._modules:
                    raise ValueError(f"{path}: got no test that can be run, expected some")
                self.substituted[path] = list(substitute(self._modules[path], names))
        except ValueError as e:
            self.error = str(e)
            raise pytest.UsageError(self.error) from None

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note modules that cannot be imported."""
        if report.failed:
            self.error = f"{report.nodeid} cannot be collected:\n{report.longreprtext}"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test went: a failure before or after it counts, too."""
        test = report.nodeid
        if report.failed:
            self.outcomes[test], self.messages[test] = "failed", report.longreprtext
        elif report.skipped:
            self.outcomes[test], self.messages[test] = "skipped", _why_skipped(report)
        elif report.when == "call":
            self.outcomes.setdefault(test, "passed")

    def forget_modules(self) -> None:
        """Let the next run import the test modules anew."""
        for module in self._modules.values():
            sys.modules.pop(module.__name__, None)

    def _path(self, path: Path) -> str:
        return path.resolve().relative_to(self.tests).as_posix()


def _why_skipped(report: pytest.TestReport) -> str:
    where_and_why = report.longrepr
    return where_and_why[2] if isinstance(where_and_why, tuple) else report.longreprtext


def run_tests(tests: Path, paths: list[str], substitutions: Substitutions) -> SubstitutionPlugin:
    """Run test modules in this process, printing nothing.

    Args:
        tests: Detectron2's folder of tests.
        paths: of modules, relative to it.
        substitutions: what to bind where.

    Returns:
        The plugin, which knows how it went.

    Raises:
        ValueError: a module is missing or cannot be imported, or a name was not there.
    """
    for path in paths:
        if not (tests / path).is_file():
            raise ValueError(f"tests: got {tests} without {path}, expected Detectron2's tests")
    plugin = SubstitutionPlugin(tests, substitutions)
    # No config: neither Detectron2's nor d2align's own. importlib: the checkout must not come
    # before the installed Detectron2.
    arguments = ["--rootdir", str(tests), "-c", os.devnull, "--import-mode=importlib"]
    arguments += ["-p", "no:cacheprovider", "-p", "no:terminal", "-p", "no:xdist"]
    pytest.main([*arguments, *(str(tests / path) for path in paths)], plugins=[plugin])
    plugin.forget_modules()
    if plugin.error:
        raise ValueError(plugin.error)
    return plugin
