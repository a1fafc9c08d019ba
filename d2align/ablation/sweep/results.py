"""Results: one file an arm, and all of a sweep's in results.json."""

from __future__ import annotations

import json
import math
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from d2align.ablation.sweep.ledger import ArmFolder, Attempt, arm_folders
from d2align.ablation.sweep.schema import SCHEMA_VERSION, check_result, check_results
from d2align.atomic import write_text

# What an arm's description and its result have in common.
SHARED_KEYS = (
    *("id", "arm", "factors", "config_file", "overrides", "config_hash", "seed", "weights"),
    *("eval_only", "num_gpus"),
)


def write_result(
    arm: ArmFolder,
    attempt: Attempt,
    measured: dict[str, Any],
    test_sets: list[str],
    made_with: dict[str, Any],
) -> None:
    """Write the result of an arm, validated, whole or not at all.

    Args:
        arm: the arm's folder.
        attempt: the attempt that has come to the end.
        measured: metrics, seconds and first_iteration, as ``trainer.run_arm`` writes them.
        test_sets: names of the data sets.
        made_with: code and environment.
    """
    description = arm.description()
    result = {
        **{key: description[key] for key in SHARED_KEYS},
        **{key: measured[key] for key in ("seconds", "first_iteration")},
        "metrics": _by_data_set(measured["metrics"], test_sets),
        "detections": _detections(arm, test_sets),
        "attempts": attempt.number,
        "started": _utc(attempt.claim()["time"]),
        "finished": _utc(datetime.now().timestamp()),
        **made_with,
    }
    check_result(result, str(arm.result))
    write_text(arm.result, json.dumps(result, indent=1))


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")


def _by_data_set(metrics: dict[str, Any], test_sets: list[str]) -> dict[str, Any]:
    """Detectron2 leaves out the data set's name where there is one only."""
    named = {test_sets[0]: metrics} if len(test_sets) == 1 else metrics
    return {
        name: {
            task: {metric: _finite(value) for metric, value in values.items()}
            for task, values in tasks.items()
        }
        for name, tasks in named.items()
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _detections(arm: ArmFolder, test_sets: list[str]) -> dict[str, str]:
    file = arm.train / "inference" / "coco_instances_results.json"
    if len(test_sets) > 1 or not file.exists():  # of several sets, the last one's overwrite it
        return {}
    return {test_sets[0]: file.relative_to(arm.path.parent.parent).as_posix()}


def read_results(root: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Read the results of all arms in a sweep's folder.

    Args:
        root: the sweep's folder.

    Returns:
        The validated results by id, and the ids of arms without one.

    Raises:
        ValueError: a file is not a result.
    """
    results, unfinished = [], []
    for arm in arm_folders(root):
        if not arm.is_done():
            unfinished.append(arm.path.name)
            continue
        try:
            result = json.loads(arm.result.read_text(encoding="utf-8"))
        except json.JSONDecodeError as e:
            raise ValueError(f"{arm.result}: got no JSON ({e}), expected a result") from None
        check_result(result, str(arm.result))
        results.append(result)
    return results, unfinished


def write_results(root: Path, reference: str) -> dict[str, Any]:
    """Gather the results of all arms into results.json.

    Args:
        root: the sweep's folder.
        reference: the arm that others are compared with.

    Returns:
        The file's content.

    Raises:
        ValueError: a file is not a result.
    """
    results, unfinished = read_results(root)
    content = {
        "schema": SCHEMA_VERSION,
        "reference": reference,
        "unfinished": unfinished,
        "results": results,
    }
    check_results(content, str(root / "results.json"))
    write_text(root / "results.json", json.dumps(content, indent=1))
    return content
