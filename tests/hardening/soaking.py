"""A soak: one process trains and evaluates for long, and its memory is watched along the way."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import logging
import resource
import sys
import time
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.engine import HookBase
from fuzz_machine import describe_machine

from d2align.atomic import write_text
from d2align.data.shapes.register import prepare_shapes, register_shapes_subset
from d2align.engine import Trainer, load_config
from d2align.evaluation import COCOEvaluator

CONFIG = "configs/shapes/ablation_aligned.yaml"
_MIB = 2**20


@dataclass
class Soak:
    """What was asked for, and what was seen.

    Attributes:
        images: of the data set, seen once a repeat.
        batch: images an iteration.
        repeats: of training, the first of which is the warm-up.
        evaluations: of all images, the first of which is the warm-up.
        samples: (phase, repeat, images so far, MiB) along the way.
        ends: (phase, repeat, MiB, Python's blocks of memory in use) after each repeat, once the
            garbage is collected and the C library has given free memory back.
    """

    images: int
    batch: int
    repeats: int
    evaluations: int
    samples: list[tuple[str, int, int, float]] = field(default_factory=list)
    ends: list[tuple[str, int, float, int]] = field(default_factory=list)

    def sample(self, phase: str, repeat: int, images: int) -> None:
        """Note the memory of this process and its children now."""
        self.samples.append((phase, repeat, images, memory()))

    def end(self, phase: str, repeat: int) -> None:
        """Note the memory that is left at the end of a repeat."""
        gc.collect()
        with contextlib.suppress(AttributeError, OSError):  # no glibc
            ctypes.CDLL(None).malloc_trim(0)
        self.ends.append((phase, repeat, memory(), sys.getallocatedblocks()))

    def slope(self, phase: str) -> float:
        """MiB for each 1,000 images after the warm-up, by least squares."""
        rows = [
            (repeat * self.images + images, mib)
            for name, repeat, images, mib in self.samples
            if name == phase and repeat > 0
        ]
        if len(rows) < 2:
            return float("nan")
        images, mib = np.array(rows).T
        return float(np.polyfit(images / 1000, mib, 1)[0])

    def growth(self, phase: str) -> float:
        """MiB for each 1,000 images from the end of the warm-up to the last end."""
        ends = [mib for name, _, mib, _ in self.ends if name == phase]
        return (ends[-1] - ends[0]) / max(len(ends) - 1, 1) / self.images * 1000


def memory() -> float:
    """Resident MiB of this process and of its children."""
    pids, total = [str(p) for p in ("self", *_children())], 0.0
    for pid in pids:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        total += pages * resource.getpagesize() / _MIB
    return total


def _children() -> list[int]:
    return [
        int(pid)
        for task in Path("/proc/self/task").iterdir()
        for pid in (task / "children").read_text().split()
    ]


class _Watch(HookBase):
    def __init__(self, soak: Soak, every: int) -> None:
        self.soak, self.every = soak, every

    def after_step(self) -> None:
        seen = (self.trainer.iter + 1) * self.soak.batch
        repeat, images = divmod(seen - 1, self.soak.images)
        if (self.trainer.iter + 1) % self.every == 0:
            self.soak.sample("train", repeat, images + 1)
        if images + 1 + self.soak.batch > self.soak.images:
            self.soak.end("train", repeat)


class _WatchedEvaluator(COCOEvaluator):
    def __init__(self, soak: Soak, repeat: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.soak, self.repeat, self.seen = soak, repeat, 0

    def process(self, inputs: Any, outputs: Any) -> None:
        super().process(inputs, outputs)
        self.seen += len(inputs)
        if self.seen % max(1, self.soak.images // 20) == 0:
            self.soak.sample("evaluate", self.repeat, self.seen)


def run_soak(soak: Soak, folder: Path) -> dict[str, Any]:
    """Train and evaluate, and write soak.json.

    Args:
        soak: how much.
        folder: of the run's files and of soak.json.

    Returns:
        The content of soak.json.
    """
    logging.disable(logging.INFO)
    warnings.filterwarnings("ignore", module="torch")
    torch.set_num_threads(1)
    name = f"soak_{soak.images}"
    register_shapes_subset(name, "shapes_128_train", soak.images)
    prepare_shapes([name])
    started = time.process_time()
    cfg = load_config(CONFIG, [str(text) for pair in _options(soak, name, folder) for text in pair])
    Path(cfg.OUTPUT_DIR).mkdir(parents=True, exist_ok=True)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=False)
    trainer.register_hooks([_Watch(soak, every=max(1, soak.images // soak.batch // 10))])
    trainer.train()
    for repeat in range(soak.evaluations):
        evaluator = _WatchedEvaluator(soak, repeat, name, output_dir=str(folder / "inference"))
        metrics = Trainer.test(cfg, trainer.model, [evaluator])
        del evaluator
        soak.end("evaluate", repeat)
    content = _content(soak, metrics, time.process_time() - started)
    write_text(folder / "soak.json", json.dumps(content, indent=1))
    return content


def _options(soak: Soak, name: str, folder: Path) -> list[tuple[str, object]]:
    a_repeat = soak.images // soak.batch
    return [
        ("DATASETS.TRAIN", f"('{name}',)"),
        ("DATASETS.TEST", f"('{name}',)"),
        ("MODEL.DEVICE", "cpu"),
        ("SOLVER.IMS_PER_BATCH", soak.batch),
        ("SOLVER.MAX_ITER", soak.repeats * a_repeat),
        ("SOLVER.CHECKPOINT_PERIOD", a_repeat),
        ("TEST.EVAL_PERIOD", 0),
        ("SEED", 1),
        ("OUTPUT_DIR", folder / "run"),
    ]


def _content(soak: Soak, metrics: Any, cpu_seconds: float) -> dict[str, Any]:
    phases = ("train", "evaluate")
    return {
        **{k: v for k, v in asdict(soak).items() if k not in ("samples", "ends")},
        "slope_mib_per_1000_images": {p: soak.slope(p) for p in phases},
        "growth_of_ends_mib_per_1000_images": {p: soak.growth(p) for p in phases},
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "cpu_seconds": cpu_seconds,
        "metrics": {task: found["AP"] for task, found in metrics.items()},
        "environment": describe_machine(),
        "ends": soak.ends,
        "samples": soak.samples,
    }
