"""Train one arm: deterministic batches, no evaluation, checkpoints written at the end only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from detectron2.engine import HookBase, hooks
from detectron2.utils.env import seed_all_rng

from d2align.atomic import replacing
from d2align.engine import Trainer


class _Progress(HookBase):
    def __init__(self, report: Callable[[int], None]) -> None:
        self.report = report

    def after_step(self) -> None:
        self.report(1)


class _ArmTrainer(Trainer):
    """A Trainer with nothing but training: no periodic checkpoints, logs or evaluations."""

    @classmethod
    def build_optimizer(cls, cfg: Any, model: torch.nn.Module) -> torch.optim.Optimizer:
        # In so few iterations AdamW comes much further than SGD; every arm has the same.
        return torch.optim.AdamW(
            model.parameters(), lr=cfg.SOLVER.BASE_LR, weight_decay=cfg.SOLVER.WEIGHT_DECAY
        )

    def build_hooks(self) -> list[HookBase]:
        return [hooks.LRScheduler()]


def train_arm(
    cfg: Any,
    seed: int,
    weights: Path | None,
    out: Path,
    report: Callable[[int], None],
) -> None:
    """Train from scratch or from given weights, and write the model's weights.

    The same seed gives every arm the same batches and flips in the same order.

    Args:
        cfg: a config, not frozen; iterations and schedule are read from its SOLVER.
        seed: of all random number generators.
        weights: a file that ``train_arm`` wrote, or None.
        out: the file to write, whole or not at all.
        report: called with the number of iterations done since the last call.
    """
    cfg = cfg.clone()
    cfg.SEED, cfg.MODEL.WEIGHTS = seed, ""
    cfg.freeze()
    seed_all_rng(seed)
    trainer = _ArmTrainer(cfg)
    if weights is not None:
        load_weights(trainer.model, weights)
    trainer.register_hooks([_Progress(report)])
    trainer.train()
    with replacing(out) as partial:
        torch.save({"model": trainer.model.state_dict()}, partial)


def load_weights(model: torch.nn.Module, path: Path) -> None:
    """Load weights that ``train_arm`` wrote, every one of which must fit.

    Args:
        model: a model, changed in place.
        path: the file.
    """
    state = torch.load(path, map_location="cpu", weights_only=True)["model"]
    # Anchors differ between arms and are buffers of no weight.
    missing = model.load_state_dict(state, strict=False).missing_keys
    assert all("cell_anchors" in key for key in missing), missing
