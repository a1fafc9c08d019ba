"""Arms that fail: recorded with their log, listed at the end, and tried again by the next start."""

from __future__ import annotations

from pathlib import Path

import pytest
from launching import FAKE, Sweep

from d2align.ablation.sweep import gpus
from d2align.ablation.sweep.gpus import gpu_environment, visible_gpus
from d2align.ablation.sweep.ledger import ArmFolder
from d2align.ablation.sweep.progress import duration, why
from d2align.ablation.sweep.supervise import supervise


def test_failed_arm_is_listed_and_the_others_are_run(tmp_path: Path):
    environment = {"D2ALIGN_CACHE": str(tmp_path / "cache"), "FAKE_STEP_SECONDS": "0.001"}
    sweep = Sweep(tmp_path / "sweep", [*FAKE, "arm=reference", "seed=13,1"], environment)
    assert sweep.finish() == 1
    said = sweep.said()
    assert "1 of 2 arms failed, 0 were not carried out" in said
    assert "ValueError: seed 13 brings bad luck" in said
    assert "to run them again: python tools/sweep.py " in said
    assert "Not finished (1): reference-seed13-" in sweep.table().decode()
    (log,) = sweep.root.glob("arms/reference-seed13-*/attempt-1/log.txt")
    assert "bad luck" in log.read_text() and str(log) in said

    (sweep.root / "repaired").touch()
    assert sweep.finish() == 0
    assert "Not finished" not in sweep.table().decode()
    assert len(list(sweep.root.glob("arms/*/attempt-2"))) == 1  # the other one is not run again


def test_program_that_does_not_start_is_a_failure(tmp_path: Path):
    environment = {"D2ALIGN_CACHE": str(tmp_path / "cache")}
    sweep = Sweep(tmp_path / "sweep", [*FAKE, "program=no_such_program"], environment)
    assert sweep.finish() == 1
    assert "No module named no_such_program" in sweep.said()


@pytest.mark.parametrize(
    ("exit_code", "tail", "words"),
    [
        (-9, ["it went well"], "killed by signal 9"),
        (1, ["Traceback", "ValueError: no", ""], "ValueError: no"),
        (3, [], "exit code 3"),
    ],
)
def test_reason_of_a_failure(exit_code: int, tail: list[str], words: str):
    assert why({"exit_code": exit_code, "tail": tail}) == words


def test_durations_read_well():
    times = (0.4, 99, 100, 3000, 7200)
    assert [duration(t) for t in times] == ["0 s", "99 s", "2 min", "50 min", "2.0 h"]


@pytest.fixture
def three_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2,5")
    monkeypatch.setattr(gpus.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(gpus, "_POLL_SECONDS", 0.01)


def test_arms_hold_different_gpus_and_give_them_back(three_gpus: None):
    with gpu_environment(1, 1) as first, gpu_environment(2, 1) as second:
        assert first == {"CUDA_VISIBLE_DEVICES": "0"}
        assert second == {"CUDA_VISIBLE_DEVICES": "2,5"}
    with gpu_environment(3, 1) as all_of_them:
        assert all_of_them == {"CUDA_VISIBLE_DEVICES": "0,2,5"}


def test_arms_share_gpus_only_when_all_are_taken(three_gpus: None):
    with gpu_environment(2, 2) as a, gpu_environment(1, 2) as b, gpu_environment(1, 2) as c:
        assert [list(e.values()) for e in (a, b, c)] == [["0,2"], ["5"], ["0"]]


def test_jobs_of_a_cluster_do_not_wait_for_each_other_s_gpus(
    three_gpus: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    with gpu_environment(3, 1) as first:
        monkeypatch.setenv("SLURM_JOB_ID", "78")
        with gpu_environment(3, 1) as second:
            assert first == second


def test_arm_that_wants_too_many_gpus_has_failed(three_gpus: None, tmp_path: Path):
    arm = ArmFolder(tmp_path / "arm")
    arm.describe({"num_gpus": 4, "arms_per_gpu": 1, "lease": 120.0})
    assert supervise(arm) == "failed"
    end = arm.last_attempt().end_record()
    assert end["tail"] == ["num_gpus: got 4, expected at most 3 here"]


def test_more_gpus_than_there_are_is_refused_and_none_is_no_matter(
    three_gpus: None, monkeypatch: pytest.MonkeyPatch
):
    refused = pytest.raises(ValueError, match="num_gpus: got 4, expected at most 3")
    with refused, gpu_environment(4, 1):
        pass
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []
    with gpu_environment(4, 1) as environment:
        assert environment == {}
