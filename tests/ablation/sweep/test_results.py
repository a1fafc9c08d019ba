"""Results are validated, gathered, and made into a table that depends on nothing else."""

from __future__ import annotations

import copy
import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from d2align.ablation.sweep.environment import code_version, environment
from d2align.ablation.sweep.ledger import ArmFolder
from d2align.ablation.sweep.results import SHARED_KEYS, read_results, write_result, write_results
from d2align.ablation.sweep.schema import check_result, check_results
from d2align.ablation.sweep.statistics import seed_delta
from d2align.ablation.sweep.table import markdown
from d2align.evaluation.student_t import t_quantile

CONFIG = "configs/shapes/ablation_aligned.yaml"


def description(arm: str = "reference", seed: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"{arm}-seed{seed}-01234567",
        "arm": arm,
        "factors": {"flip": "index" if arm == "flip_index" else "coordinate"},
        "config_file": CONFIG,
        "overrides": {},
        "config_hash": "0123456789abcdef" * 4,
        "seed": seed,
        "weights": "",
        "eval_only": False,
        "num_gpus": 1,
        **changes,
    }


def result(
    arm: str = "reference", seed: int = 1, ap: float = 40.0, **changes: Any
) -> dict[str, Any]:
    return {
        **description(arm, seed),
        "metrics": {"val": {"bbox": {"AP": ap, "APs": None}, "segm": {"AP": ap / 2}}},
        "detections": {},
        "attempts": 1,
        "first_iteration": 0,
        "seconds": {"train": 1.0, "evaluate": 0.5},
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:01:00+00:00",
        "code": "0.1.0",
        "environment": {"python": "3.11"},
        **changes,
    }


def content(*results: dict[str, Any], **changes: Any) -> dict[str, Any]:
    whole = {"schema": 1, "reference": "reference", "unfinished": [], "results": list(results)}
    return {**whole, **changes}


def test_schema_takes_a_result_and_all_results():
    check_result(result(), "x")
    check_results(content(result(), result("flip_index")), "x")


@pytest.mark.parametrize("key", list(result()))
def test_schema_refuses_a_result_without_one_of_its_keys(key: str):
    incomplete = result()
    del incomplete[key]
    with pytest.raises(ValueError, match=rf"arm\.json: at .: '{key}' is a required property"):
        check_result(incomplete, "arm.json")


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"seed": "1"}, r"\$\.seed"),
        ({"seed": -1}, r"\$\.seed"),
        ({"attempts": 0}, r"\$\.attempts"),
        ({"config_hash": "xyz"}, r"\$\.config_hash"),
        ({"metrics": {}}, r"\$\.metrics"),
        ({"metrics": {"val": {"bbox": {"AP50": 1.0}}}}, r"\$\.metrics\.val\.bbox"),
        ({"metrics": {"val": {"bbox": {"AP": "1"}}}}, r"\$\.metrics\.val\.bbox\.AP"),
        ({"seconds": {"train": -1.0, "evaluate": 0.0}}, r"\$\.seconds\.train"),
        ({"started": "yesterday"}, r"\$\.started"),
        ({"surplus": 1}, r"\$"),
    ],
)
def test_schema_names_what_is_wrong(changes: dict[str, Any], place: str):
    with pytest.raises(ValueError, match=f"here: at {place}: .*; expected a file that sweeps"):
        check_result(result(**changes), "here")


def test_result_is_written_from_what_was_measured(tmp_path: Path):
    arm = ArmFolder(tmp_path / "arms" / "reference-seed1-01234567")
    arm.describe(description())
    attempt = arm.claim()
    detections = arm.train / "inference" / "coco_instances_results.json"
    detections.parent.mkdir(parents=True)
    detections.write_text("[]")
    measured = {
        "metrics": {"bbox": {"AP": 12.5, "APl": math.nan}},
        "seconds": {"train": 3.0, "evaluate": 1.0},
        "first_iteration": 4,
    }
    made_with = {"code": code_version(), "environment": environment("cpu")}
    write_result(arm, attempt, measured, ["val"], made_with)
    results, unfinished = read_results(tmp_path)
    assert unfinished == []
    (found,) = results
    assert found["metrics"] == {"val": {"bbox": {"AP": 12.5, "APl": None}}}
    assert found["detections"] == {"val": detections.relative_to(tmp_path).as_posix()}
    assert {k: found[k] for k in SHARED_KEYS} == description()
    assert found["environment"]["device"].startswith("cpu")
    assert found["code"].startswith("0.")
    assert found["started"] <= found["finished"]


