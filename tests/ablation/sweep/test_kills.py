"""Sweeps that are killed: nothing lost, nothing run twice, the same table."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from fake_arm import STEPS
from launching import FAKE, Sweep, run_with_kills, running_arms, wait_until

from d2align.ablation.sweep.processes import is_running, start_time

GRID = ["arm=reference,flip_index", "seed=1,2,3"]
KILLS = ["launcher", "arm", "launcher", "arm", "arm", "launcher", "launcher"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {"D2ALIGN_CACHE": str(tmp_path_factory.mktemp("cache"))}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Sweep:
    root = tmp_path_factory.mktemp("undisturbed") / "sweep"
    sweep = Sweep(root, [*FAKE, *GRID], {**environment, "FAKE_STEP_SECONDS": "0.001"})
    assert sweep.finish() == 0, sweep.said()
    return sweep


def steps_of(arm: Path) -> dict[str, list[tuple[int, float]]]:
    """attempt -> (step, when) of each."""
    steps: dict[str, list[tuple[int, float]]] = {}
    for line in (arm / "train" / "steps.txt").read_text().splitlines():
        attempt, step, when = line.split()
        steps.setdefault(attempt, []).append((int(step), float(when)))
    return steps


def test_killed_sweep_ends_with_the_table_of_an_undisturbed_one(
    tmp_path: Path, environment: dict[str, str], undisturbed: Sweep
):
    sweep = Sweep(tmp_path / "sweep", [*FAKE, *GRID], environment)
    made = run_with_kills(sweep, KILLS, random.Random(0), delay=0.3)
    assert made == KILLS
    assert sweep.table() == undisturbed.table()
    for arm in (sweep.root / "arms").iterdir():
        attempts = list(steps_of(arm).values())
        assert {step for steps in attempts for step, _ in steps} == set(range(STEPS))
        for before, after in itertools.pairwise(attempts):
            assert before[-1][1] < after[0][1]  # one after the other
            # From the last checkpoint on: nothing before it is done again, nothing left out.
            assert after[0][0] in (before[-1][0] // 3 * 3, (before[-1][0] + 1) // 3 * 3)
        assert (arm / "result.json").exists()


def test_repeated_command_runs_nothing(undisturbed: Sweep):
    before = {p: p.stat().st_mtime_ns for p in undisturbed.root.glob("arms/*/*")}
    assert undisturbed.finish() == 0
    changed = [p.name for p, t in before.items() if p.stat().st_mtime_ns != t]
    assert set(changed) == {"arm.json"}
    assert "6 of them done" in undisturbed.said()


def test_arm_ends_with_its_launcher(tmp_path: Path, environment: dict[str, str]):
    slow = {**environment, "FAKE_STEP_SECONDS": "30"}
    sweep = Sweep(tmp_path / "sweep", [*FAKE, *GRID], slow)
    launcher = sweep.start()
    wait_until(lambda: running_arms(sweep.root))
    (pid,) = running_arms(sweep.root)
    started = start_time(pid)
    launcher.kill()
    launcher.join()
    wait_until(lambda: not is_running(pid, started), timeout=5)


def test_two_launchers_share_a_folder(
    tmp_path: Path, environment: dict[str, str], undisturbed: Sweep
):
    root = tmp_path / "sweep"
    first, second = (Sweep(root, [*FAKE, *GRID], environment) for _ in range(2))
    processes = [first.start(), second.start()]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0, first.said()
    assert first.table() == undisturbed.table()
    for arm in (root / "arms").iterdir():
        assert [step for step, _ in steps_of(arm)["attempt-1"]] == list(range(STEPS))
        assert len(steps_of(arm)) == 1
