"""Run Detectron2's own tests on its own components, then on d2align's, and compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from detectron2_suite.differences import DIFFERENCES, Difference
from detectron2_suite.plugin import SubstitutionPlugin, run_tests
from detectron2_suite.substitutions import ROUNDS, Round


@dataclass
class Verdict:
    """How the tests of a round went.

    Attributes:
        name: of the round.
        substituted: module's path -> "name -> component", all that was bound.
        passed: tests.
        skipped: test -> why.
        differing: test -> reason, of those that fail as expected.
        broken: tests that fail with Detectron2's own components as well.
        failed: test -> traceback, of those that should not.
        stale: descriptions of expected differences that are none.
    """

    name: str
    substituted: dict[str, list[str]]
    passed: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    differing: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether all is as expected."""
        return not self.failed and not self.stale


def run_suite(
    tests: Path,
    rounds: Sequence[Round] = ROUNDS,
    differences: Sequence[Difference] = DIFFERENCES,
) -> list[Verdict]:
    """Run all rounds, and print what took whose place and how it went.

    Args:
        tests: the folder of tests of a checkout of Detectron2.
        rounds: what is substituted.
        differences: tests that are expected to fail.

    Returns:
        A verdict for each round.

    Raises:
        ValueError: not Detectron2's tests, or a substitution did not take.
    """
    paths = sorted({path for one in rounds for path in one.substitutions})
    own = run_tests(tests, paths, {})
    verdicts = []
    for one in rounds:
        run = run_tests(tests, list(one.substitutions), one.substitutions)
        verdicts.append(judge(one.name, run, own, differences))
        _print(verdicts[-1])
    return verdicts


def judge(
    name: str,
    run: SubstitutionPlugin,
    own: SubstitutionPlugin,
    differences: Sequence[Difference],
) -> Verdict:
    """Compare a round with the run on Detectron2's own components.

    Args:
        name: of the round.
        run: with substitutions.
        own: without.
        differences: tests that are expected to fail.

    Returns:
        The verdict.
    """
    verdict = Verdict(name, run.substituted)
    expected = {d.test: d for d in differences if not d.rounds or name in d.rounds}
    for test, outcome in run.outcomes.items():
        difference = expected.get(test)
        if outcome == "skipped":
            verdict.skipped[test] = run.messages[test]
        elif own.outcomes.get(test) == "failed" and outcome == "failed":
            verdict.broken.append(test)
        elif outcome == "failed" and difference and difference.message in run.messages[test]:
            verdict.differing[test] = difference.reason
        elif outcome == "failed":
            verdict.failed[test] = run.messages[test]
        else:
            verdict.passed.append(test)
            if difference:
                verdict.stale.append(f"{test} passes, and is listed as different")
    for test, difference in expected.items():
        if test not in run.outcomes and (difference.rounds or _module(test) in run.substituted):
            verdict.stale.append(f"{test} is listed as different, and does not exist")
    return verdict


def _module(test: str) -> str:
    return test.split("::")[0]


def _print(verdict: Verdict) -> None:
    print(f"\n{verdict.name}")
    for path, substituted in verdict.substituted.items():
        for line in substituted:
            print(f"  {path}: {line}")
    print(
        f"  {len(verdict.passed)} passed, {len(verdict.differing)} differ as expected, "
        f"{len(verdict.failed)} failed, {len(verdict.skipped)} skipped, "
        f"{len(verdict.broken)} fail with Detectron2's own components, too"
    )
    for test, reason in verdict.differing.items():
        print(f"  differs: {test}: {reason}")
    for test in verdict.broken:
        print(f"  fails with Detectron2's own, too: {test}")
    for test, reason in verdict.skipped.items():
        print(f"  skipped: {test}: {reason}")
    for line in verdict.stale:
        print(f"  stale: {line}")
    for test, traceback in verdict.failed.items():
        print(f"  FAILED: {test}\n{traceback}")
