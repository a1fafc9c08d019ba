"""The form of price.json, and the measurements in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from jsonschema import Draft202012Validator

from d2align.ablation.price.arms import ALL_AREAS
from d2align.ablation.price.inputs import Inputs
from d2align.ablation.price.measure import Measurement
from d2align.ablation.price.settings import Settings
from d2align.evaluation.bias import PairedBias
from d2align.evaluation.bootstrap import PairedDelta, verdict
from d2align.evaluation.localization import MASK_ERRORS

SCHEMA_VERSION = 1
PARTS = (
    *("box_ceiling", "mask_ceiling", "box_offset", "mask_offset"),
    *("result_mask_shift", "paste", "paste_study"),
)

_NUMBER = {"type": "number"}
_AP = {"type": "number", "minimum": 0, "maximum": 100}
_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string", "minLength": 1}


def _object(properties: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> Any:
    """An object that has these properties, perhaps the optional ones, and no others."""
    return {
        "type": "object",
        "properties": {**properties, **(optional or {})},
        "required": list(properties),
        "additionalProperties": False,
    }


_DELTA = _object(
    {
        "ap": _AP,
        "reference_ap": _AP,
        **dict.fromkeys(("delta", "low", "high"), _NUMBER),
        "se": {"type": "number", "minimum": 0},
        "verdict": {"type": "string"},
    }
)
_BIAS = _object(
    {
        **dict.fromkeys(("mean", "reference_mean", "delta", "low", "high"), _NUMBER),
        "objects": {"type": "number", "minimum": 1},
    }
)
_MEASUREMENT = _object(
    {
        "part": {"enum": list(PARTS)},
        "arm": _TEXT,
        "reference": _TEXT,
        "metric": {"enum": ["bbox", "segm"]},
        "fields": {"type": "object"},
        "areas": _object({}, dict.fromkeys(ALL_AREAS, _DELTA)),
        "bias": _object({}, dict.fromkeys(MASK_ERRORS, _BIAS)),
    }
)
_SOURCE = _object({"file": _TEXT, "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"}})
PRICE = _object(
    {
        "schema": {"const": SCHEMA_VERSION},
        "inputs": _object({"annotations": _SOURCE}, {"boxes": _SOURCE, "roi_masks": _SOURCE}),
        "images": _COUNT,
        "objects": _object(dict.fromkeys(ALL_AREAS, _COUNT)),
        "settings": {"type": "object", "required": ["num_draws", "seed", "offsets"]},
        "confidence": {"const": 0.95},
        "code": _TEXT,
        "environment": {"type": "object", "additionalProperties": _TEXT},
        "seconds": {"type": "number", "minimum": 0},
        "notes": {"type": "array", "items": _TEXT},
        "measurements": {"type": "array", "items": _MEASUREMENT, "minItems": 1},
    }
)


def check_price(content: Any) -> None:
    """Refuse what is not the content of a price.json.

    Args:
        content: JSON types.

    Raises:
        ValueError: naming the first place where it departs from the schema.
    """
    errors = sorted(Draft202012Validator(PRICE).iter_errors(content), key=lambda e: list(e.path))
    if errors:
        raise ValueError(
            f"price.json: at {errors[0].json_path}: {errors[0].message}; expected a file of "
            f"schema {SCHEMA_VERSION}"
        )


def as_json(
    inputs: Inputs,
    settings: Settings,
    measurements: Sequence[Measurement],
    made_with: Mapping[str, Any],
    seconds: float,
    notes: Sequence[str],
) -> dict[str, Any]:
    """Return the content of a price.json.

    Args:
        inputs: what was measured.
        settings: how.
        measurements: what came of it.
        made_with: ``code`` and ``environment``.
        seconds: that it took.
        notes: what was left out, and why.

    Returns:
        JSON types, which fit the schema.
    """
    content = {
        "schema": SCHEMA_VERSION,
        "inputs": {role: dict(source) for role, source in inputs.sources.items()},
        "images": len(inputs.dataset["images"]),
        "objects": inputs.count_objects(),
        "settings": {
            k: list(v) if isinstance(v, tuple) else v for k, v in asdict(settings).items()
        },
        "confidence": 0.95,
        **made_with,
        "seconds": round(seconds, 1),
        "notes": list(notes),
        "measurements": [_measurement(one) for one in measurements],
    }
    check_price(content)
    return content


def _measurement(one: Measurement) -> dict[str, Any]:
    fields = asdict(one.arm)
    return {
        "part": one.arm.part,
        "arm": one.arm.name,
        "reference": one.arm.reference().name,
        "metric": one.arm.metric,
        "fields": {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()},
        "areas": {area: _delta(delta) for area, delta in one.deltas.items()},
        "bias": {name: _bias(bias) for name, bias in one.bias.items()},
    }


def _delta(delta: PairedDelta) -> dict[str, Any]:
    return {
        "ap": delta.variant_ap,
        "reference_ap": delta.reference_ap,
        **{name: getattr(delta, name) for name in ("delta", "low", "high", "se")},
        "verdict": verdict(delta),
    }


def _bias(bias: PairedBias) -> dict[str, float]:
    return {
        "mean": bias.variant,
        "reference_mean": bias.reference,
        **{name: getattr(bias, name) for name in ("delta", "low", "high")},
        "objects": bias.num_objects,
    }