def test_results_of_several_test_sets_keep_their_names(tmp_path: Path):
    arm = ArmFolder(tmp_path / "arms" / "a")
    arm.describe(description())
    measured = {
        "metrics": {"first": {"bbox": {"AP": 1.0}}, "second": {"bbox": {"AP": 2.0}}},
        "seconds": {"train": 0.0, "evaluate": 0.0},
        "first_iteration": 0,
    }
    made_with = {"code": "x", "environment": {}}
    write_result(arm, arm.claim(), measured, ["first", "second"], made_with)
    assert json.loads(arm.result.read_text())["metrics"]["second"]["bbox"]["AP"] == 2.0


def test_file_that_is_no_result_is_named(tmp_path: Path):
    for name, text in {"a": "{", "b": "{}"}.items():
        arm = ArmFolder(tmp_path / name / "arms" / "arm")
        arm.describe(description())
        arm.result.write_text(text)
        with pytest.raises(ValueError, match=r"result\.json"):
            write_results(tmp_path / name, "reference")
        assert not (tmp_path / name / "results.json").exists()


def test_t_quantiles_are_those_of_the_books():
    assert [round(t_quantile(0.975, n), 3) for n in (1, 2, 4, 30)] == [12.706, 4.303, 2.776, 2.042]


def test_interval_by_hand():
    # Deltas -1, -2, -3: mean -2, standard error 1 / sqrt(3); 4.3027 of it on each side.
    delta = seed_delta([-1.0, -2.0, -3.0])
    assert delta.mean == -2.0
    assert delta.half_width == pytest.approx(4.302653 / math.sqrt(3), abs=1e-6)
    assert str(delta) == "-2.00 [-4.48, +0.48]"


def test_one_seed_has_no_interval_and_no_difference_is_said_to_be_none():
    assert str(seed_delta([-0.5])) == "-0.50 (one seed: no interval)"
    assert str(seed_delta([0.0, 0.0])) == str(seed_delta([0.0])) == "0 (no difference)"


def test_table_pairs_arms_by_seed_whatever_the_order():
    results = [
        result("reference", 1, 40.0),
        result("reference", 2, 50.0),
        result("flip_index", 1, 39.0),
        result("flip_index", 2, 48.0),
        result("detectron1", 1, 30.0),
        result("detectron1", 3, 30.0),
    ]
    page = markdown(content(*results))
    # Deltas -1 and -2: 12.706 standard errors of 0.5 on each side; mask AP is half of it all.
    assert "-1.50 [-7.85, +4.85]" in page and "-0.75 [-3.93, +2.43]" in page
    assert "-10.00 (one seed: no interval), 1 of 2 runs" in page
    assert page.index("| reference") < page.index("| detectron1") < page.index("| flip_index")
    for seed in range(3):
        shuffled = random.Random(seed).sample(results, len(results))
        assert markdown(content(*shuffled)) == page


def test_table_does_not_depend_on_how_the_results_came_about():
    results = [result("reference"), result("flip_index", ap=38.0)]
    page = markdown(content(*results))
    later = copy.deepcopy(results)
    for one in later:
        one.update(attempts=5, first_iteration=7, started="2027-01-01T00:00:00+00:00")
        one.update(code="0.2.0", environment={})
        one["seconds"] = {"train": 99.0, "evaluate": 9.0}
    assert markdown(content(*later)) == page


def test_table_compares_within_a_config_only():
    other = result("flip_index", ap=10.0, config_file="other.yaml")
    page = markdown(content(result("reference"), result("flip_index", ap=39.0), other))
    assert "-1.00" in page and "-30.00" not in page and "no reference" in page
    assert page.count("\n## ") == 2


def test_table_says_what_is_missing():
    page = markdown(content(result(), unfinished=["anchors-seed1-1"]))
    assert "Not finished (1): anchors-seed1-1." in page
    undefined = result("flip_index")
    undefined["metrics"]["val"]["segm"]["AP"] = None
    assert "not defined" in markdown(content(result(), undefined))


def test_weights_tell_replicates_of_one_seed_apart():
    runs = [("a.pth", 40.0, 39.0), ("b.pth", 50.0, 48.0)]
    results = [
        result(arm, 1, ap, weights=weights, eval_only=True)
        for weights, *aps in runs
        for arm, ap in zip(("reference", "flip_index"), aps, strict=True)
    ]
    page = markdown(content(*results))
    assert "-1.50 [-7.85, +4.85]" in page and "| b.pth" in page
