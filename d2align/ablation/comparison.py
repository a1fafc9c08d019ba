"""Rows of the table: the paired difference of each arm to the reference of its kind, and nulls."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from d2align.ablation.crossover import crossings
from d2align.ablation.study import Arm, Study, finetunes
from d2align.ablation.tasks import null_file, results_file
from d2align.atomic import write_text
from d2align.evaluation.bootstrap import PairedDelta, paired_bootstrap, verdict
from d2align.evaluation.matches import MatchTable, match_detections

METRICS = {"bbox": "box AP", "segm": "mask AP"}
# What the jitter of a null draw moves each box edge by, in pixels (one standard deviation).
_NULL_JITTER = 0.5
_FIRST_LOOK_DRAWS = 100


@dataclass(frozen=True)
class Row:
    """One arm's difference to its reference, in one metric."""

    arm: Arm
    metric: str
    delta: PairedDelta

    @property
    def verdict(self) -> str:
        """lower, higher, same or not resolved."""
        return verdict(self.delta)


class Comparison:
    """Reads a study's results and compares its arms, once per file."""

    def __init__(self, study: Study, root: Path, ground_truth: str) -> None:
        """Make a comparison.

        Args:
            study: the study.
            root: its folder.
            ground_truth: path of the COCO json of the test set.
        """
        self.study, self.root = study, root
        dataset = json.loads(Path(ground_truth).read_text())
        dataset["images"] = dataset["images"][: study.num_images]
        kept = {image["id"] for image in dataset["images"]}
        dataset["annotations"] = [a for a in dataset["annotations"] if a["image_id"] in kept]
        self.dataset = dataset

    def ready_bases(self, arm: Arm) -> tuple[int, ...]:
        """Return the bases of which all files that an arm's rows need are there."""
        ends = [end for pair in self.pairs(arm) for end in pair]
        return tuple(
            base
            for base in self._bases()
            if all((self.root / results_file(base, end)).exists() for end in ends)
        )

    def rows(self, arm: Arm, bases: Sequence[int]) -> list[Row]:
        """Return an arm's difference in box AP and in mask AP.

        Args:
            arm: one of the study's.
            bases: those to compare on, at least one, each ready. With fewer than all, which is
                for a first look, at most 100 draws are made.

        Returns:
            Two rows.
        """
        return [Row(arm, metric, self._delta(arm, metric, bases)) for metric in METRICS]

    def pairs(self, arm: Arm) -> list[tuple[Arm | None, Arm]]:
        """Return the pairs (reference, variant) whose mean difference is an arm's.

        Args:
            arm: one of the study's.

        Returns:
            One pair, or several of a fine-tune or crossover; a reference None is the base itself.
        """
        if arm.kind == "crossover":
            return [(a.arm, b.arm) for a, b in crossings(self.study, arm)]
        if arm.kind == "finetune":
            return [(reference, variant) for _, reference, variant in finetunes(self.study, arm)]
        return [(None, arm)]

    def files(self, arm: Arm, bases: Sequence[int]) -> list[list[tuple[Path, Path]]]:
        """Return the results files of an arm's pairs.

        Args:
            arm: one of the study's.
            bases: those to compare on.

        Returns:
            For each base, (reference, variant) of each pair.
        """
        return [
            [
                (self.root / results_file(base, a), self.root / results_file(base, b))
                for a, b in self.pairs(arm)
            ]
            for base in bases
        ]

    def null(self, index: int) -> PairedDelta:
        """Compare two equal random jitters of the reference's boxes with each other.

        Args:
            index: seed of the jitters.

        Returns:
            The difference in box AP, whose true value is 0.
        """
        sides = []
        for side in range(2):
            tables = []
            for base in self._bases():
                rng = np.random.default_rng([index, side, base])
                results = _jittered(_boxes(str(self.root / results_file(base, None))), rng)
                tables.append(match_detections(self.dataset, results, "bbox", areas=["all"]))
            sides.append(tables)
        return paired_bootstrap(*sides, num_draws=self.study.num_draws, seed=index)

    def _delta(self, arm: Arm, metric: str, bases: Sequence[int]) -> PairedDelta:
        files = self.files(arm, bases)
        reference, variant = (
            [[self._table(pair[end], metric) for pair in pairs] for pairs in files]
            for end in (0, 1)
        )
        draws = self.study.num_draws
        if len(bases) < self.study.num_bases:
            draws = min(draws, _FIRST_LOOK_DRAWS)
        return paired_bootstrap(reference, variant, num_draws=draws)

    @functools.cache  # noqa: B019  # one comparison lives as long as its tool
    def _table(self, path: Path, metric: str) -> MatchTable:
        results = json.loads(path.read_text())
        return match_detections(self.dataset, results, metric, areas=["all"])

    def _bases(self) -> range:
        return range(1, self.study.num_bases + 1)


def write_null(study: Study, root: Path, dataset_name: str, out: str) -> None:
    """Carry out one null comparison.

    Args:
        study: the study.
        root: its folder.
        dataset_name: the built-in test set.
        out: one of ``null_file``, to be written whole or not at all.
    """
    from d2align.data.shapes import shapes_paths

    index = [null_file(study, i) for i in range(study.num_nulls)].index(out)
    comparison = Comparison(study, root, str(shapes_paths(dataset_name).json_file))
    write_text(root / out, json.dumps(asdict(comparison.null(index))))


def read_nulls(study: Study, root: Path) -> list[PairedDelta]:
    """Read all null comparisons of a study.

    Args:
        study: the study.
        root: its folder.

    Returns:
        The differences, whose true values are 0.
    """
    files = [root / null_file(study, index) for index in range(study.num_nulls)]
    return [PairedDelta(**json.loads(path.read_text())) for path in files]


def misses(nulls: list[PairedDelta]) -> int:
    """Return how many intervals leave out the truth, 0.

    Args:
        nulls: differences whose true value is 0.

    Returns:
        The number.
    """
    return sum(null.low > 0 or null.high < 0 for null in nulls)


@functools.cache
def _boxes(path: str) -> tuple[dict[str, Any], ...]:
    keys = ("image_id", "category_id", "bbox", "score")
    return tuple({k: r[k] for k in keys} for r in json.loads(Path(path).read_text()))


def _jittered(
    results: tuple[dict[str, Any], ...], rng: np.random.Generator
) -> list[dict[str, Any]]:
    boxes = np.array([r["bbox"] for r in results]).reshape(-1, 4)
    first, last = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    first = first + rng.normal(0, _NULL_JITTER, first.shape)
    last = np.maximum(last + rng.normal(0, _NULL_JITTER, last.shape), first + 0.1)
    moved = np.concatenate([first, last - first], axis=1).tolist()
    return [{**r, "bbox": box} for r, box in zip(results, moved, strict=True)]
