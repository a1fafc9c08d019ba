"""Two runs in one folder at once: every file is one run's or the other's, never a mixture.

Sweeps refuse to run an arm twice (tests/ablation/sweep/test_kills.py, test_ledger.py), and the
cache of shapes is filled once (tests/data/test_shapes.py).
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from trouble import finish, names, start_script

from d2align.ablation.runner import prepare_folder
from d2align.ablation.study import quick_study
from d2align.atomic import write_text
from d2align.checkpoint import SafeCheckpointer, load_file
from d2align.evaluation.files import open_whole

ROUNDS = 60


def _write_text(folder: str, who: int) -> None:
    for _ in range(ROUNDS):
        write_text(Path(folder) / "file", str(who) * 200_000)


def _write_results(folder: str, who: int) -> None:
    for _ in range(ROUNDS):
        with open_whole(f"{folder}/file", "w") as file:
            file.write(str(who) * 200_000)


def _prepare(folder: str, who: int) -> None:
    for _ in range(ROUNDS):
        prepare_folder(quick_study(), Path(folder))


def _together(work: Callable[[str, int], None], folder: Path, look: Callable[[], None]) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=work, args=(str(folder), who)) for who in (1, 2)]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        look()
    for process in processes:
        process.join()
        assert process.exitcode == 0


@pytest.mark.parametrize("work", [_write_text, _write_results])
def test_files_are_whole_at_every_moment(tmp_path: Path, work: Callable[[str, int], None]) -> None:
    path = tmp_path / "file"
    path.write_text("1" * 200_000)
    seen = set()

    def look() -> None:
        text = path.read_text()
        assert len(text) == 200_000 and len(set(text)) == 1
        seen.add(text[0])

    _together(work, tmp_path, look)
    assert seen <= {"1", "2"} and names(tmp_path) == {"file"}


def test_settings_of_a_study_are_one_run_s(tmp_path: Path) -> None:
    def look() -> None:
        if (tmp_path / "study.json").exists():
            assert json.loads((tmp_path / "study.json").read_text()) == quick_study().settings()

    _together(_prepare, tmp_path, look)
    assert names(tmp_path) == {"study.json"}


def _save(folder: str, who: int) -> None:
    model = torch.nn.Linear(200, 200)
    torch.nn.init.constant_(model.weight, float(who))
    checkpointer = SafeCheckpointer(model, folder)
    checkpointer.logger.setLevel("ERROR")
    for _ in range(ROUNDS // 2):
        checkpointer.save("model_final", iteration=who)


def test_checkpoints_are_one_run_s_at_every_moment(tmp_path: Path) -> None:
    path = tmp_path / "model_final.pth"

    def look() -> None:
        if path.exists():
            loaded = load_file(str(path))
            assert (loaded["model"]["weight"] == loaded["iteration"]).all()

    _together(_save, tmp_path, look)
    assert names(tmp_path) == {"model_final.pth", "last_checkpoint"}
    assert (tmp_path / "last_checkpoint").read_text() == "model_final.pth"


TRAIN = """
import sys
from pathlib import Path

import torch

from d2align.data.shapes.register import register_shapes_subset
from d2align.engine import Trainer
from trouble import tiny_run

torch.set_num_threads(1)
register_shapes_subset("hardening_data", "shapes_128_train", 6, cache=sys.argv[2])
trainer = Trainer(tiny_run(Path(sys.argv[1]), "hardening_data"))
trainer.resume_or_load(resume=False)
trainer.train()
"""


@pytest.mark.slow
def test_two_equal_trainings_in_one_folder(tmp_path: Path) -> None:
    output, cache = tmp_path / "output", tmp_path / "cache"
    runs = [start_script(TRAIN, str(output), str(cache)) for _ in range(2)]
    for run in runs:
        code, _, error = finish(run)
        assert code == 0, error[-2000:]
    for path in output.glob("*.pth"):
        assert "model" in load_file(str(path))
    assert load_file(str(output / "model_final.pth"))["iteration"] == 5
    for line in (output / "metrics.json").read_text().splitlines():
        assert "iteration" in json.loads(line)
    results = json.loads((output / "inference" / "coco_instances_results.json").read_text())
    assert isinstance(results, list)
    assert not [name for name in names(output) if name.endswith(".tmp")]
