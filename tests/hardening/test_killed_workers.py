"""Processes that are killed: the command ends with a reason, soon, or goes on without them."""

from __future__ import annotations

import json
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from trouble import finish, names, start_script, tiny_run

from d2align.ablation import runner
from d2align.ablation.study import quick_study
from d2align.data.shapes import generate as generate_module
from d2align.data.shapes import generate_shapes
from d2align.engine import Trainer

CONFIG = str(Path(__file__).parents[2] / "configs" / "shapes" / "ablation_aligned.yaml")


def _kill_a_child(number: int) -> None:
    """Kill one of this process's children as soon as there are so many."""
    deadline = time.monotonic() + 60
    while len(multiprocessing.active_children()) < number:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)


def test_killed_worker_of_the_ablation_ends_it_with_a_reason(tmp_path: Path) -> None:
    killer = threading.Thread(target=_kill_a_child, args=(2,), daemon=True)
    killer.start()
    started = time.monotonic()
    with pytest.raises(RuntimeError, match=r"a worker died \(exit code -9\).*what is done is kept"):
        runner.run_study(quick_study(num_bases=2), CONFIG, tmp_path, workers=2)
    assert time.monotonic() - started < 60
    assert not multiprocessing.active_children()
    assert names(tmp_path) == {"study.json"}


def test_a_death_is_told_however_much_the_others_have_to_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "_PATIENCE", 0.2)
    pool = runner._Pool.__new__(runner._Pool)
    pool.death = None
    dead = SimpleNamespace(is_alive=lambda: False, exitcode=-9)
    pool.processes = [dead, SimpleNamespace(is_alive=lambda: True)]
    pool.news = SimpleNamespace(get=lambda timeout: ("base2/early.pth", 1, None))
    with pytest.raises(RuntimeError, match="exit code -9"):
        for _ in range(1000):
            pool._next_news()
            time.sleep(0.001)
    # The reason that a worker gave before it died is told, however late.
    pool.news = queue.Queue()
    pool.news.put(("base1/early.pth", None, "Traceback"))
    assert pool._next_news() == ("base1/early.pth", None, "Traceback")


def test_killed_worker_of_a_loader_ends_training(tmp_path: Path, tiny_data: str) -> None:
    cfg = tiny_run(tmp_path, tiny_data, **{"DATALOADER.NUM_WORKERS": 2})
    batches = iter(Trainer.build_train_loader(cfg))
    assert len(next(batches)) == 2
    victim = multiprocessing.active_children()[0]
    os.kill(victim.pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r"DataLoader worker.*(killed|exited)"):
        for _ in range(100):
            next(batches)


def test_killed_generator_of_shapes_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform != "linux":
        pytest.skip("forks")
    parent, drawn = os.getpid(), generate_module.make_scene

    def fatal(spec: Any, index: int) -> Any:
        if os.getpid() != parent and index == 25:
            os.kill(os.getpid(), signal.SIGKILL)
        return drawn(spec, index)

    expected = generate_shapes("shapes_128_val", tmp_path / "a", 45, 1, quiet=True)
    monkeypatch.setattr(generate_module, "make_scene", fatal)
    found = generate_shapes("shapes_128_val", tmp_path / "b", 45, 2, quiet=True)
    assert json.loads(found.json_file.read_text()) == json.loads(expected.json_file.read_text())


RANKS = """
import os
import signal
import sys
from argparse import Namespace

import torch
import torch.distributed as dist

from d2align.engine import launch


def main(args):
    dist.barrier()
    if dist.get_rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    for _ in range(1000):
        dist.all_reduce(torch.ones(1))


if __name__ == "__main__":
    launch(main, Namespace(config_file=sys.argv[1], opts=sys.argv[2:], num_gpus=2, num_machines=1,
        machine_rank=0, dist_url="auto", eval_only=True, resume=False))
"""


@pytest.mark.slow
def test_killed_rank_ends_the_others(tmp_path: Path, tiny_data: str) -> None:
    script = tmp_path / "ranks.py"
    script.write_text(RANKS)
    started = time.monotonic()
    options = [CONFIG, "MODEL.DEVICE", "cpu", "DATASETS.TEST", "()"]
    code, _, error = finish(start_script(_as_file(script), *options))
    assert time.monotonic() - started < 100
    assert code != 0
    assert "SIGKILL" in error or "Connection closed by peer" in error


def _as_file(script: Path) -> str:
    """Run a script as a file, which spawned processes can import."""
    return (
        "import subprocess, sys; "
        f"sys.exit(subprocess.run([sys.executable, {str(script)!r}, *sys.argv[1:]]).returncode)"
    )
