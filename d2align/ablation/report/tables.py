"""Results files read once, and matched as often as a report asks."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from d2align.evaluation.localization import LocalizationErrors, LocalizationTruth
from d2align.evaluation.matches import AREA_RANGES, MatchTable, match_detections

Areas = dict[str, tuple[float, float]]
_LEAST_SHARE = 0.02


class ResultTables:
    """Matches and pixel errors of results files, kept for as long as the report is made."""

    def __init__(self, dataset: Mapping[str, Any]) -> None:
        """Make it.

        Args:
            dataset: the COCO dict of the evaluated images.
        """
        self.dataset = dataset
        self.areas, self.areas_are_coco = size_ranges(dataset)
        self._truths: dict[str, LocalizationTruth] = {}

    @functools.cache  # noqa: B019  # one object lives as long as its report
    def by_size(self, path: Path, metric: str) -> MatchTable:
        """Return the matches of a results file in each size range."""
        return match_detections(self.dataset, self.results(path), metric, areas=self.areas)

    @functools.cache  # noqa: B019
    def errors(self, path: Path, metric: str) -> LocalizationErrors:
        """Return the pixel errors of a results file's matched detections."""
        if metric not in self._truths:
            self._truths[metric] = LocalizationTruth(self.dataset, metric)
        return self._truths[metric].errors(self.results(path))

    @functools.lru_cache(maxsize=2)  # noqa: B019  # the files are large
    def results(self, path: Path) -> Sequence[dict[str, Any]]:
        """Return the rows of a results file."""
        rows: list[dict[str, Any]] = json.loads(path.read_text())
        return rows


def size_ranges(dataset: Mapping[str, Any]) -> tuple[Areas, bool]:
    """Return the area ranges by which to split objects into small, medium and large.

    Args:
        dataset: a COCO dict.

    Returns:
        name -> (lowest, highest) squared pixels, and whether they are COCO's own: where one of
        COCO's ranges holds next to nothing, each range holds a third of the objects instead.
    """
    own: Areas = {name: AREA_RANGES[name] for name in ("small", "medium", "large")}
    areas = np.array([a["area"] for a in dataset["annotations"] if not a.get("iscrowd", 0)])
    if len(areas) == 0:
        return own, True
    shares = [((areas >= low) & (areas < high)).mean() for low, high in own.values()]
    if min(shares) >= _LEAST_SHARE:
        return own, True
    first, second = (float(np.ceil(q)) for q in np.quantile(areas, [1 / 3, 2 / 3]))
    if not 0 < first < second:
        return own, True
    return {"small": (0.0, first), "medium": (first, second), "large": (second, 1e10)}, False
