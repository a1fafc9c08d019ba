#!/usr/bin/env python
"""Training steps and inference of whole models on the CPU, against plain Detectron2.

Both models have the same weights and all pixel details aligned; the peer is Detectron2's
GeneralizedRCNN with its poolers and memory layout. "iteration" is all that a trainer does: load a
batch through the mapper, forward, backward, SGD. Also printed: how far the losses of both models
are apart over 20 steps of training on the same batches, and why. Convolutions in another memory
layout round otherwise; a step's losses differ by more than that only if two proposals of almost
the same score changed places, since the sampled regions are then others.

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
        {"title", "rows", "notes"}.
    """
    logging.disable(logging.INFO)
    warnings.filterwarnings("ignore")
    small = Pair("shapes/ablation_aligned.yaml")
    batches = list(itertools.islice(Trainer.build_train_loader(small.cfg), STEPS))
    rounds = 5 if quick else 40
    small.train(batches)
    losses = compare_losses(small, batches)
    rows = [
        row("small model, training step", small.ratio_of_steps(batches, rounds)),
        row("small model, iteration", small.ratio_of_iterations(rounds)),
        row("small model, inference", small.ratio_of_inference(batches, rounds)),
    ]
    if not quick:
        rows += rows_of_resnet(320, 480, rounds=3)
    if large:
        rows += rows_of_resnet(800, 1333, rounds=1)
    title = "Whole models on the CPU, against plain Detectron2"
    return {"title": title, "rows": rows, "notes": losses}


class Pair:
    """Two models of the same weights: d2align's and plain Detectron2's."""

    def __init__(self, config: str, *opts: str) -> None:
        self.cfg = load_config(str(CONFIGS / config), list(opts))
        self.plain_cfg = self.cfg.clone()
        self.plain_cfg.MODEL.META_ARCHITECTURE = "GeneralizedRCNN"
        torch.manual_seed(0)
        self.ours, self.plain = build_model(self.cfg), build_model(self.plain_cfg)

    def train(self, batches: list[Any], steps: int = 100) -> None:
        """Train the plain model a little, so that scores and statistics are not random."""
        step = Steps(self.plain, batches, optimizer(self.plain, 0.02))
        for _ in range(steps):
            step()

    def make_equal(self) -> None:
        """Give ours the weights and statistics of the plain one."""
        self.ours.load_state_dict(self.plain.state_dict())

    def ratio_of_steps(self, batches: list[Any], rounds: int) -> dict[str, float]:
        """Forward and backward on batches that are there already."""
        self.make_equal()
        works = [Steps(model, batches) for model in (self.ours, self.plain)]
        return paired_ratio(*works, rounds)

    def ratio_of_iterations(self, rounds: int) -> dict[str, float]:
        """Load a batch, forward, backward, SGD."""
        mapper = DatasetMapper(self.plain_cfg, is_train=True)
        np.random.seed(0)  # which draws the order of the images
        ours = Trainer.build_train_loader(self.cfg)
        np.random.seed(0)
        plain = build_detection_train_loader(self.plain_cfg, mapper=mapper)
        self.make_equal()
        works = [
            Steps(model, loader, optimizer(model, 1e-4))
            for model, loader in ((self.ours, ours), (self.plain, plain))
        ]
        return paired_ratio(*works, rounds)

    def ratio_of_inference(self, batches: list[Any], rounds: int) -> dict[str, float]:
        """Raw detections, without pasting their masks."""
        self.make_equal()
        works = [Inference(model, batches) for model in (self.ours, self.plain)]
        return paired_ratio(*works, rounds)


def optimizer(model: Any, rate: float) -> Any:
    """SGD as in the configs, at a rate."""
    return torch.optim.SGD(model.parameters(), rate, momentum=0.9, weight_decay=1e-4)


class Steps:
    """A model and its batches; each call is one training step."""

    def __init__(self, model: Any, batches: Any, optimizer: Any = None) -> None:
        self.model, self.optimizer = model, optimizer
        self.proposals: list[Any] = []
        self.batches = itertools.cycle(batches) if isinstance(batches, list) else iter(batches)
        self.done = 0

    def __call__(self) -> dict[str, float]:
        self.model.train()
        np.random.seed(self.done)  # both mappers draw the same sizes and flips
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
    pair.train(batches, steps=3)
    name = f"R50-FPN, {height} x {width}"
    steps = row(f"{name}, training step", pair.ratio_of_steps(batches, rounds))
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


def compare_losses(pair: Pair, batches: list[Any]) -> dict[str, Any]:
    """Train both models side by side, each on its own proposals, then both on the plain one's."""
    own = differences(pair, batches, share_proposals=False)
    shared = [difference for difference, _ in differences(pair, batches, share_proposals=True)]
    apart = [step for step, (difference, _) in enumerate(own) if difference > SAME]
    first = apart[0] if apart else None
    return {
        "first step": own[0][0],
        f"largest of {STEPS} steps": max(difference for difference, _ in own),
        f"first step apart by more than {SAME}": first,
        "images of it whose proposals differ": None if first is None else own[first][1],
        "first step, same proposals": shared[0],
        f"largest of {STEPS} steps, same proposals": max(shared),
    }


def differences(
    pair: Pair, batches: list[Any], *, share_proposals: bool
) -> list[tuple[float, int]]:
    """For each step: by how much losses differ, relative to 1 + loss, and in how many images
    proposals do."""
    pair.make_equal()
    state = {name: value.clone() for name, value in pair.plain.state_dict().items()}
    plain, ours = (
        Steps(model, batches, optimizer(model, 0.002)) for model in (pair.plain, pair.ours)
    )
    hooks = [listen(work) for work in (plain, ours)]
    if share_proposals:
        hooks.append(
            ours.model.proposal_generator.register_forward_hook(
                lambda module, inputs, output: (plain.proposals, output[1])
            )
        )
    found = []
    for _ in range(STEPS):
        expected, losses = plain(), ours()
        difference = max(abs(losses[k] - expected[k]) / (1 + expected[k]) for k in expected)
        found.append((difference, images_with_other_proposals(ours, plain)))
    for hook in hooks:
        hook.remove()
    pair.plain.load_state_dict(state)
    return found


def listen(work: Steps) -> Any:
    """Keep the proposals of each step; they are lists that the heads do not change."""
    return work.model.proposal_generator.register_forward_hook(
        lambda module, inputs, output: setattr(work, "proposals", output[0])
    )


def images_with_other_proposals(first: Steps, second: Steps) -> int:
    """In how many images proposals have changed places, or are others."""
    boxes = [[p.proposal_boxes.tensor for p in work.proposals] for work in (first, second)]
    same = [
        len(a) == len(b) and torch.allclose(a, b, atol=0.1) for a, b in zip(*boxes, strict=True)
    ]
    return same.count(False)


if __name__ == "__main__":
    sys.exit(main())
