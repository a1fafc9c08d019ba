"""A disk that is full: a clear error, nothing half-written, and later the same call ends well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coco_synthetic import make_dataset
from trouble import full_disk, names, tiny_run

from d2align.ablation.raw_outputs.store import RawOutputs, RawStore
from d2align.ablation.sweep.ledger import ArmFolder
from d2align.atomic import replacing, write_text
from d2align.audit.card import Card, read_card, write_card
from d2align.checkpoint import load_file
from d2align.data.shapes import generate_shapes
from d2align.engine import Trainer
from d2align.evaluation.files import open_whole
from d2align.evaluation.predictions_file import write_predictions

ROOM = 20_000


def test_training_keeps_its_last_whole_checkpoint_and_resumes(
    tmp_path: Path, tiny_data: str
) -> None:
    first = Trainer(tiny_run(tmp_path, tiny_data, **{"SOLVER.MAX_ITER": 2}))
    first.resume_or_load(resume=True)
    first.train()
    assert (tmp_path / "last_checkpoint").read_text() == "model_final.pth"
    before = (tmp_path / "model_final.pth").read_bytes()

    cfg = tiny_run(tmp_path, tiny_data)
    stopped = Trainer(cfg)
    stopped.resume_or_load(resume=True)
    with full_disk(ROOM), pytest.raises(OSError, match="File too large"):
        stopped.train()
    assert (tmp_path / "model_final.pth").read_bytes() == before
    assert not [name for name in names(tmp_path) if ".tmp" in name]
    for path in tmp_path.glob("*.pth"):
        assert "model" in load_file(str(path))

    again = Trainer(cfg)
    again.resume_or_load(resume=True)
    assert again.start_iter == 2
    again.train()
    assert load_file(str(tmp_path / "model_final.pth"))["iteration"] == 5


def test_evaluator_writes_its_results_whole_or_not_at_all(tmp_path: Path, tiny_data: str) -> None:
    cfg = tiny_run(tmp_path, tiny_data, **{"MODEL.ROI_HEADS.SCORE_THRESH_TEST": 0.0})
    model = Trainer.build_model(cfg).eval()
    folder = tmp_path / "inference"
    with full_disk(2_000), pytest.raises(OSError, match="File too large"):
        Trainer.test(cfg, model)
    assert names(folder) == set()
    assert "bbox" in Trainer.test(cfg, model)
    results = json.loads((folder / "coco_instances_results.json").read_text())
    assert len(results) > 0 and len(list(folder.iterdir())) == 2


def test_predictions_and_texts(tmp_path: Path) -> None:
    rows = [{"image_id": i, "instances": [{"score": 0.5, "bbox": [0.0] * 4}]} for i in range(2000)]
    path = tmp_path / "predictions.pth"
    with full_disk(ROOM), pytest.raises(OSError, match="File too large"):
        write_predictions(str(path), rows)
    with full_disk(ROOM), pytest.raises(OSError), open_whole(str(path), "w") as file:
        file.write("x" * 2 * ROOM)
    assert names(tmp_path) == set()
    write_predictions(str(path), rows)
    assert len(torch.load(path, weights_only=True)) == len(rows)


def test_what_was_there_stays_as_it_was(tmp_path: Path) -> None:
    report, picture = tmp_path / "report.html", tmp_path / "deltas.png"
    for path in (report, picture):
        path.write_text("before")
    with full_disk(ROOM), pytest.raises(OSError):
        write_text(report, "x" * 2 * ROOM)
    with full_disk(ROOM), pytest.raises(OSError), replacing(picture) as partial:
        partial.write_bytes(bytes(2 * ROOM))
    assert names(tmp_path) == {"report.html", "deltas.png"}
    assert report.read_text() == picture.read_text() == "before"


def test_card(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    small, large = Card({"a": "1"}, [], {}), Card({"a": "1" * 2 * ROOM}, [], {})
    write_card(small, path)
    with full_disk(ROOM), pytest.raises(OSError):
        write_card(large, path)
    assert read_card(path) == small
    write_card(large, path)
    assert read_card(path) == large


def test_ledger_entry_that_does_not_fit_is_absent(tmp_path: Path) -> None:
    arm = ArmFolder(tmp_path / "arm")
    arm.describe({"id": "a"})
    attempt = arm.claim()
    with full_disk(50), pytest.raises(OSError):
        attempt.end("done", 0, 1.0, ["x" * 100])
    assert attempt.end_record() is None and attempt.is_alive()
    attempt.end("done", 0, 1.0, ["x" * 100])
    assert attempt.end_record()["outcome"] == "done"
    assert not [name for name in names(tmp_path) if name.endswith(".tmp")]


def test_claim_that_cannot_be_written_leaves_the_arm_free(tmp_path: Path) -> None:
    arm = ArmFolder(tmp_path / "arm")
    arm.describe({"id": "a"})
    with full_disk(10), pytest.raises(OSError):
        arm.claim()
    assert arm.attempts() == []
    assert arm.claim() is not None


@pytest.mark.parametrize("workers", [1, 2])
def test_cache_of_shapes(tmp_path: Path, workers: int) -> None:
    with full_disk(5_000), pytest.raises(OSError, match="D2ALIGN_CACHE"):
        generate_shapes("shapes_128_val", tmp_path, 25, workers, quiet=True)
    assert {name for name in names(tmp_path) if not name.endswith(".lock")} == set()
    assert generate_shapes("shapes_128_val", tmp_path, 25, workers, quiet=True).json_file.is_file()


def _outputs(image_id: int) -> RawOutputs:
    boxes, scores = np.zeros((200, 4), np.float32), np.zeros((200, 3), np.float32)
    rest: Any = (boxes, boxes, scores, boxes[:1], np.zeros(1, np.int64), np.ones(1, np.float32))
    return RawOutputs(image_id, (60, 80), (60, 80), *rest, np.zeros((1, 4, 4), np.float32))


def test_recording_goes_on_after_the_last_whole_shard(tmp_path: Path) -> None:
    store = RawStore(tmp_path, {"weights": "a"})
    store.append([_outputs(1)])
    with full_disk(2_000), pytest.raises(OSError):
        store.append([_outputs(2)])
    again = RawStore(tmp_path, {"weights": "a"})
    assert [one.image_id for one in again] == [1]
    again.append([_outputs(2)])
    assert [one.image_id for one in RawStore(tmp_path, {"weights": "a"})] == [1, 2]
    assert names(tmp_path) == {"manifest.json", "shard-00000.npz", "shard-00001.npz"}


def test_price_report(tmp_path: Path) -> None:
    from d2align.ablation.price.inputs import load_inputs
    from d2align.ablation.price.main import price_of_a_pixel
    from d2align.ablation.price.settings import QUICK

    dataset = make_dataset(np.random.default_rng(0), 4)
    for one in dataset["annotations"]:
        one.pop("segmentation", None)
        one.pop("keypoints", None)
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(dataset))
    inputs, output = load_inputs(path), tmp_path / "price"
    with full_disk(500), pytest.raises(OSError):
        price_of_a_pixel(inputs, QUICK, output, workers=1)
    assert names(output) == set()
    price_of_a_pixel(inputs, QUICK, output, workers=1)
    assert {"price.json", "table.md", "ceilings.png"} <= names(output)
