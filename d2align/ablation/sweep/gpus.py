"""GPUs of one machine, shared out among arms that run at the same time."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

_POLL_SECONDS = 1.0


class TooFewGpusError(ValueError):
    """An arm wants more GPUs than its machine has."""


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name.strip()]
    import torch

    return [str(i) for i in range(torch.cuda.device_count())]


@contextlib.contextmanager
def gpu_environment(num_gpus: int, arms_per_gpu: int) -> Iterator[dict[str, str]]:
    """Wait until enough GPUs are free, and hold them.

    The operating system lets go of them when the process ends, however it ends.

    Args:
        num_gpus: how many the arm wants.
        arms_per_gpu: how many arms may share one.

    Yields:
        The environment variables that give these GPUs to an arm; none on a machine without.

    Raises:
        TooFewGpusError: there are fewer than wanted.
    """
    gpus = visible_gpus()
    if not gpus:
        yield {}
        return
    if num_gpus > len(gpus):
        raise TooFewGpusError(f"num_gpus: got {num_gpus}, expected at most {len(gpus)} here")
    with contextlib.ExitStack() as held:
        yield {"CUDA_VISIBLE_DEVICES": ",".join(_take(gpus, num_gpus, arms_per_gpu, held))}


def _take(
    gpus: list[str], num_gpus: int, arms_per_gpu: int, held: contextlib.ExitStack
) -> list[str]:
    # All or none at a time, lest two arms wait for each other's.
    while True:
        with contextlib.ExitStack() as attempt:
            taken = []
            for slot in range(arms_per_gpu):  # an empty GPU before a shared one
                for gpu in gpus:
                    if len(taken) < num_gpus and gpu not in taken and _lock(gpu, slot, attempt):
                        taken.append(gpu)
            if len(taken) == num_gpus:
                held.enter_context(attempt.pop_all())
                return taken
        time.sleep(_POLL_SECONDS)


def _lock(gpu: str, slot: int, stack: contextlib.ExitStack) -> bool:
    user = os.getuid() if hasattr(os, "getuid") else 0
    job = os.environ.get("SLURM_JOB_ID", "")  # a cluster counts each job's GPUs from 0
    name = f"d2align-{user}-{job}-gpu-{gpu.replace('/', '-')}-{slot}.lock"
    try:
        stack.enter_context(FileLock(Path(tempfile.gettempdir()) / name, timeout=0))
    except Timeout:
        return False
    return True
