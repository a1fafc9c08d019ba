"""What tools train with: errors before anything is written, and tiny runs of train_net.py."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.data import MetadataCatalog

from d2align import engine
from d2align.data import PixelExactDatasetMapper
from d2align.engine import checks
from d2align.engine import trainer as trainer_module

ROOT = Path(__file__).parents[1]
SHAPES = ROOT / "configs" / "shapes" / "ablation_aligned.yaml"
COCO = ROOT / "configs" / "ablation_aligned.yaml"


def arguments(config: Path, *opts: str, eval_only: bool = False, resume: bool = False) -> Namespace:
    return Namespace(config_file=str(config), opts=list(opts), eval_only=eval_only, resume=resume)


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("D2ALIGN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "fvcore"))
    return tmp_path / "output"


@pytest.mark.parametrize(
    ("opts", "expected"),
    [
        (
            ("DATASETS.TRAIN", "('coco_2018_train',)"),
            r"DATASETS: got 'coco_2018_train'.*shapes_128",
        ),
        (("DATASETS.TEST", "('shapes',)"), r"DATASETS: got 'shapes'.*built-in"),
        (
            ("MODEL.WEIGHTS", "/no/such/model.pth"),
            r"MODEL.WEIGHTS: got '/no/such/model.pth'.*no such",
        ),
        (("MODEL.WEIGHTS", str(ROOT)), r"MODEL.WEIGHTS: got .*no such file"),
        (("D2ALIGN.FLIP", "mirror"), r"D2ALIGN.FLIP: got 'mirror'"),
        (("NO.KEY", "1"), "Non-existent key: NO.KEY"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    output: Path, monkeypatch: pytest.MonkeyPatch, opts: tuple[str, ...], expected: str
) -> None:
    monkeypatch.setattr(checks, "prepare_shapes", lambda names: None)
    with pytest.raises(ValueError, match=expected):
        engine.setup(arguments(SHAPES, *opts, "OUTPUT_DIR", str(output)))
    assert not output.exists()


def test_missing_coco_says_where_it_looked_and_what_to_do(output: Path) -> None:
    # Detectron2 reads the variable when it is imported, hence the path it has made of it.
    path = MetadataCatalog.get("coco_2017_train").json_file
    if os.path.exists(path):
        pytest.skip("COCO is here")
    with pytest.raises(ValueError, match="DETECTRON2_DATASETS") as error:
        engine.setup(arguments(COCO, "MODEL.WEIGHTS", "", "OUTPUT_DIR", str(output)))
    assert path in str(error.value) and "configs/shapes" in str(error.value)
    assert not output.exists()


def test_evaluation_needs_only_the_test_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[Any] = []
    monkeypatch.setattr(checks, "prepare_shapes", prepared.append)
    cfg = engine.load_config(str(SHAPES), ["DATASETS.TRAIN", "('nowhere',)"])
    engine.check_datasets(cfg, eval_only=True)
    assert prepared == [("shapes_128_val",)]
    with pytest.raises(ValueError, match="nowhere"):
        engine.check_datasets(cfg, eval_only=False)


@pytest.mark.parametrize(
    "weights",
    ["detectron2://ImageNetPretrained/MSRA/R-50.pkl", "https://weights.invalid/model.pth"],
)
def test_weights_that_cannot_be_fetched_fail_quickly(
    output: Path, monkeypatch: pytest.MonkeyPatch, weights: str
) -> None:
    def offline(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    monkeypatch.setattr(checks, "prepare_shapes", lambda names: None)
    start = time.perf_counter()
    with pytest.raises(ValueError, match=r"MODEL\.WEIGHTS") as error:
        engine.setup(arguments(SHAPES, "MODEL.WEIGHTS", weights, "OUTPUT_DIR", str(output)))
    assert time.perf_counter() - start < 10
    assert weights in str(error.value) and "cannot be had" in str(error.value)
    assert not output.exists()


def test_weights_are_not_needed_where_a_run_goes_on(tmp_path: Path) -> None:
    opts = ["MODEL.WEIGHTS", "/no/such.pth", "OUTPUT_DIR", str(tmp_path)]
    cfg = engine.load_config(str(SHAPES), opts)
    with pytest.raises(ValueError, match=r"such\.pth"):
        engine.check_weights(cfg, resume=True)
    (tmp_path / "last_checkpoint").write_text("model_0.pth")
    engine.check_weights(cfg, resume=True)
    with pytest.raises(ValueError, match=r"such\.pth"):
        engine.check_weights(cfg, resume=False)


def test_weights_that_are_there_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(b"")
    engine.check_weights(engine.load_config("", ["MODEL.WEIGHTS", str(path)]), resume=False)
    engine.check_weights(engine.load_config("", ["MODEL.WEIGHTS", ""]), resume=False)


def test_evaluator_refuses_other_kinds_of_data() -> None:
    cfg = engine.load_config(str(SHAPES))
    with pytest.raises(ValueError, match=r"evaluator_type 'cityscapes_instance'"):
        engine.Trainer.build_evaluator(cfg, "cityscapes_fine_instance_seg_val")


def test_trainer_loads_through_our_mapper(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    for name in ("build_detection_train_loader", "build_detection_test_loader"):
        monkeypatch.setattr(trainer_module, name, lambda *args, mapper: seen.append(mapper))
    cfg = engine.load_config(str(SHAPES))
    engine.Trainer.build_train_loader(cfg)
    engine.Trainer.build_test_loader(cfg, "shapes_128_val")
    assert [type(m) for m in seen] == [PixelExactDatasetMapper] * 2
    assert [m.is_train for m in seen] == [True, False]


def test_registered_subsets_of_shapes_are_made_when_a_run_starts(tmp_path: Path) -> None:
    from d2align.data.shapes.register import register_shapes_subset

    register_shapes_subset("d2align_test_subset", "shapes_128_val", 2, cache=tmp_path)
    name = "('d2align_test_subset',)"
    cfg = engine.load_config(str(SHAPES), ["DATASETS.TRAIN", name, "DATASETS.TEST", name])
    engine.check_datasets(cfg, eval_only=False)
    assert Path(MetadataCatalog.get("d2align_test_subset").json_file).exists()


# A driver as short as train_net.py itself, with data sets of a few images. Registered at import,
# so that spawned processes have them, too.
DRIVER = """
import sys
sys.path.insert(0, {tools!r})
import train_net
from d2align.cli import fail_politely
from d2align.data.shapes.register import prepare_shapes, register_shapes_subset

