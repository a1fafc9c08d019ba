#!/usr/bin/env python
"""What d2align's all-aligned components add to a training step of plain Detectron2.

Two models with the same weights, Detectron2's own and d2align's all-aligned one, take turns on
the same batches (A B, B A, ...). Printed: the ratio of CPU time a step, d2align / Detectron2,
with a 95 % bootstrap interval over pairs, and the operators of one step that differ in number.

    python benchmarks/overhead.py --steps 200
"""

from __future__ import annotations

import argparse
import collections
import itertools
import logging
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "shapes" / "ablation_aligned.yaml"


def main() -> int:
    """Measure and print; the exit code is 1 if the upper bound is above 1.05."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200, help="pairs of steps")
    parser.add_argument("--limit", type=float, default=1.05, help="for the upper bound")
    args = parser.parse_args()
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    models, batches = build()
    for batch in itertools.islice(batches, 5):
        for model in models.values():
            step(model, batch, 0)
    operators = {name: count_operators(model, next(batches)) for name, model in models.items()}
    times = measure(models, batches, args.steps)
    low, middle, high = ratio_interval(times["d2align"], times["detectron2"])
    medians = {name: 1000 * float(np.median(t)) for name, t in times.items()}
    print(f"median CPU ms a step: {medians}")
    print(
        f"ratio d2align / detectron2 over {args.steps} pairs: {middle:.4f} [{low:.4f}, {high:.4f}]"
    )
    print_operators(operators)
    return int(high > args.limit)


def build() -> tuple[dict[str, Any], Any]:
    """Return the two models, of the same weights, and an endless iterator of batches."""
    from detectron2.modeling import build_model

    from d2align.engine import Trainer, load_config

    cfg = load_config(str(CONFIG))
    torch.manual_seed(0)
    ours = build_model(cfg).train()
    plain_cfg = cfg.clone()
    plain_cfg.MODEL.META_ARCHITECTURE = "GeneralizedRCNN"
    plain = build_model(plain_cfg).train()
    plain.load_state_dict(ours.state_dict())
    return {"detectron2": plain, "d2align": ours}, iter(Trainer.build_train_loader(cfg))


def step(model: Any, batch: Any, seed: int) -> float:
    """Run one training step without the optimizer and return its CPU seconds."""
    from detectron2.utils.events import EventStorage

    torch.manual_seed(seed)  # the same regions are sampled in both models
    started = time.process_time()
    with EventStorage(0):
        loss = sum(model(batch).values())
    model.zero_grad()
    loss.backward()
    return time.process_time() - started


def measure(models: dict[str, Any], batches: Any, steps: int) -> dict[str, list[float]]:
    """Return CPU seconds of each model's steps, the order of the two alternating."""
    times: dict[str, list[float]] = {name: [] for name in models}
    for i, batch in enumerate(itertools.islice(batches, steps)):
        names = list(models) if i % 2 else list(models)[::-1]
        for name in names:
            times[name].append(step(models[name], batch, i))
        if sys.stderr.isatty():
            print(f"\r{i + 1}/{steps}", end="", file=sys.stderr)
    return times


def ratio_interval(a: list[float], b: list[float]) -> tuple[float, float, float]:
    """Return the bootstrap interval of the ratio of mean times, over pairs."""
    rng = np.random.default_rng(0)
    x, y = np.array(a), np.array(b)
    draws = rng.integers(len(x), size=(4000, len(x)))
    ratios = x[draws].mean(axis=1) / y[draws].mean(axis=1)
    low, high = np.percentile(ratios, [2.5, 97.5])
    return float(low), float(x.mean() / y.mean()), float(high)


def count_operators(model: Any, batch: Any) -> collections.Counter[str]:
    """Return how often each operator runs in one training step."""
    with torch.profiler.profile() as profiler:
        step(model, batch, 0)
    return collections.Counter(
        {e.key: e.count for e in profiler.key_averages() if e.key.startswith("aten::")}
    )


def print_operators(operators: dict[str, collections.Counter[str]]) -> None:
    """Print the operators whose numbers differ between the two models."""
    ours, plain = operators["d2align"], operators["detectron2"]
    print(f"operators a step: detectron2 {plain.total()}, d2align {ours.total()}")
    for name in sorted(ours | plain):
        if ours[name] != plain[name]:
            print(f"  {name}: {plain[name]} -> {ours[name]}")


if __name__ == "__main__":
    sys.exit(main())
