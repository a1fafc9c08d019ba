"""Sweeps started as processes of their own, to be watched, killed and started again."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from joblib.externals.loky import get_reusable_executor

from d2align.ablation.sweep.ledger import arm_folders
from d2align.ablation.sweep.processes import processes_of

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CONFIGS = ROOT / "configs" / "sweep"
TINY = [
    f"imports=[{HERE / 'sweep_data.py'}]",
    *("+opts.DATASETS.TRAIN=[sweep_train]", "+opts.DATASETS.TEST=[sweep_val]"),
]
FAKE = [*TINY, "program=fake_arm"]


@dataclass
class Sweep:
    """A command, and where it runs.

    Attributes:
        root: the sweep's folder.
        arguments: of tools/sweep.py.
        environment: added to this process's.
        seconds: that the last ``finish`` took.
    """

    root: Path
    arguments: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    seconds: float = 0

    @property
    def output(self) -> Path:
        return self.root.with_name(f"{self.root.name}.out")

    def start(self) -> multiprocessing.Process:
        """Start the command in a fork, which spares it the seconds of its imports."""
        import d2align.ablation.sweep.main
        import d2align.engine  # noqa: F401

        context = multiprocessing.get_context("fork")
        process = context.Process(target=self._run)
        process.start()
        return process

    def finish(self, timeout: float = 120) -> int:
        """Run the command to its end; its exit code."""
        began = time.monotonic()
        process = self.start()
        process.join(timeout)
        self.seconds = time.monotonic() - began
        assert process.exitcode is not None, f"still at work: {self.output.read_text()}"
        return process.exitcode

    def _run(self) -> None:
        from d2align.ablation.sweep.main import run_sweep

        os.setsid()
        with open(self.output, "ab") as f:
            os.dup2(f.fileno(), 1)
            os.dup2(f.fileno(), 2)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  # pytest has its own
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        paths = f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        os.environ.update(PYTHONPATH=paths, **self.environment)
        sys.argv = ["tools/sweep.py", f"folder={self.root}", *self.arguments]
        code = run_sweep(CONFIGS)
        get_reusable_executor().shutdown()  # at exit, which a fork skips
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    def said(self) -> str:
        return self.output.read_text()

    def table(self) -> bytes:
        return (self.root / "table.md").read_bytes()


def running_arms(root: Path) -> list[int]:
    """The processes of the arms that are at work."""
    attempts = [folder.last_attempt() for folder in arm_folders(root)]
    alive = [a for a in attempts if a is not None and a.is_alive()]
    return [pid for a in alive for pid in processes_of(a.claim()["token"])]


def wait_until(condition, timeout: float = 60, period: float = 0.01) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(period)


def run_with_kills(sweep: Sweep, kills: list[str], rng: random.Random, delay: float) -> list[str]:
    """Run a sweep to its end, killing its launcher or an arm now and then.

    Args:
        sweep: the sweep.
        kills: "launcher" or "arm", in order.
        rng: draws the moments.
        delay: seconds, the longest time from an arm's start to a kill.

    Returns:
        The kills that were made, which are all unless the sweep ends too soon.
    """
    made: list[str] = []
    starts = 0
    while True:
        starts += 1
        assert starts < 4 * len(kills) + 4, sweep.said()
        launcher = sweep.start()
        while len(made) < len(kills) and launcher.is_alive():
            if not running_arms(sweep.root):
                time.sleep(0.01)
                continue
            time.sleep(rng.uniform(0, delay))
            victims = running_arms(sweep.root)
            if kills[len(made)] == "launcher" and launcher.is_alive():
                os.kill(launcher.pid, signal.SIGKILL)
                launcher.join()
                made.append("launcher")
            elif kills[len(made)] == "arm" and victims:
                os.kill(rng.choice(victims), signal.SIGKILL)
                made.append("arm")
        launcher.join()
        if launcher.exitcode == 0:
            return made
