#!/usr/bin/env python
"""Training steps and inference of whole models on the CPU, against plain Detectron2.

Both models have the same weights and all pixel details aligned; the peer is Detectron2's
GeneralizedRCNN with its poolers and memory layout. "iteration" is all that a trainer does: load a
batch through the mapper, forward, backward, SGD. Also printed: the losses of both models side by
side, for one step and over 20 steps of training on the same batches.

    python benchmarks/train_step.py           # the small model and R50-FPN at 320 x 480
    python benchmarks/train_step.py --large   # and R50-FPN at 800 x 1333: a quarter of an hour
"""

from __future__ import annotations

import itertools
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from _timing import paired_ratio, row, run_script  # noqa: E402
from detectron2.data import DatasetMapper, build_detection_train_loader  # noqa: E402
from detectron2.modeling import build_model  # noqa: E402
from detectron2.solver import build_optimizer  # noqa: E402
from detectron2.structures import BitMasks, Boxes, Instances  # noqa: E402
from detectron2.utils.events import EventStorage  # noqa: E402

from d2align.engine import Trainer, load_config  # noqa: E402

CONFIGS = Path(__file__).parents[1] / "configs"
STEPS = 20
SAME = 1e-5  # relative difference of losses that rounding explains


def main() -> int:
    """Measure and print."""
    large = {"action": "store_true", "help": "also R50-FPN at 800 x 1333"}
    return run_script(measure, __doc__ or "", large=large)


def measure(quick: bool, large: bool = False) -> dict[str, Any]:
    """Return ratios of CPU time, plain Detectron2's over d2align's.

    Args:
        quick: fewer pairs, and the small model only.
        large: also R50-FPN at 800 x 1333.

    Returns:
        {"title", "rows", "losses"}.
    """
    logging.disable(logging.INFO)
    warnings.filterwarnings("ignore")
    small = Pair("shapes/ablation_aligned.yaml")
    batches = list(itertools.islice(Trainer.build_train_loader(small.cfg), STEPS))
    rounds = 5 if quick else 40
    rows = [
        row("small model, training step", small.ratio_of_steps(batches, rounds)),
        row("small model, iteration", small.ratio_of_iterations(rounds)),
        row("small model, inference", small.ratio_of_inference(batches, rounds)),
    ]
    losses = compare_losses(batches)
    if not quick:
        rows += rows_of_resnet(320, 480, rounds=3)
    if large:
        rows += rows_of_resnet(800, 1333, rounds=1)
    title = "Whole models on the CPU, against plain Detectron2"
    return {"title": title, "rows": rows, "losses": losses}


class Pair:
    """Two models of the same weights: d2align's and plain Detectron2's."""

    def __init__(self, config: str, *opts: str) -> None:
        self.cfg = load_config(str(CONFIGS / config), list(opts))
        self.plain_cfg = self.cfg.clone()
        self.plain_cfg.MODEL.META_ARCHITECTURE = "GeneralizedRCNN"
        torch.manual_seed(0)
        self.ours, self.plain = build_model(self.cfg), build_model(self.plain_cfg)
        self.plain.load_state_dict(self.ours.state_dict())

    def ratio_of_steps(self, batches: list[Any], rounds: int) -> dict[str, float]:
        """Forward and backward on batches that are there already."""
        works = [Steps(model, batches) for model in (self.ours, self.plain)]
        return paired_ratio(*works, rounds)

    def ratio_of_iterations(self, rounds: int) -> dict[str, float]:
        """Load a batch, forward, backward, SGD."""
        mapper = DatasetMapper(self.plain_cfg, is_train=True)
        loaders = (
            Trainer.build_train_loader(self.cfg),
            build_detection_train_loader(self.plain_cfg, mapper=mapper),
        )
        works = [
            Steps(model, loader, build_optimizer(self.cfg, model))
            for model, loader in zip((self.ours, self.plain), loaders, strict=True)
        ]
        return paired_ratio(*works, rounds)

    def ratio_of_inference(self, batches: list[Any], rounds: int) -> dict[str, float]:
        """Raw detections, without pasting their masks."""
        works = [Inference(model, batches) for model in (self.ours, self.plain)]
        return paired_ratio(*works, rounds)


