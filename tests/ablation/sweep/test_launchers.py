"""The three launchers: the same results, each arm in a job of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from launching import FAKE, Sweep, running_arms, wait_until
from slurm import make_slurm

from d2align.ablation.sweep.processes import is_running, processes_of, start_time

GRID = ["arm=reference,flip_index", "seed=1"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {
        "D2ALIGN_CACHE": str(tmp_path_factory.mktemp("cache")),
        "FAKE_STEP_SECONDS": "0.001",
    }


@pytest.fixture(scope="module")
def in_process(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Sweep:
    sweep = Sweep(tmp_path_factory.mktemp("basic") / "sweep", [*FAKE, *GRID], environment)
    assert sweep.finish() == 0, sweep.said()
    return sweep


def test_joblib_runs_arms_side_by_side_and_ends_with_its_launcher(
    tmp_path: Path, environment: dict[str, str], in_process: Sweep
):
    arguments = [*FAKE, *GRID, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    slow = Sweep(tmp_path / "sweep", arguments, {**environment, "FAKE_STEP_SECONDS": "20"})
    launcher = slow.start()
    wait_until(lambda: len(running_arms(slow.root)) == 2)
    claims = [json.loads(p.read_text()) for p in slow.root.glob("arms/*/*/claim.json")]
    workers = [(claim["pid"], claim["started"]) for claim in claims]
    arms = [(pid, start_time(pid)) for claim in claims for pid in processes_of(claim["token"])]
    launcher.kill()
    launcher.join()
    wait_until(lambda: not any(is_running(*p) for p in [*workers, *arms]), timeout=10)

    sweep = Sweep(slow.root, arguments, environment)
    assert sweep.finish() == 0, sweep.said()
    assert sweep.table() == in_process.table()


def test_submitit_on_this_machine_resumes_a_preempted_job(
    tmp_path: Path, environment: dict[str, str], in_process: Sweep
):
    arguments = [*FAKE, *GRID, "hydra/launcher=submitit_local"]
    slow = {**environment, "FAKE_STEP_SECONDS": "0.4"}
    sweep = Sweep(tmp_path / "sweep", arguments, slow)
    launcher = sweep.start()
    wait_until(lambda: running_arms(sweep.root))
    (claim,) = list(sweep.root.glob("arms/*/attempt-1/claim.json"))[:1]
    os.kill(json.loads(claim.read_text())["pid"], signal.SIGUSR2)  # as a cluster does
    launcher.join(120)
    assert launcher.exitcode == 0, sweep.said()
    assert sweep.table() == in_process.table()
    assert json.loads((claim.parent / "end.json").read_text())["outcome"] == "stopped"
    assert (claim.parents[1] / "attempt-2").exists()
    assert len(list(sweep.root.glob(".submitit/*/*_result.pkl"))) == 2


def test_slurm_script_and_jobs(tmp_path: Path, environment: dict[str, str], in_process: Sweep):
    cluster = make_slurm(tmp_path / "slurm")
    asked = ["partition=vision", "timeout_min=90", "array_parallelism=5"]
    arguments = [*FAKE, *GRID, "hydra/launcher=slurm", "num_gpus=4"]
    arguments += [f"hydra.launcher.{key}" for key in asked]
    sweep = Sweep(tmp_path / "sweep", arguments, {**environment, **cluster})
    assert sweep.finish() == 0, sweep.said()

    script = (tmp_path / "slurm" / "script.sh").read_text()
    flags = dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", script, flags=re.MULTILINE))
    wanted = {
        "partition": "vision",
        "time": "90",  # minutes
        "gpus-per-node": "4",
        "nodes": "1",
        "ntasks-per-node": "1",
        "cpus-per-task": "8",
        "mem": "32GB",
        "array": "0-1%2",
        "job-name": "sweep",
        "signal": "USR2@120",
    }
    assert {key: flags.get(key) for key in wanted} == wanted
    (command,) = [line for line in script.splitlines() if line.startswith("srun ")]
    assert f"{sys.executable} -u -m submitit.core._submit" in command
    assert flags["output"].endswith("%A_%a_0_log.out")

    results = json.loads((sweep.root / "results.json").read_text())["results"]
    expected = json.loads((in_process.root / "results.json").read_text())["results"]
    assert [r["arm"] for r in results] == [r["arm"] for r in expected]
    assert {r["num_gpus"] for r in results} == {4}
