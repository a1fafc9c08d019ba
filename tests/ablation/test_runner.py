"""A tiny study, killed and resumed: the same table, nothing done twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from d2align.ablation.comparison import Comparison, misses
from d2align.ablation.runner import prepare_folder
from d2align.ablation.study import quick_study

ROOT = Path(__file__).resolve().parent.parent.parent
TOOL = ROOT / "tools" / "run_ablation.py"
TINY = ["--bases", "1", "--iterations", "5", "--finetune-iterations", "2", "--images", "12"]
OVERRIDES = ["SOLVER.IMS_PER_BATCH", "2", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0"]


def _command(output: Path) -> list[str]:
    return [sys.executable, str(TOOL), *TINY, "--workers", "2", "--output", str(output), *OVERRIDES]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("study") / "out"
    first = subprocess.Popen(_command(output), start_new_session=True)
    deadline = time.monotonic() + 240
    while not (output / "base1" / "final.pth").exists() and first.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    trained = (output / "base1" / "final.pth").stat().st_mtime_ns
    assert not (output / "report.md").exists()
    second = subprocess.run(_command(output), capture_output=True, text=True, timeout=400)
    assert second.returncode == 0, second.stderr
    assert (output / "base1" / "final.pth").stat().st_mtime_ns == trained
    return output


def test_killed_study_resumes_and_writes_its_report(finished: Path):
    results = json.loads((finished / "results.json").read_text())
    assert {row["name"] for row in results["rows"]} == {arm.name for arm in quick_study().arms}
    for row in results["rows"]:
        assert row["low"] <= row["delta"] <= row["high"]
    assert (finished / "deltas.png").read_bytes()[:4] == b"\x89PNG"
    assert "smaller than COCO's" in (finished / "report.md").read_text()
    assert not list(finished.rglob("*.tmp"))


def test_paste_changes_no_box_and_a_repeated_run_changes_nothing(finished: Path):
    before = json.loads((finished / "results.json").read_text())["rows"]
    box = next(r for r in before if r["factor"] == "paste_mask" and r["metric"] == "box AP")
    assert box["delta"] == box["low"] == box["high"] == 0
    again = subprocess.run(_command(finished), capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert json.loads((finished / "results.json").read_text())["rows"] == before


def test_replayed_detections_are_the_network_s_own(finished: Path):
    with np.load(finished / "base1" / "reference.npz") as raw:
        assert raw["boxes"].dtype == raw["masks"].dtype == np.float32
        count = len(raw["boxes"])
        assert raw["images"][:, 1].sum() == count == len(raw["masks"])
    results = json.loads((finished / "base1" / "reference.json").read_text())
    assert 0 < len(results) <= count


def test_other_settings_in_the_same_folder_are_refused(tmp_path: Path):
    prepare_folder(quick_study(), tmp_path)
    prepare_folder(quick_study(num_bases=9), tmp_path)
    with pytest.raises(ValueError, match="study of other settings"):
        prepare_folder(quick_study(late_iterations=7), tmp_path)


def test_nulls_miss_about_as_often_as_their_level_says(tmp_path: Path):
    rng = np.random.default_rng(0)
    images = [{"id": i, "height": 100, "width": 100} for i in range(1, 201)]
    annotations, results = [], []
    for image in images:
        for _ in range(4):
            x, y = rng.uniform(0, 60, 2)
            w, h = rng.uniform(12, 35, 2)
            box = [x, y, w, h]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image["id"],
                    "category_id": 1,
                    "bbox": box,
                    "area": w * h,
                    "iscrowd": 0,
                }
            )
            moved = (np.array(box) + rng.normal(0, 1, 4)).tolist()
            score = float(rng.uniform())
            results.append(
                {"image_id": image["id"], "category_id": 1, "bbox": moved, "score": score}
            )
    truth = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "a"}]}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "base1").mkdir()
    (tmp_path / "base1" / "reference.json").write_text(json.dumps(results))
    study = quick_study(num_bases=1, num_images=200, num_nulls=100, num_draws=200)
    comparison = Comparison(study, tmp_path, str(tmp_path / "truth.json"))
    nulls = [comparison.null(index) for index in range(100)]
    assert len({null.delta for null in nulls}) > 90  # real draws, not one repeated
    assert 1 <= misses(nulls) <= 11  # the central 99 % of a binomial of 100 at 5 %
