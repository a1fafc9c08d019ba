"""The checkpointer reads what Detectron2's reads, and runs no code from it."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import get_cfg
from test_load import Attack
from tiny_models import tiny_config
from torch import nn

from d2align.checkpoint import SafeCheckpointer, trusts_checkpoints
from d2align.engine import Trainer


def conv() -> nn.Module:
    return nn.ModuleDict({"conv1": nn.Conv2d(1, 2, 1)})


WEIGHTS = {
    "conv1.weight": np.full((2, 1, 1, 1), 3, np.float32),
    "conv1.bias": np.array([1, 2], np.float32),
}
CAFFE2 = {"res2_0_branch2a_w": WEIGHTS["conv1.weight"], "res2_0_branch2a_b": WEIGHTS["conv1.bias"]}
FILES = {
    "zoo.pkl": {"model": WEIGHTS, "__author__": "somebody"},
    "matched.pkl": {"model": WEIGHTS, "__author__": "somebody", "matching_heuristics": True},
    "detectron1.pkl": {"blobs": {**CAFFE2, "res2_0_branch2a_w_momentum": np.zeros(3)}, "cfg": ""},
    "backbone.pkl": CAFFE2,
    "model.pth": {"model": {k: torch.from_numpy(v) for k, v in WEIGHTS.items()}},
    "bare.pth": {f"module.{k}": torch.from_numpy(v) for k, v in WEIGHTS.items()},
    "pycls.pyth": {"model_state": {k: torch.from_numpy(v) for k, v in WEIGHTS.items()}},
}


def write(path: Path, value: Any) -> str:
    if path.suffix == ".pkl":
        path.write_bytes(pickle.dumps(value, 2))
    else:
        torch.save(value, path)
    return str(path)


@pytest.mark.parametrize("name", FILES)
def test_reads_what_detectron2_reads(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, FILES[name])
    model = conv()
    ours, theirs = SafeCheckpointer(model), DetectionCheckpointer(copy.deepcopy(model))
    rest = [checkpointer.load(path).keys() for checkpointer in (ours, theirs)]
    assert rest[0] == rest[1]
    states = [checkpointer.model.state_dict() for checkpointer in (ours, theirs)]
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    if name not in ("detectron1.pkl", "backbone.pkl"):  # whose names are of another model
        assert ours.model["conv1"].bias.tolist() == [1, 2]


def test_names_of_caffe2_are_matched(tmp_path: Path) -> None:
    model = nn.ModuleDict({"res2": nn.ModuleList([conv()])})
    SafeCheckpointer(model).load(write(tmp_path / "a.pkl", FILES["detectron1.pkl"]))
    assert model["res2"][0]["conv1"].bias.tolist() == [1, 2]


@pytest.mark.parametrize("name", ["a.pkl", "a.pth", "a.pyth"])
def test_an_attack_is_refused_and_trust_lets_it_in(tmp_path: Path, name: str) -> None:
    key = "model_state" if name == "a.pyth" else "model"
    made = tmp_path / "made"
    value = {key: FILES["model.pth"]["model"], "__author__": "x", "more": Attack(made)}
    path = write(tmp_path / name, value)
    with pytest.raises(ValueError, match=r"mkdir, expected .*TRUST_CHECKPOINTS True"):
        SafeCheckpointer(conv()).load(path)
    assert not made.exists()
    SafeCheckpointer(conv(), trust=True).load(path)
    assert made.exists()


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got a list, expected a dict"):
        SafeCheckpointer(conv()).load(write(tmp_path / "a.pth", [1]))
    with pytest.raises(ValueError, match=r"\['model'\], expected 'model_state'"):
        SafeCheckpointer(conv()).load(write(tmp_path / "a.pyth", {"model": {}}))


def test_trust_is_a_key_and_off_by_default() -> None:
    assert not trusts_checkpoints(get_cfg())
    assert not trusts_checkpoints(tiny_config())
    assert trusts_checkpoints(tiny_config("D2ALIGN.TRUST_CHECKPOINTS", "True"))


def test_trainers_refuse_code_and_read_their_own_checkpoints(tmp_path: Path) -> None:
    opts = ("OUTPUT_DIR", str(tmp_path), "SOLVER.IMS_PER_BATCH", "1")
    trainer = _trainer(*opts)
    for group in trainer.optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    trainer.optimizer.step()
    trainer.iter = 0
    trainer.checkpointer.save("model_0", iteration=0)
    again = _trainer(*opts)
    again.resume_or_load(resume=True)
    momenta = [t.optimizer.state_dict()["state"][0]["momentum_buffer"] for t in (trainer, again)]
    assert torch.equal(*momenta)
    made = tmp_path / "made"
    path = write(tmp_path / "attack.pth", {"model": {}, "more": Attack(made)})
    with pytest.raises(ValueError, match="mkdir"):
        _trainer(*opts, "MODEL.WEIGHTS", path).resume_or_load(resume=False)
    assert not made.exists()
    _trainer(*opts, "D2ALIGN.TRUST_CHECKPOINTS", "True", "MODEL.WEIGHTS", path).resume_or_load(
        resume=False
    )
    assert made.exists()


def _trainer(*opts: str) -> Trainer:
    class WithoutData(Trainer):
        @classmethod
        def build_train_loader(cls, cfg: Any) -> Any:
            return [None]

    return WithoutData(tiny_config(*opts))
