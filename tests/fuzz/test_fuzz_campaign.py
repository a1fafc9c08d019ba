"""The driver itself: it counts, finds what is wrong, survives deaths, and repeats by its seed."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from fuzz_campaign import fuzz
from fuzz_properties import PROPERTIES, select
from fuzz_round import kind_of, run_round
from fuzz_target import Finding, Tally
from hypothesis import strategies as st


def _counts(data: st.DataObject, tally: Tally) -> None:
    data.draw(st.integers())
    tally.good += 1


def _finds(data: st.DataObject, tally: Tally) -> None:
    value = data.draw(st.integers(0, 10))
    tally.good += 1
    if value > 3:
        raise Finding(f"{value} is too large")


def _dies(data: st.DataObject, tally: Tally) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def test_campaign_counts_and_writes_what_it_found(tmp_path: Path, capsys) -> None:
    assert fuzz(0.005, {"a": _counts}, 1, tmp_path / "good") == 0
    summary = json.loads((tmp_path / "good" / "summary.json").read_text())
    assert summary["findings"] == [] and summary["totals"]["good"] >= 50
    assert summary["totals"]["calls"] == summary["properties"]["a"]["good"]

    assert fuzz(0.005, {"a": _counts, "b": _finds}, 1, tmp_path / "bad") == 1
    (finding,) = json.loads((tmp_path / "bad" / "summary.json").read_text())["findings"]
    assert finding["property"] == "b" and "is too large" in finding["text"]
    assert list((tmp_path / "bad" / "corpus" / "b").rglob("*"))
    assert "b (seed 1): Finding: " in capsys.readouterr().out


def test_a_process_that_dies_is_a_finding_with_its_seed(tmp_path: Path) -> None:
    made = run_round(_dies, 7, 0.1, tmp_path)
    assert made.findings == [(7, f"the process died with exit code {-signal.SIGSEGV}")]


def test_kinds_do_not_depend_on_numbers() -> None:
    assert kind_of("took 5.1 s\nf(1)") == kind_of("took 17 s\nf(2)") != kind_of("took it")
    assert kind_of("no file: 'a/b3x'") == kind_of("no file: 'a/cd'")


def test_a_round_goes_on_after_a_finding(tmp_path: Path) -> None:
    made = run_round(_finds, 1, 0.5, tmp_path)
    assert len(made.findings) == 1 and made.tally["good"] >= 100


def test_properties_are_chosen_by_parts_of_names() -> None:
    assert set(select(["paste_masks_to_rle_on"])) == {
        "geometry.paste_masks_to_rle_on_device",
        "geometry.paste_masks_to_rle_on_device, odd",
    }
    assert select(None) == PROPERTIES
    with pytest.raises(ValueError, match="--only: got 'nothing'"):
        select(["nothing"])
