"""Config switches, checkpoints and users' files: taken, or refused by name."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import fuzz_checkpoint
import pytest
from fuzz_checkpoint import check_file
from fuzz_config import SWITCHES, check_options
from fuzz_readers import READERS, check_reader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from d2align.checkpoint import load_file
from d2align.engine import load_config

SHORT = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def test_every_switch_of_d2align_is_fuzzed() -> None:
    def keys(node: dict, prefix: str) -> set[str]:
        leaves = set()
        for key, value in node.items():
            name = f"{prefix}.{key}"
            leaves |= keys(value, name) if isinstance(value, dict) else {name}
        return leaves

    assert keys(load_config("").D2ALIGN, "D2ALIGN") <= set(SWITCHES)


@settings(SHORT, max_examples=25)
@given(st.data())
def test_switches_make_a_model_or_are_refused_by_key(data: st.DataObject) -> None:
    check_options(data)


@settings(SHORT, max_examples=200)
@given(st.data())
def test_checkpoints_are_data_or_refused(data: st.DataObject) -> None:
    check_file(data)


def test_the_fuzzer_hears_code_that_runs(tmp_path: Path) -> None:
    content = next(c for e, c in fuzz_checkpoint.originals() if e == ".pkl" and b"eval" in c)
    (tmp_path / "attack.pkl").write_bytes(content)
    fuzz_checkpoint.listen()
    fuzz_checkpoint._listening = True
    try:
        load_file(str(tmp_path / "attack.pkl"), trust=True)
    finally:
        fuzz_checkpoint._listening = False
    assert fuzz_checkpoint._heard == ["import"]
    fuzz_checkpoint._heard.clear()


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_end_in_one_line(name: str) -> None:
    if name == "audit --onnx" and importlib.util.find_spec("onnx") is None:
        pytest.skip("needs the package onnx")

    @settings(SHORT, max_examples=60)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        check_reader(name, data)

    run()