class Steps:
    """A model and its batches; each call is one training step."""

    def __init__(self, model: Any, batches: Any, optimizer: Any = None) -> None:
        self.model, self.optimizer = model, optimizer
        self.batches = itertools.cycle(batches) if isinstance(batches, list) else iter(batches)
        self.done = 0

    def __call__(self) -> dict[str, float]:
        self.model.train()
        batch = next(self.batches)
        torch.manual_seed(self.done)  # both models sample the same anchors and proposals
        self.done += 1
        with EventStorage(0):
            losses = self.model(batch)
        self.model.zero_grad()
        sum(losses.values()).backward()
        if self.optimizer is not None:
            self.optimizer.step()
        return {name: float(value) for name, value in losses.items()}


class Inference:
    """A model and its batches; each call is one detection."""

    def __init__(self, model: Any, batches: list[Any]) -> None:
        self.model, self.batches = model, itertools.cycle(batches)

    def __call__(self) -> Any:
        self.model.eval()
        with torch.no_grad():
            return self.model.inference(next(self.batches), do_postprocess=False)


def rows_of_resnet(height: int, width: int, rounds: int) -> list[dict[str, Any]]:
    """Mask R-CNN R50-FPN on one image of noise with ten objects, batch norm instead of weights."""
    pair = Pair(
        "ablation_aligned.yaml",
        *("MODEL.WEIGHTS", "", "MODEL.DEVICE", "cpu"),
        *("MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0"),  # as many detections as when trained
    )
    batches = [[noise_with_objects(height, width, seed)] for seed in range(rounds + 4)]
    name = f"R50-FPN, {height} x {width}"
    steps = row(f"{name}, training step", pair.ratio_of_steps(batches, rounds))
    # Running statistics came close to the data in those steps.
    return [steps, row(f"{name}, inference", pair.ratio_of_inference(batches, rounds))]


def noise_with_objects(height: int, width: int, seed: int) -> dict[str, Any]:
    """An image of noise; boxes of log-normal sizes, median a sixth of the shorter side."""
    rng = np.random.default_rng(seed)
    sides = np.exp(rng.normal(np.log(min(height, width) / 6), 0.6, (10, 2)))
    sides = np.clip(sides, 8, [0.9 * width, 0.9 * height])
    corners = rng.uniform(0, 1, (10, 2)) * ([width, height] - sides)
    target = Instances((height, width))
    target.gt_boxes = Boxes(torch.tensor(np.concatenate([corners, corners + sides], axis=1)))
    target.gt_classes = torch.from_numpy(rng.integers(0, 80, 10))
    target.gt_masks = BitMasks(torch.from_numpy(rng.random((10, height, width)) < 0.5))
    image = torch.from_numpy(rng.integers(0, 256, (3, height, width), dtype=np.uint8))
    return {"image": image, "instances": target, "height": height, "width": width}


def compare_losses(batches: list[Any]) -> dict[str, Any]:
    """Train both small models on the same batches; relative differences of their losses."""
    pair = Pair("shapes/ablation_aligned.yaml", "SOLVER.BASE_LR", "0.002")
    works = [Steps(m, batches, build_optimizer(pair.cfg, m)) for m in (pair.ours, pair.plain)]
    differences = []
    for _ in range(STEPS):
        ours, plain = (work() for work in works)
        differences.append(max(abs(ours[k] - plain[k]) / max(plain[k], 1e-3) for k in plain))
    apart = [i for i, difference in enumerate(differences) if difference > SAME]
    return {
        "first_step": differences[0],
        "largest_of_20_steps": max(differences),
        "first_step_that_differs": apart[0] if apart else None,
    }


if __name__ == "__main__":
    sys.exit(main())
