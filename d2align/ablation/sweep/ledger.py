"""The ledger: a folder an arm, in which every start, every end and the result are written down.

Nothing in it is ever changed: an attempt is claimed by making a folder of the next number, which
the file system lets only one process do, and the result comes whole or not at all.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d2align.ablation.sweep.processes import is_running, kill_processes_of, machine, start_time
from d2align.atomic import write_text

DEFAULT_LEASE = 120.0


@dataclass(frozen=True)
class Attempt:
    """One start of an arm.

    Attributes:
        folder: holds claim.json (who), log.txt and end.json (how it ended, if it was not killed
            along with the process that ran it).
    """

    folder: Path

    @property
    def number(self) -> int:
        """Its number, from 1."""
        return int(self.folder.name.rpartition("-")[2])

    @property
    def log(self) -> Path:
        """What the arm printed."""
        return self.folder / "log.txt"

    def claim(self) -> dict[str, Any]:
        """Return who runs it and since when: machine, pid, started, time, token, lease."""
        return _read(self.folder / "claim.json")

    def end_record(self) -> dict[str, Any] | None:
        """Return outcome (done, failed or stopped), exit_code, seconds and tail; None if none."""
        path = self.folder / "end.json"
        return _read(path) if path.exists() else None

    def is_alive(self) -> bool:
        """Return whether the process that runs it is still there.

        On its own machine that is looked up; elsewhere it has missed its lease or not.
        """
        if self.end_record() is not None:
            return False
        claim = self.claim()
        if claim["started"] and claim["machine"] == machine():
            return is_running(claim["pid"], claim["started"])
        path = self.folder / "claim.json"
        return _file_system_time(self.folder.parent) - path.stat().st_mtime < claim["lease"]

    def beat(self) -> None:
        """Renew the lease."""
        os.utime(self.folder / "claim.json")

    def end(self, outcome: str, exit_code: int, seconds: float, tail: list[str]) -> None:
        """Write down how it ended.

        Args:
            outcome: "done", "failed" or "stopped".
            exit_code: of the arm's process; negative for a signal.
            seconds: from start to end.
            tail: the last lines of the log.
        """
        record = {"outcome": outcome, "exit_code": exit_code, "seconds": seconds, "tail": tail}
        write_text(self.folder / "end.json", json.dumps(record, indent=1))


@dataclass(frozen=True)
class ArmFolder:
    """The folder of one arm.

    Attributes:
        path: holds arm.json, attempt-1, attempt-2, ..., train (checkpoints) and result.json.
    """

    path: Path

    @property
    def result(self) -> Path:
        """The result's file; when it is there, the arm is done."""
        return self.path / "result.json"

    @property
    def train(self) -> Path:
        """Detectron2's output folder, shared by all attempts."""
        return self.path / "train"

    def is_done(self) -> bool:
        """Return whether the result is there."""
        return self.result.exists()

    def describe(self, description: dict[str, Any]) -> None:
        """Write what the arm is.

        Args:
            description: JSON types.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.path / "arm.json", json.dumps(description, indent=1))

    def description(self) -> dict[str, Any]:
        """Return what ``describe`` wrote."""
        return _read(self.path / "arm.json")

    def attempts(self) -> list[Attempt]:
        """Return all attempts, in order."""
        found = [Attempt(p) for p in self.path.glob("attempt-*")]
        return sorted(found, key=lambda a: a.number)

    def last_attempt(self) -> Attempt | None:
        """Return the latest attempt, or None."""
        return next(reversed(self.attempts()), None)

    def is_running(self) -> bool:
        """Return whether some process is at work on it."""
        last = self.last_attempt()
        return last is not None and last.is_alive()

    def claim(self, lease: float = DEFAULT_LEASE) -> Attempt | None:
        """Take the arm for this process, unless it is done or another process is at work on it.

        What a dead attempt has left running on this machine is killed first.

        Args:
            lease: seconds after which another machine may take this process for dead, unless
                ``Attempt.beat`` is called.

        Returns:
            The new attempt, or None.
        """
        last = self.last_attempt()
        if last is not None:
            if last.is_alive():
                return None
            kill_processes_of(last.claim()["token"])
        attempt = self._make_attempt(last.number + 1 if last else 1, lease)
        if attempt is not None and self.is_done():  # finished since the caller looked
            attempt.end("stopped", 0, 0.0, [])
            return None
        return attempt

    def _make_attempt(self, number: int, lease: float) -> Attempt | None:
        token = uuid.uuid4().hex
        pid = os.getpid()
        who = {"machine": machine(), "pid": pid, "started": start_time(pid), "time": time.time()}
        prepared = self.path / f"claim-{token}.tmp"
        prepared.mkdir()
        try:
            (prepared / "claim.json").write_text(
                json.dumps({**who, "token": token, "lease": lease})
            )
            attempt = Attempt(self.path / f"attempt-{number}")
            os.rename(prepared, attempt.folder)  # fails if there is one, which is never empty
            return attempt
        except OSError:
            if (self.path / f"attempt-{number}").exists():
                return None
            raise
        finally:
            shutil.rmtree(prepared, ignore_errors=True)


def arm_folders(root: Path) -> list[ArmFolder]:
    """Return the arms of a sweep's folder, by name.

    Args:
        root: the sweep's folder.
    """
    return [ArmFolder(path.parent) for path in sorted(root.glob("arms/*/arm.json"))]


def _read(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def _file_system_time(folder: Path) -> float:
    """The clock that stamps files, which on a cluster is not this machine's."""
    probe = folder / f"clock-{uuid.uuid4().hex}.tmp"
    try:
        probe.touch()
        return probe.stat().st_mtime
    finally:
        with contextlib.suppress(FileNotFoundError):
            probe.unlink()
