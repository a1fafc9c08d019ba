"""A table that remembers gives the numbers of the table, and computes each draw once."""

from __future__ import annotations

import numpy as np
import pytest
from coco_synthetic import make_results
from price_inputs import small_dataset

from d2align.ablation.price.remembered import remembered
from d2align.evaluation.bootstrap import paired_bootstrap
from d2align.evaluation.matches import MatchTable, match_detections


@pytest.fixture(scope="module")
def tables() -> list[MatchTable]:
    dataset = small_dataset()
    results = [make_results(np.random.default_rng(seed), dataset) for seed in (1, 2)]
    return [match_detections(dataset, one) for one in results]


def test_the_numbers_are_the_same(tables: list[MatchTable]) -> None:
    before, after = tables
    again = remembered(before)
    for area in ("all", "small"):
        for iou in (None, 0.5):
            plain = paired_bootstrap(before, after, num_draws=20, area=area, iou=iou)
            assert paired_bootstrap(again, after, num_draws=20, area=area, iou=iou) == plain
            assert paired_bootstrap(again, after, num_draws=20, area=area, iou=iou) == plain


def test_a_draw_is_computed_once(tables: list[MatchTable], monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    compute = MatchTable.ap
    monkeypatch.setattr(
        MatchTable, "ap", lambda self, *args: calls.append(args) or compute(self, *args)
    )
    again = remembered(tables[0])
    for _ in range(2):
        again.ap()
        again.ap(np.array([1, 2, 0, 1, 1, 1]))
        again.ap(np.array([1, 2, 0, 1, 1, 1]), "small")
        again.ap(np.array([1, 2, 0, 1, 1, 1]), "small", 0.5)
    assert len(calls) == 4
