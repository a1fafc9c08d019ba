"""Trouble on demand: a full disk, little memory, and what must not be left behind by either."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_models

resource = pytest.importorskip("resource", reason="limits of a process are POSIX's")
HERE = Path(__file__).resolve().parent


@contextlib.contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file of this process grows beyond ``room`` bytes: writing on is an OSError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names(folder: Path) -> set[str]:
    """The files in a folder and below."""
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def run_options(output: Path, data: str, **changes: object) -> list[str]:
    """Options of a tiny run of six iterations."""
    keys = {
        "DATASETS.TRAIN": f"('{data}',)",
        "DATASETS.TEST": f"('{data}',)",
        "SOLVER.IMS_PER_BATCH": 2,
        "SOLVER.WARMUP_ITERS": 0,
        "SOLVER.MAX_ITER": 6,
        "SOLVER.CHECKPOINT_PERIOD": 2,
        "TEST.EVAL_PERIOD": 0,
        "SEED": 7,
        "OUTPUT_DIR": output,
        **changes,
    }
    return [str(text) for pair in keys.items() for text in pair]


def tiny_run(output: Path, data: str, **changes: object):
    """The config of a tiny run."""
    cfg = tiny_models.tiny_config(*run_options(output, data, **changes))
    Path(cfg.OUTPUT_DIR).mkdir(parents=True, exist_ok=True)
    return cfg


def start_script(text: str, *arguments: str) -> subprocess.Popen[str]:
    """Start Python text in a process of its own that can import the tests' helpers."""
    paths = [str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join(paths),
    }
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", text, *arguments]
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)


def finish(process: subprocess.Popen[str], timeout: float = 120) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a process at its end."""
    try:
        out, error = process.communicate(timeout=timeout)
    finally:
        process.kill()
    return process.returncode, out, error
