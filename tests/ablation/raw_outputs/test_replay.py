"""Replay equals a fresh run of the network, number for number, for whatever it covers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import CASCADE, ROOT, assert_same_instances, tiny_batch, tiny_config, tiny_model

from d2align.ablation.raw_outputs import boxes
from d2align.ablation.raw_outputs.arms import REPLAY_ARMS, SELF_CHECK
from d2align.ablation.raw_outputs.main import ReplaySettings, replay_checkpoint
from d2align.ablation.raw_outputs.record import box_predictors, run_image
from d2align.ablation.raw_outputs.results import check_replay
from d2align.modeling import apply, detector_postprocess
from d2align.registry import build_paste_mask

SCALE = 0.7


def _inputs(scale: float = SCALE) -> list[dict[str, Any]]:
    return [{**inputs, "image_id": i} for i, inputs in enumerate(tiny_batch(scale))]


@pytest.fixture(params=[(), CASCADE], ids=["mask", "cascade"])
def model(request: pytest.FixtureRequest) -> Any:
    cfg = tiny_config("MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.05", *request.param)
    return tiny_model(cfg).eval()


def _raws(model: Any) -> list[Any]:
    with torch.no_grad():
        return [run_image(model, box_predictors(model), inputs) for inputs in _inputs()]


def test_recording_changes_neither_the_model_nor_its_detections(model: Any):
    inputs = _inputs()
    with torch.no_grad():
        before = model(inputs[:1])[0]["instances"]
        state = [set(vars(p)) for p in box_predictors(model)]
        raw = run_image(model, box_predictors(model), inputs[0])
        after = model(inputs[:1])[0]["instances"]
    assert [set(vars(p)) for p in box_predictors(model)] == state
    assert_same_instances([before], [after])
    replayed = detector_postprocess(boxes.recorded(raw), *raw.size)
    assert len(replayed) > 3
    assert_same_instances([before], [replayed])


def test_the_reference_follows_from_its_raw_outputs(model: Any):
    stage = boxes.box_stage(box_predictors(model)[-1])
    for raw in _raws(model):
        check_replay(raw, stage)
        moved = boxes.BoxStage(**{**vars(stage), "nms_threshold": 0.01})
        with pytest.raises(ValueError, match="do not follow"):
            check_replay(raw, moved)


@pytest.mark.parametrize("value", ["py_faster_rcnn", "detectron1"])
def test_replayed_decode_is_that_of_a_fresh_run_with_the_last_stage_turned(model: Any, value: str):
    stage, raws = boxes.box_stage(box_predictors(model)[-1]), _raws(model)
    arm = next(a for a in REPLAY_ARMS if a.arm.name == f"last_decode_{value}")
    turned = _turn_last_stage_only(model, value)
    with torch.no_grad():
        fresh = [turned.inference([i], do_postprocess=False)[0] for i in _inputs()]
    for raw, found in zip(raws, fresh, strict=True):
        found.remove("pred_masks")  # those of other boxes, which a replay does not know
        replayed = arm.detections(raw, stage)
        assert_same_instances([replayed], [found])
        assert len(SELF_CHECK(raw, stage)) and not torch.equal(
            SELF_CHECK(raw, stage).pred_boxes.tensor[:1], replayed.pred_boxes.tensor[:1]
        )


def _turn_last_stage_only(model: Any, value: str) -> Any:
    """The whole model turned, then everything before the last box stage turned back."""
    plain = [m.box2box_transform for m in _deciders(model)]
    classes = [type(m) for m in _deciders(model)]
    apply(model, box_transform=value)
    for module, transform, cls in list(zip(_deciders(model), plain, classes, strict=True))[:-1]:
        module.box2box_transform, module.__class__ = transform, cls
    return model


def _deciders(model: Any) -> list[Any]:
    return [model.proposal_generator, *box_predictors(model)]


def test_replayed_paste_is_that_of_a_fresh_run(model: Any):
    raws = _raws(model)
    with torch.no_grad():
        turned = apply(model, paste_mask="detectron1")
        fresh = [turned([inputs])[0]["instances"] for inputs in _inputs()]
    paste = build_paste_mask("detectron1")
    replayed = [detector_postprocess(boxes.recorded(r), *r.size, paste) for r in raws]
    assert_same_instances(replayed, fresh)


def test_the_named_offsets_are_exact(model: Any):
    stage, raw = boxes.box_stage(box_predictors(model)[-1]), _raws(model)[0]
    scale = boxes.network_scale(raw)
    consistent = boxes.decode_in_original_pixels(raw, stage, "detectron1")
    buggy = boxes.decode_in_original_pixels(raw, stage, "py_faster_rcnn")
    off = ((buggy - consistent).reshape(-1, 4) / scale).mean(dim=0)
    assert off.tolist() == pytest.approx([0, 0, 1, 1], abs=1e-4)
    clipped = boxes.clip_inclusive(raw, consistent).reshape(-1, 4) / scale
    assert clipped[:, 2].max() == pytest.approx(raw.size[1] - 1, abs=1e-4)
    assert clipped[:, 3].max() == pytest.approx(raw.size[0] - 1, abs=1e-4)


def _checkpoint(folder: Path) -> tuple[Any, Path]:
    cfg = tiny_config("MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.05")
    path = folder / "model.pth"
    torch.save({"model": tiny_model(cfg).state_dict()}, path)
    cfg.MODEL.WEIGHTS = str(path)
    return cfg, path


def test_a_checkpoint_is_replayed_from_end_to_end(tmp_path: Path):
    cfg, _ = _checkpoint(tmp_path)
    settings = ReplaySettings(tmp_path / "out", num_images=6, rerun=True, num_draws=20)
    table = replay_checkpoint(cfg, settings)
    by_name = {rows[0].arm.name: [row.metric for row in rows] for rows in table}
    assert by_name["paste_mask_detectron1"] == ["bbox", "segm"]
    assert by_name["last_decode_py_faster_rcnn"] == by_name["clip_inclusive"] == ["bbox"]
    assert by_name["box_transform_py_faster_rcnn"] == ["bbox", "segm"]
    paste = json.loads((tmp_path / "out" / "paste_mask_detectron1.json").read_text())
    reference = json.loads((tmp_path / "out" / "reference.json").read_text())
    assert [r["bbox"] for r in paste] == [r["bbox"] for r in reference] != []
    assert [r["segmentation"] for r in paste] != [r["segmentation"] for r in reference]
    again = replay_checkpoint(cfg, settings)  # now all images are kept already
    assert [row.delta for rows in again for row in rows] == [
        row.delta for rows in table for row in rows
    ]


def test_bad_settings_are_refused_before_anything_is_written(tmp_path: Path):
    cfg, _ = _checkpoint(tmp_path)
    settings = ReplaySettings(tmp_path / "out", num_images=2)
    for key, value, message in (
        ("MODEL.WEIGHTS", "", "expected the checkpoint"),
        ("MODEL.WEIGHTS", str(tmp_path / "none.pth"), "cannot be had"),
        ("D2ALIGN.PASTE_MASK", "detectron1", "the replay turns it"),
    ):
        bad = cfg.clone()
        bad.merge_from_list([key, value])
        with pytest.raises(ValueError, match=message):
            replay_checkpoint(bad, settings)
    assert not (tmp_path / "out").exists()


def test_a_killed_recording_goes_on_where_it_was(tmp_path: Path):
    _, weights = _checkpoint(tmp_path)
    (tmp_path / "config.yaml").write_text(tiny_config().dump())  # what the checkpoint fits
    command = [sys.executable, str(ROOT / "tools" / "replay.py"), "--config-file",
               str(tmp_path / "config.yaml"), "--output", str(tmp_path / "out"), "--images", "60",
               "--draws", "5", "MODEL.WEIGHTS", str(weights)]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    first = tmp_path / "out" / "raw" / "shard-00000.npz"
    manifest = tmp_path / "out" / "raw" / "manifest.json"
    deadline = time.monotonic() + 240
    # Not the shard's file: what is not in the manifest yet is rightly done again.
    while not (manifest.exists() and json.loads(manifest.read_text())["shards"]):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    written = first.stat().st_mtime_ns
    again = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert first.stat().st_mtime_ns == written
    shards = json.loads(manifest.read_text())["shards"]
    assert [shard["images"] for shard in shards] == [25, 25, 10]
    assert not list((tmp_path / "out").rglob("*.tmp"))
