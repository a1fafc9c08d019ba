"""Claims: one process has an arm at a time, and a dead one's arm is free again."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from d2align.ablation.sweep import ledger
from d2align.ablation.sweep.ledger import ArmFolder, Attempt, arm_folders
from d2align.ablation.sweep.processes import (
    TOKEN_VARIABLE,
    is_running,
    machine,
    processes_of,
    start_time,
)

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def arm(tmp_path: Path) -> ArmFolder:
    folder = ArmFolder(tmp_path / "arms" / "flip_index-seed1-0123abcd")
    folder.describe({"id": folder.path.name})
    return folder


def pretend(attempt: Attempt, **changes: object) -> None:
    """Rewrite who has claimed an attempt."""
    path = attempt.folder / "claim.json"
    path.write_text(json.dumps({**attempt.claim(), **changes}))


def dead_process() -> dict[str, object]:
    process = subprocess.Popen(SLEEP)
    who = {"pid": process.pid, "started": start_time(process.pid)}
    process.kill()
    process.wait()
    return who


def _claim(path: str, barrier: Barrier, won: Queue) -> None:
    barrier.wait()
    if ArmFolder(Path(path)).claim() is not None:
        won.put(os.getpid())
    barrier.wait()  # alive while the others try


def test_of_many_processes_one_has_the_arm(arm: ArmFolder):
    context = multiprocessing.get_context("fork")
    won = context.Queue()
    arguments = (str(arm.path), context.Barrier(12, timeout=60), won)
    processes = [context.Process(target=_claim, args=arguments) for _ in range(12)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert won.get(timeout=5) == arm.last_attempt().claim()["pid"]
    assert won.empty()
    assert [a.number for a in arm.attempts()] == [1]
    assert not list(arm.path.glob("*.tmp"))


def test_claim_that_comes_a_moment_late_is_refused(arm: ArmFolder, monkeypatch: pytest.MonkeyPatch):
    first = arm.claim()
    with monkeypatch.context() as patch:
        patch.setattr(ArmFolder, "last_attempt", lambda self: None)  # as it was a moment before
        before = first.claim()
        assert arm.claim() is None
    assert arm.attempts() == [first] and first.claim() == before
    assert not list(arm.path.glob("*.tmp"))


def test_claim_of_a_living_process_stands_and_of_a_dead_one_does_not(arm: ArmFolder):
    first = arm.claim()
    assert first is not None and first.is_alive() and arm.is_running()
    assert arm.claim() is None
    pretend(first, **dead_process())
    assert not arm.is_running()
    second = arm.claim()
    assert second is not None and second.number == 2


def test_reused_pid_is_another_process(arm: ArmFolder):
    attempt = arm.claim()
    pretend(attempt, started="1")
    assert not attempt.is_alive()


def test_zombie_is_dead():
    process = subprocess.Popen(SLEEP)
    started = start_time(process.pid)
    assert is_running(process.pid, started)
    process.kill()
    deadline = time.monotonic() + 5
    while is_running(process.pid, started):  # not waited for, so it stays as a zombie
        assert time.monotonic() < deadline
    assert Path(f"/proc/{process.pid}").exists()
    process.wait()


def test_other_machine_is_alive_until_its_lease_is_over(arm: ArmFolder):
    attempt = arm.claim(lease=30.0)
    pretend(attempt, machine="another host", **dead_process())
    claim = attempt.folder / "claim.json"
    assert attempt.is_alive() and arm.claim() is None
    os.utime(claim, (time.time() - 29,) * 2)
    assert attempt.is_alive()
    os.utime(claim, (time.time() - 31,) * 2)
    assert not attempt.is_alive()
    attempt.beat()
    assert attempt.is_alive()
    os.utime(claim, (time.time() - 31,) * 2)
    assert arm.claim().number == 2


def test_lease_goes_by_the_clock_of_the_file_system(
    arm: ArmFolder, monkeypatch: pytest.MonkeyPatch
):
    attempt = arm.claim(lease=30.0)
    pretend(attempt, machine="another host")
    monkeypatch.setattr(ledger.time, "time", lambda: 4e9)  # this machine's clock is wrong
    assert attempt.is_alive()


def test_what_a_dead_attempt_left_running_is_killed_before_the_next(arm: ArmFolder):
    first = arm.claim()
    token = first.claim()["token"]
    left = subprocess.Popen(SLEEP, env={**os.environ, TOKEN_VARIABLE: token})
    other = subprocess.Popen(SLEEP, env={**os.environ, TOKEN_VARIABLE: "another"})
    while processes_of(token) != [left.pid]:
        time.sleep(0.01)
    pretend(first, **dead_process())
    assert arm.claim() is not None
    assert processes_of(token) == []
    assert other.poll() is None
    for process in (left, other):
        process.kill()
        process.wait()


@pytest.mark.parametrize("outcome", ["done", "failed", "stopped"])
def test_ended_attempt_is_not_alive(arm: ArmFolder, outcome: str):
    attempt = arm.claim()
    attempt.end(outcome, 0, 1.5, ["last line"])
    assert not attempt.is_alive()
    assert attempt.end_record() == {
        "outcome": outcome,
        "exit_code": 0,
        "seconds": 1.5,
        "tail": ["last line"],
    }


def test_done_arm_is_not_claimed(arm: ArmFolder):
    arm.result.write_text("{}")
    assert arm.claim() is None
    assert arm.last_attempt().end_record()["outcome"] == "stopped"


def test_attempts_are_in_numerical_order_and_folders_by_name(arm: ArmFolder):
    for _ in range(11):
        arm.claim().end("failed", 1, 0.0, [])
    assert [a.number for a in arm.attempts()] == list(range(1, 12))
    assert arm_folders(arm.path.parent.parent) == [arm]


def test_machine_is_the_same_for_its_processes():
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(machine) == machine()
