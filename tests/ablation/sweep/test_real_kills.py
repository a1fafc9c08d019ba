"""Real trainings, killed: the same weights, detections and table as undisturbed ones."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from launching import ROOT, TINY, Sweep, run_with_kills

ARGUMENTS = [
    *TINY,
    *("arm=reference,box_transform_py_faster_rcnn", "checkpoint_period=2"),
    *("+opts.SOLVER.MAX_ITER=12", "+opts.SOLVER.IMS_PER_BATCH=2", "+opts.SOLVER.WARMUP_ITERS=0"),
    *("+opts.MODEL.ROI_HEADS.SCORE_THRESH_TEST=0.0", "+opts.TEST.DETECTIONS_PER_IMAGE=20"),
]
DETECTIONS = Path("train") / "inference" / "coco_instances_results.json"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    folder = tmp_path_factory.mktemp("real")
    sweep = Sweep(folder / "sweep", ARGUMENTS, {"D2ALIGN_CACHE": str(folder / "cache")})
    assert sweep.finish(300) == 0, sweep.said()
    return sweep


@pytest.mark.slow
@pytest.mark.parametrize("num_gpus", [1, 2])
def test_killed_trainings_end_the_same(tmp_path: Path, undisturbed: Sweep, num_gpus: int):
    environment = undisturbed.environment
    if num_gpus > 1:
        arguments = [*ARGUMENTS, "arm=reference", f"num_gpus={num_gpus}"]
        undisturbed = Sweep(tmp_path / "undisturbed", arguments, environment)
        assert undisturbed.finish(300) == 0, undisturbed.said()
    sweep = Sweep(tmp_path / "sweep", undisturbed.arguments, environment)
    kills = ["arm", "launcher", "launcher", "arm", "launcher"][: 5 if num_gpus == 1 else 3]
    delay = undisturbed.seconds / (len(kills) + 2)  # on a fast machine, too, all kills come in time
    assert run_with_kills(sweep, kills, random.Random(0), delay) == kills
    assert sweep.table() == undisturbed.table()
    for arm in sorted((undisturbed.root / "arms").iterdir()):
        other = sweep.root / "arms" / arm.name
        found = json.loads((other / DETECTIONS).read_text())
        assert len(found) > 0 and found == json.loads((arm / DETECTIONS).read_text())
        models = [
            torch.load(folder / "train" / "model_final.pth", weights_only=False)["model"]
            for folder in (arm, other)
        ]
        assert all(torch.equal(models[0][key], models[1][key]) for key in models[0])


@pytest.mark.slow
def test_evaluation_alone_finds_what_evaluation_after_training_found(
    tmp_path: Path, undisturbed: Sweep
):
    (trained,) = undisturbed.root.glob("arms/reference-*")
    weights = f"weights={trained / 'train' / 'model_final.pth'}"
    arguments = [*ARGUMENTS, "eval_only=true", weights]
    sweep = Sweep(tmp_path / "sweep", arguments, undisturbed.environment)
    assert sweep.finish(300) == 0, sweep.said()
    (evaluated,) = sweep.root.glob("arms/reference-*")
    for name in ("result.json", DETECTIONS):
        assert (evaluated / name).exists()
    assert (evaluated / DETECTIONS).read_text() == (trained / DETECTIONS).read_text()
    page = sweep.table().decode()
    assert "Evaluation only" in page and "box_transform_py_faster_rcnn" in page


def test_help_teaches_by_examples():
    command = [sys.executable, str(ROOT / "tools" / "sweep.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for words in ("arm=reference,flip_index", "hydra/launcher=slurm", "paste_mask_detectron1"):
        assert words in done.stdout
