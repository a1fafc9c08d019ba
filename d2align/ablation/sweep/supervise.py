"""Carry out one arm in a process of its own, and write down how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from d2align.ablation.sweep.gpus import TooFewGpusError, gpu_environment
from d2align.ablation.sweep.ledger import ArmFolder, Attempt
from d2align.ablation.sweep.processes import TOKEN_VARIABLE, kill_processes_of

TAIL_LINES = 30
_POLL_SECONDS = 0.2
_TAIL_BYTES = 16_384


class _LostError(Exception):
    """The attempt is no longer this process's."""


def supervise(arm: ArmFolder) -> str:
    """Carry out an arm, unless it is done or somebody else is at work on it.

    Args:
        arm: its folder, described.

    Returns:
        "done", "failed", or "taken" where there was nothing to do here.
    """
    if arm.is_done() or arm.is_running():
        return "taken"
    description = arm.description()
    try:
        # Before the claim: an arm that waits for a GPU is free for others.
        with gpu_environment(description["num_gpus"], description["arms_per_gpu"]) as gpus:
            attempt = arm.claim(description["lease"])
            if attempt is None:
                return "taken"
            return _carry_out(arm, attempt, description, gpus)
    except TooFewGpusError as e:
        return _refuse(arm, description, str(e))


def _refuse(arm: ArmFolder, description: dict[str, Any], reason: str) -> str:
    attempt = arm.claim(description["lease"])
    if attempt is None:
        return "taken"
    attempt.log.write_text(f"{reason}\n")
    attempt.end("failed", 1, 0.0, [reason])
    return "failed"


def _carry_out(
    arm: ArmFolder, attempt: Attempt, description: dict[str, Any], environment: dict[str, str]
) -> str:
    started = time.monotonic()
    lease, token = attempt.claim()["lease"], attempt.claim()["token"]
    process = None
    try:
        process = _start(arm, attempt, description, {**environment, TOKEN_VARIABLE: token})
        _wait(process, arm, attempt, lease)
    except _LostError:
        _kill(process)
        return "taken"
    except BaseException:  # Ctrl-C, or the cluster wants its machine back
        _kill(process)
        kill_processes_of(token)  # also one that was just being started
        attempt.end("stopped", -signal.SIGKILL, time.monotonic() - started, [])
        raise
    kill_processes_of(token)  # whatever children are left
    outcome = "done" if arm.is_done() else "failed"
    tail = [] if outcome == "done" else log_tail(attempt.log)
    attempt.end(outcome, process.returncode, time.monotonic() - started, tail)
    return outcome


def _start(
    arm: ArmFolder, attempt: Attempt, description: dict[str, Any], environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    with open(attempt.log, "wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", description["program"], str(arm.path), str(attempt.folder)],
            env={**_environment(description), **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # with its children it is one group, which ends as one
        )


def _environment(description: dict[str, Any]) -> dict[str, str]:
    environment = dict(os.environ)
    if description["threads"] is not None:
        environment["OMP_NUM_THREADS"] = str(description["threads"])
    return environment


def _wait(process: subprocess.Popen[bytes], arm: ArmFolder, attempt: Attempt, lease: float) -> None:
    beaten = time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_SECONDS)
            return
        if time.monotonic() - beaten > lease / 6:
            if arm.last_attempt() != attempt:
                raise _LostError
            attempt.beat()
            beaten = time.monotonic()


def _kill(process: subprocess.Popen[bytes] | None) -> None:
    if process is None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def log_tail(log: Path, lines: int = TAIL_LINES) -> list[str]:
    """Return the last lines of a log.

    Args:
        log: the file.
        lines: how many at most.
    """
    with open(log, "rb") as f:
        f.seek(max(0, os.path.getsize(log) - _TAIL_BYTES))
        return f.read().decode(errors="replace").splitlines()[-lines:]
