"""Training batches that depend on the seed and their number only, so that training can resume."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from detectron2.data import DatasetFromList, get_detection_dataset_dicts
from detectron2.data.samplers import RepeatFactorTrainingSampler, TrainingSampler
from detectron2.utils import comm
from torch.utils.data import DataLoader, Dataset

_SAMPLE, _ITERATION = 0, 1


class ResumableTrainLoader:
    """Detectron2's training batches in Detectron2's order, from any iteration on.

    Augmentation draws from a generator seeded anew for each sample, training from one seeded
    anew for each iteration. So a run that was stopped and resumed, at whatever iteration and with
    however many workers, sees what an undisturbed one sees; and arms of one seed see the same
    images, equally augmented, whatever else differs between them.

    Attributes:
        start: the iteration to begin with; set before the first batch is asked for.
    """

    def __init__(self, cfg: Any, mapper: Callable[[dict[str, Any]], Any]) -> None:
        """Make a loader.

        Args:
            cfg: a config whose SEED is not negative.
            mapper: makes a model's input of a dataset dict.
        """
        self.start = 0
        self._cfg, self._rank = cfg, comm.get_rank()
        self._dicts = get_detection_dataset_dicts(
            cfg.DATASETS.TRAIN,
            filter_empty=cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS,
            min_keypoints=cfg.MODEL.ROI_KEYPOINT_HEAD.MIN_KEYPOINTS_PER_IMAGE
            if cfg.MODEL.KEYPOINT_ON
            else 0,
            proposal_files=cfg.DATASETS.PROPOSAL_FILES_TRAIN if cfg.MODEL.LOAD_PROPOSALS else None,
        )
        self._wide = [d["width"] > d["height"] for d in self._dicts]
        self._samples = _SeededSamples(self._dicts, mapper, cfg.SEED, self._rank)

    def __iter__(self) -> Iterator[list[Any]]:
        """Yield batches of this process, without end."""
        loader = DataLoader(
            self._samples,
            batch_sampler=itertools.islice(self._batches(), self.start, None),
            num_workers=self._cfg.DATALOADER.NUM_WORKERS,
            collate_fn=list,
        )
        for iteration, batch in enumerate(loader, self.start):
            seed_everything(self._cfg.SEED, _ITERATION, self._rank, iteration)
            yield batch

    def _batches(self) -> Iterator[list[tuple[int, int]]]:
        """Batches of (position in this process's stream, index of an image)."""
        size = self._cfg.SOLVER.IMS_PER_BATCH // comm.get_world_size()
        buckets: tuple[list[tuple[int, int]], ...] = ([], [])
        for position, index in enumerate(self._sampler()):
            grouped = self._cfg.DATALOADER.ASPECT_RATIO_GROUPING and self._wide[index]
            bucket = buckets[int(grouped)]
            bucket.append((position, index))
            if len(bucket) == size:
                yield bucket[:]
                bucket.clear()

    def _sampler(self) -> Any:
        name, seed = self._cfg.DATALOADER.SAMPLER_TRAIN, self._cfg.SEED
        if name == "TrainingSampler":
            return TrainingSampler(len(self._dicts), seed=seed)
        if name == "RepeatFactorTrainingSampler":
            factors = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(
                self._dicts, self._cfg.DATALOADER.REPEAT_THRESHOLD
            )
            return RepeatFactorTrainingSampler(factors, seed=seed)
        raise ValueError(
            f"DATALOADER.SAMPLER_TRAIN: got {name!r}, expected TrainingSampler or "
            "RepeatFactorTrainingSampler"
        )


class _SeededSamples(Dataset[Any]):
    """Mapped samples; what is random in one depends on its position in the stream only."""

    def __init__(
        self,
        dicts: list[dict[str, Any]],
        mapper: Callable[[dict[str, Any]], Any],
        seed: int,
        rank: int,
    ) -> None:
        self._dicts = DatasetFromList(dicts)  # serialized, and copied when read
        self._mapper, self._seed, self._rank = mapper, seed, rank

    def __len__(self) -> int:
        return len(self._dicts)

    def __getitem__(self, key: tuple[int, int]) -> Any:
        position, index = key
        seed_everything(self._seed, _SAMPLE, self._rank, position)
        return self._mapper(self._dicts[index])


def seed_everything(*key: int) -> None:
    """Seed the generators of Python, NumPy and torch.

    Args:
        *key: what they depend on, not negative; every key gives a stream of its own.
    """
    words = np.random.SeedSequence(key).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    torch.manual_seed(int(words[2]))
