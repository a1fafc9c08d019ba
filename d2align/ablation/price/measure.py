"""Every arm's AP and its paired difference to the reference, in parallel processes."""

from __future__ import annotations

import functools
import multiprocessing
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import NamedTuple

import torch
from tqdm import tqdm

from d2align.ablation.price.arms import Arm
from d2align.ablation.price.inputs import Inputs
from d2align.ablation.price.remembered import remembered
from d2align.ablation.price.settings import Settings
from d2align.evaluation.bias import PairedBias, paired_bias
from d2align.evaluation.bootstrap import PairedDelta, paired_bootstrap
from d2align.evaluation.localization import LocalizationErrors
from d2align.evaluation.matches import MatchTable, match_detections


@dataclass(frozen=True)
class Measurement:
    """What came of an arm.

    Attributes:
        arm: the arm.
        deltas: difference to the arm's reference by object size; sizes without objects left out.
        bias: signed errors of masks, "x", "y" and "edge", against the reference's; empty where
            they are not measured.
    """

    arm: Arm
    deltas: Mapping[str, PairedDelta]
    bias: Mapping[str, PairedBias]


class Outcome(NamedTuple):
    """An arm's detections, matched."""

    table: MatchTable
    errors: LocalizationErrors | None


class Meter:
    """Measures arms on one set of inputs, keeping the references' outcomes."""

    def __init__(self, inputs: Inputs, settings: Settings) -> None:
        """Keep the inputs.

        Args:
            inputs: what the arms read.
            settings: of the bootstrap.
        """
        self.inputs, self.settings = inputs, settings
        crowded = Counter((one["image_id"], one["category_id"]) for one in inputs.objects)
        # Ground truth as detections must all be kept.
        self.max_detections = max(100, *crowded.values())
        self._reference = functools.lru_cache(maxsize=4)(self._match_reference)

    def measure(self, arm: Arm) -> Measurement:
        """Measure an arm against its reference.

        Args:
            arm: the arm.

        Returns:
            Its differences.
        """
        before = self._reference(arm.reference())
        after = before if arm == arm.reference() else self._match(arm)
        draws = {"num_draws": self.settings.num_draws, "seed": self.settings.seed}
        deltas = {
            area: paired_bootstrap(before.table, after.table, area=area, **draws)
            for area in arm.areas
            if before.table.ap(area=area) >= 0
        }
        bias = []
        if before.errors is not None and after.errors is not None:
            bias = paired_bias([before.errors], [after.errors], **draws)
        return Measurement(arm, deltas, {one.name: one for one in bias})

    def _match_reference(self, arm: Arm) -> Outcome:
        table, errors = self._match(arm)
        return Outcome(remembered(table), errors)

    def _match(self, arm: Arm) -> Outcome:
        world = arm.world(self.inputs)
        results = arm.results(world)
        table = match_detections(
            world.dataset,
            results,
            arm.metric,
            areas=arm.areas,
            max_detections=self.max_detections,
        )
        return Outcome(table, world.mask_truth.errors(results) if arm.has_bias else None)


def measure_all(
    arms: Sequence[Arm], inputs: Inputs, settings: Settings, workers: int
) -> list[Measurement]:
    """Measure all arms, with a progress bar.

    Args:
        arms: the arms.
        inputs: what they read.
        settings: of the bootstrap.
        workers: processes, at least 1; with 1 the work is done in this one.

    Returns:
        A measurement for each arm, in order.

    Raises:
        RuntimeError: a process was killed.
    """
    bar = tqdm(total=len(arms), desc="arms", unit="arm")
    with bar:
        if workers == 1:
            meter, done = Meter(inputs, settings), []
            for arm in arms:
                done.append(meter.measure(arm))
                bar.update()
            return done
        return _measure_in_processes(arms, (inputs, settings), workers, bar)


def _measure_in_processes(
    arms: Sequence[Arm], arguments: tuple[Inputs, Settings], workers: int, bar: tqdm
) -> list[Measurement]:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_start, initargs=arguments)
    try:
        futures = {pool.submit(_measure, arm): i for i, arm in enumerate(arms)}
        done: dict[int, Measurement] = {}
        for future in as_completed(futures):
            done[futures[future]] = future.result()
            bar.update()
    except BrokenProcessPool:
        raise RuntimeError(
            "a worker died, perhaps for want of memory: run it again with fewer --workers"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)
    return [done[i] for i in range(len(arms))]


_METER: list[Meter] = []  # of this process


def _start(inputs: Inputs, settings: Settings) -> None:
    os.environ.setdefault("RAYON_NUM_THREADS", "1")
    torch.set_num_threads(1)
    _METER.append(Meter(inputs, settings))


def _measure(arm: Arm) -> Measurement:
    return _METER[0].measure(arm)
