"""The one form of results: a JSON schema of an arm's result, and of a sweep's results.json."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator

SCHEMA_VERSION = 1

_TEXT = {"type": "string"}
_NAME = {"type": "string", "minLength": 1}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_SECONDS = {"type": "number", "minimum": 0}
_TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$"}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    """An object that has exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


# data set -> task (bbox, segm, keypoints) -> metric (AP, AP50, APs, AP-square, ...) -> AP points
_METRICS = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {
            "type": "object",
            "required": ["AP"],
            "additionalProperties": {"type": ["number", "null"]},  # null: not defined
        },
    },
}

RESULT = _object(
    {
        "id": _NAME,
        "arm": _NAME,
        "factors": _TEXTS,
        "config_file": _TEXT,
        "overrides": _TEXTS,
        "config_hash": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "seed": {"type": "integer", "minimum": 0},
        "weights": _TEXT,
        "eval_only": {"type": "boolean"},
        "num_gpus": {"type": "integer", "minimum": 1},
        "metrics": _METRICS,
        "detections": _TEXTS,  # data set -> COCO results file, relative to the sweep's folder
        "attempts": {"type": "integer", "minimum": 1},
        "first_iteration": {"type": "integer", "minimum": 0},  # of the last attempt
        "seconds": _object({"train": _SECONDS, "evaluate": _SECONDS}),  # of the last attempt
        "started": _TIME,
        "finished": _TIME,
        "code": _NAME,
        "environment": _TEXTS,
    }
)

RESULTS = _object(
    {
        "schema": {"const": SCHEMA_VERSION},
        "reference": _NAME,
        "unfinished": {"type": "array", "items": _NAME},
        "results": {"type": "array", "items": RESULT},
    }
)


def check_result(result: Any, source: str) -> None:
    """Refuse what is not the result of an arm.

    Args:
        result: JSON types.
        source: where it is from, for the message.

    Raises:
        ValueError: naming the first place where it departs from the schema.
    """
    _check(RESULT, result, source)


def check_results(results: Any, source: str) -> None:
    """Refuse what is not the results of a sweep.

    Args:
        results: JSON types.
        source: where they are from, for the message.

    Raises:
        ValueError: naming the first place where they depart from the schema.
    """
    _check(RESULTS, results, source)


def _check(schema: dict[str, Any], instance: Any, source: str) -> None:
    errors = sorted(Draft202012Validator(schema).iter_errors(instance), key=lambda e: list(e.path))
    if errors:
        raise ValueError(
            f"{source}: at {errors[0].json_path}: {errors[0].message}; expected a file that "
            f"sweeps of results schema {SCHEMA_VERSION} write"
        )