register_shapes_subset("tiny_train", "shapes_128_train", 8)
register_shapes_subset("tiny_val", "shapes_128_val", 4)
if __name__ == "__main__":
    prepare_shapes(["tiny_train", "tiny_val"])
    sys.exit(fail_politely(train_net.main))
"""
SMALL = [
    *("DATASETS.TRAIN", "('tiny_train',)", "DATASETS.TEST", "('tiny_val',)"),
    *("SOLVER.IMS_PER_BATCH", "2", "SOLVER.WARMUP_ITERS", "0", "MODEL.DEVICE", "cpu"),
    *("MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0", "TEST.DETECTIONS_PER_IMAGE", "10", "SEED", "1"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs")
    (path / "driver.py").write_text(DRIVER.format(tools=str(ROOT / "tools")))
    return path


def train_net(folder: Path, *args: str, config: Path = SHAPES) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "D2ALIGN_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    command = [sys.executable, str(folder / "driver.py"), "--config-file", str(config), *args]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180
    )


def free_url() -> list[str]:
    """Detectron2's default port is the same for all runs of a user, so tests choose their own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return ["--dist-url", f"tcp://127.0.0.1:{probe.getsockname()[1]}"]


def results(output: Path) -> list[dict[str, Any]]:
    return json.loads((output / "inference" / "coco_instances_results.json").read_text())


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    output = folder / "trained"
    done = train_net(folder, "OUTPUT_DIR", str(output), "SOLVER.MAX_ITER", "4", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "Starting training from iteration 0" in done.stdout
    assert re.search(r"copypaste: AP", done.stdout)
    assert len(results(output)) > 0
    assert torch.load(output / "model_final.pth", weights_only=False)["iteration"] == 3
    return output


@pytest.mark.slow
def test_resume_goes_on_from_the_last_iteration_and_evaluation_repeats(
    folder: Path, trained: Path
) -> None:
    opts = ["OUTPUT_DIR", str(trained), "SOLVER.MAX_ITER", "6", *SMALL]
    done = train_net(folder, "--resume", *opts)
    assert done.returncode == 0, done.stderr
    assert "Starting training from iteration 4" in done.stdout
    written = torch.load(trained / "model_final.pth", weights_only=False)
    assert written["iteration"] == 5
    assert written["trainer"]["_trainer"]["optimizer"]["state"]  # momentum outlives a stop
    # Evaluation alone finds what evaluation after training found.
    output = folder / "evaluated"
    weights = ["MODEL.WEIGHTS", str(trained / "model_final.pth")]
    again = train_net(folder, "--eval-only", "OUTPUT_DIR", str(output), *weights, *SMALL)
    assert again.returncode == 0, again.stderr
    assert results(output) == results(trained)

    def ap(text: str) -> list[str]:
        return re.findall(r"copypaste: ([\d.,nan-]+)$", text, flags=re.MULTILINE)

    assert ap(again.stdout) and ap(again.stdout) == ap(done.stdout)


@pytest.mark.slow
def test_log_tells_the_pixel_details(trained: Path) -> None:
    assert "'box_transform': 'float'" in (trained / "log.txt").read_text()


@pytest.mark.slow
def test_two_cpu_processes_train_alike_and_evaluate_together(folder: Path) -> None:
    output = folder / "two"
    args = [
        "--num-gpus",
        "2",
        *free_url(),
        "OUTPUT_DIR",
        str(output),
        "SOLVER.MAX_ITER",
        "2",
        *SMALL,
    ]
    done = train_net(folder, *args)
    assert done.returncode == 0, done.stderr
    assert "2 CPU processes are started" in done.stdout
    assert re.search(r"copypaste: AP", done.stdout)
    assert {r["image_id"] for r in results(output)} == {0, 1, 2, 3}
    state = torch.load(output / "model_final.pth", weights_only=False)
    assert state["iteration"] == 1
    assert not any(key.startswith("module.") for key in state["model"])
    assert (output / "log.txt.rank1").exists()


@pytest.mark.slow
def test_bad_input_ends_train_net_with_one_line(folder: Path) -> None:
    done = train_net(folder, "OUTPUT_DIR", str(folder / "bad"), "D2ALIGN.FLIP", "mirror")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: D2ALIGN.FLIP: got 'mirror'")
    assert "Traceback" not in done.stderr and not (folder / "bad").exists()


@pytest.mark.slow
def test_bad_input_ends_two_processes_with_one_line(folder: Path) -> None:
    done = train_net(folder, "--num-gpus", "2", *free_url(), "D2ALIGN.FLIP", "mirror")
    assert done.returncode == 2 and "Traceback" not in done.stderr
