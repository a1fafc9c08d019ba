"""An arm that was stopped and resumed ends with the weights of an undisturbed one, bit for bit."""

from __future__ import annotations

import logging
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from d2align.ablation.sweep.stream import ResumableTrainLoader, seed_everything
from d2align.ablation.sweep.trainer import ArmTrainer, import_modules
from d2align.data.shapes.register import register_shapes_subset
from d2align.engine import load_config, setup

CONFIG = str(Path(__file__).parents[3] / "configs" / "shapes" / "ablation_aligned.yaml")
DATA = "sweep_trainer_test"


@pytest.fixture(scope="module", autouse=True)
def data(tmp_path_factory: pytest.TempPathFactory) -> None:
    register_shapes_subset(DATA, "shapes_128_train", 6, cache=tmp_path_factory.mktemp("cache"))


def opts(output: Path, **changes: Any) -> list[str]:
    keys = {
        "DATASETS.TRAIN": f"('{DATA}',)",
        "DATASETS.TEST": f"('{DATA}',)",
        "SOLVER.IMS_PER_BATCH": 2,
        "SOLVER.WARMUP_ITERS": 2,
        "SOLVER.MAX_ITER": 6,
        "SOLVER.CHECKPOINT_PERIOD": 2,
        "SEED": 7,
        "OUTPUT_DIR": output,
        **changes,
    }
    return [str(text) for pair in keys.items() for text in pair]


def trainer(output: Path, **changes: Any) -> ArmTrainer:
    args = Namespace(config_file=CONFIG, opts=opts(output, **changes), eval_only=False, resume=True)
    logging.getLogger("detectron2").setLevel(logging.WARNING)
    made = ArmTrainer(setup(args))
    made.resume_or_load()
    return made


def stopped_after(made: ArmTrainer, iteration: int) -> None:
    class Stop(Exception):
        pass

    def after_step() -> None:
        ArmTrainer.after_step(made)
        if made.iter == iteration:
            raise Stop

    made.after_step = after_step
    with pytest.raises(Stop):
        made.train()


def test_resumed_training_ends_the_same(tmp_path: Path):
    whole = trainer(tmp_path / "whole")
    whole.train()
    stopped_after(trainer(tmp_path / "parts"), 4)  # one iteration after the checkpoint
    torch.manual_seed(12345)
    resumed = trainer(tmp_path / "parts")
    assert resumed.start_iter == 4
    resumed.train()
    expected, found = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    momenta = [
        [s["momentum_buffer"] for s in made.optimizer.state_dict()["state"].values()]
        for made in (whole, resumed)
    ]
    assert all(torch.equal(a, b) for a, b in zip(*momenta, strict=True))
    kept = sorted(p.name for p in (tmp_path / "whole").glob("model_*.pth"))
    assert kept == ["model_0000005.pth", "model_final.pth"]


def test_trained_arm_has_nothing_left_to_train(tmp_path: Path):
    trainer(tmp_path).train()
    assert trainer(tmp_path).start_iter == 6


def test_half_written_checkpoint_is_never_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stopped_after(trainer(tmp_path), 3)
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000003.pth"
    made = trainer(tmp_path)

    def killed(data: Any, file: Any) -> None:
        file.write(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        made.checkpointer.save("model_0000005")
    monkeypatch.undo()
    assert not list(tmp_path.glob("model_0000005.pth*"))
    assert trainer(tmp_path).start_iter == 4


def batches(output: Path, start: int, count: int, **changes: Any) -> list[Any]:
    cfg = load_config(CONFIG, opts(output, **changes))
    loader = ResumableTrainLoader(cfg, mapper_of(cfg))
    loader.start = start
    found = []
    for _, batch in zip(range(count), loader, strict=False):
        found.append([(b["image_id"], b["image"].tolist(), torch.rand(1).item()) for b in batch])
    return found


def mapper_of(cfg: Any) -> Any:
    from d2align.data import PixelExactDatasetMapper

    return PixelExactDatasetMapper(cfg, is_train=True)


def test_batches_do_not_depend_on_the_start_or_on_workers(tmp_path: Path):
    expected = batches(tmp_path, 0, 7)
    assert batches(tmp_path, 4, 3) == expected[4:]
    workers = {"DATALOADER.NUM_WORKERS": 2}
    assert batches(tmp_path, 0, 7, **workers) == expected
    assert batches(tmp_path, 2, 2, **workers) == expected[2:4]
    assert batches(tmp_path, 0, 7, SEED=8) != expected


def test_order_of_images_is_detectron2_s(tmp_path: Path):
    from detectron2.data import build_detection_train_loader
    from detectron2.data.samplers import TrainingSampler

    cfg = load_config(CONFIG, opts(tmp_path))
    mapper = mapper_of(cfg)
    theirs = build_detection_train_loader(cfg, mapper=mapper, sampler=TrainingSampler(6, seed=7))
    expected = [[b["image_id"] for b in batch] for _, batch in zip(range(9), theirs, strict=False)]
    assert [[image for image, *_ in batch] for batch in batches(tmp_path, 0, 9)] == expected


def test_keys_of_seeds_do_not_collide():
    drawn = set()
    for key in [(1, 0, 0, 1), (1, 0, 1, 0), (1, 1, 0, 0), (0, 1, 0, 0), (1, 0, 0, 0), (1, 0, 0, 2)]:
        seed_everything(*key)
        drawn.add((torch.rand(1).item(), float(np.random.rand())))
        seed_everything(*key)
        assert (torch.rand(1).item(), float(np.random.rand())) in drawn
    assert len(drawn) == 6


def test_imports_are_made_once_or_refused(tmp_path: Path):
    module = tmp_path / "d2align_sweep_imported.py"
    module.write_text("import builtins\nbuiltins.imported = getattr(builtins, 'imported', 0) + 1\n")
    import builtins

    import_modules([str(module), str(module), "json"])
    assert builtins.imported == 1
    for name in ("no_such_module_of_mine", str(tmp_path / "missing.py")):
        with pytest.raises(ValueError, match=f"imports: got '{name}'"):
            import_modules([name])


def test_checkpoint_without_an_optimizer_is_taken_over_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = trainer(tmp_path)
    state = made.state_dict()
    del state["_trainer"]  # as Detectron2 v0.5 writes it
    state["iteration"] = 3
    with caplog.at_level(logging.WARNING, logger="d2align"):
        made.load_state_dict(state)
    assert "momentum starts anew" in caplog.text
    assert made.iter == made._trainer.iter == 3
