"""A finding holds only what JSON can hold, says what it must, and survives the round trip."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from d2align.audit import Finding

GOOD: dict[str, Any] = {
    "kind": "resize",
    "subject": "it",
    "convention": "half_pixel",
    "status": "aligned",
    "sentence": "Samples on grid 2.",
    "error_px": 0.0,
    "residual_px": 0.001,
    "parameters": {"ties": "up", "offset_px": 0.25},
    "evidence": {"positions": [0.0, None, 1.5]},
}


def test_round_trip() -> None:
    finding = Finding(**GOOD)
    assert Finding.from_json(json.loads(json.dumps(finding.to_json()))) == finding


def test_numpy_numbers_become_pythons_own_and_are_rounded() -> None:
    finding = Finding(
        **GOOD
        | {
            "error_px": np.float32(0.5),
            "parameters": {"n": np.int64(3), "on": np.bool_(True), "x": np.float64(1 / 3)},
            "evidence": {"a": np.arange(3) / 7, "zero": [-0.0]},
        }
    )
    assert finding.parameters == {"n": 3, "on": True, "x": 0.33333}
    assert str(finding.evidence["zero"]) == "[0.0]"
    assert json.loads(json.dumps(finding.to_json()))["evidence"]["a"] == [0.0, 0.14286, 0.28571]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"status": "fine"}, "status"),
        ({"subject": ""}, "subject"),
        ({"sentence": None}, "sentence"),
        ({"error_px": None}, "error_px"),
        ({"error_px": float("nan")}, "finite"),
        ({"status": "unknown", "residual_px": None}, "residual_px"),
        ({"parameters": {"x": object()}}, "parameters.x"),
        ({"evidence": {"x": [float("inf")]}}, "evidence.x"),
    ],
)
def test_bad_fields_are_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Finding(**GOOD | change)


def test_json_of_another_form_is_refused() -> None:
    for bad in ({**GOOD, "extra": 1}, {k: v for k, v in GOOD.items() if k != "kind"}, [1]):
        with pytest.raises(ValueError, match="expected the fields"):
            Finding.from_json(bad)  # type: ignore[arg-type]
