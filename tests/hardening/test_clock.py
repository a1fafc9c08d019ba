"""A clock that jumps: nothing is taken for dead, stale or done because of it.

Leases of other machines go by the file system's clock (tests/ablation/sweep/test_ledger.py).
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import tqdm.std

from d2align.ablation import runner
from d2align.ablation.study import quick_study
from d2align.ablation.sweep.ledger import ArmFolder
from d2align.ablation.tasks import plan
from d2align.data.shapes import generate_shapes

YEAR = 365 * 24 * 3600.0
REAL = time.time


@pytest.mark.parametrize("years", [-10, 10])
def test_claim_of_a_living_process_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, years: int
) -> None:
    arm = ArmFolder(tmp_path / "arm")
    arm.describe({"id": "a"})
    first = arm.claim(lease=1.0)
    monkeypatch.setattr(time, "time", lambda: REAL() + years * YEAR)
    assert first.is_alive() and arm.claim() is None
    first.beat()
    first.end("stopped", 0, 1.0, [])
    second = arm.claim()
    assert second is not None and second.number == 2 and second.is_alive()


@pytest.mark.parametrize("stamp", [0.0, REAL() + 10 * YEAR], ids=["1970", "in ten years"])
def test_cache_with_odd_times_is_taken_as_it_is(tmp_path: Path, stamp: float) -> None:
    paths = generate_shapes("shapes_128_val", tmp_path, 2, quiet=True)
    for path in (paths.json_file, *paths.image_root.iterdir(), paths.json_file.parent):
        os.utime(path, (stamp, stamp))
    assert generate_shapes("shapes_128_val", tmp_path, 2, quiet=True) == paths
    assert paths.json_file.stat().st_mtime == stamp


def test_tasks_are_done_whatever_their_files_times(tmp_path: Path) -> None:
    study = quick_study()
    runner.prepare_folder(study, tmp_path)
    for number, task in enumerate(plan(study)):
        path = tmp_path / task.out
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (number % 2 * REAL() * 2,) * 2)
    told = []
    runner.run_study(study, "unused.yaml", tmp_path, 1, on_task=lambda task: told.append(task.out))
    assert told == [task.out for task in plan(study)]


def test_progress_bar_goes_on(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    tasks = plan(quick_study())
    bar = runner._bar(tasks, set())
    for offset in (-10 * YEAR, 10 * YEAR, 0.0):
        bar._time = lambda offset=offset: REAL() + offset
        bar.update(tasks[0].cost)
        bar.refresh()
    assert bar.n == pytest.approx(3 * tasks[0].cost)
    bar.close()
    assert isinstance(bar, tqdm.std.tqdm)
