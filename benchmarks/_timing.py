"""Measure ours against a peer on a machine that others use too: pairs, CPU time, medians."""

from __future__ import annotations

import argparse
import ctypes
import importlib.metadata
import json
import math
import multiprocessing
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# A sample shorter than this is repeated: the clock and the caches settle.
_SAMPLE_SECONDS = 0.01
_PACKAGES = (
    "numpy",
    "torch",
    "torchvision",
    "numba",
    "detectron2",
    "pycocotools",
    "hotcoco",
    "opencv-python-headless",
)

Work = Callable[[], object]


def paired_ratio(
    ours: Work, peer: Work, rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, float]:
    """Return how many times faster ours is, in CPU time of the process, all its threads.

    Both run once unmeasured, then take turns (A B, B A, ...); each round gives one ratio.

    Args:
        ours: does the work our way.
        peer: does the same work the peer's way.
        rounds: pairs, at least 1.
        clock: another one, in seconds, for work that is not the CPU's.

    Returns:
        median_ratio, peer / ours; low and high, its 5th and 95th percentile over the rounds;
        ours_ms and peer_ms, median CPU milliseconds a call.
    """
    works = (ours, peer)
    repeats = [_repeats(work, clock) for work in works]
    times = np.empty((rounds, 2))
    for i in range(rounds):
        for which in (0, 1) if i % 2 else (1, 0):
            times[i, which] = _seconds(works[which], repeats[which], clock)
    ratios = times[:, 1] / times[:, 0]
    low, median, high = np.percentile(ratios, [5, 50, 95])
    ours_ms, peer_ms = 1000 * np.median(times, axis=0)
    return {
        "median_ratio": float(median),
        "low": float(low),
        "high": float(high),
        "ours_ms": float(ours_ms),
        "peer_ms": float(peer_ms),
    }


def _repeats(work: Work, clock: Callable[[], float]) -> int:
    work()
    return max(1, math.ceil(_SAMPLE_SECONDS / max(_seconds(work, 1, clock), 1e-6)))


def _seconds(work: Work, repeats: int, clock: Callable[[], float]) -> float:
    started = clock()
    for _ in range(repeats):
        work()
    return (clock() - started) / repeats


def peak_memory(prepare: Callable[[], Work]) -> float:
    """Return the MiB of memory that a piece of work takes above what was there at its start.

    A fresh process calls ``prepare`` and the work that it returns, so that everything is loaded
    and compiled, and then the work once more: the peak of its resident memory (VmHWM) in that
    call, less the memory before it. Linux only.

    Args:
        prepare: a function of a module, made picklable by functools.partial if it needs
            arguments, that returns the work.

    Returns:
        MiB, at least 0.

    Raises:
        RuntimeError: the fresh process failed.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_measure_peak, args=(prepare, sender))
    child.start()
    sender.close()
    try:
        return float(receiver.recv())
    except EOFError:
        raise RuntimeError("the process that measures memory failed: see its traceback") from None
    finally:
        child.join()


def _measure_peak(prepare: Callable[[], Work], sender: Any) -> None:
    work = prepare()
    work()
    ctypes.CDLL(None).malloc_trim(0)  # else freed pages of the first call hide those of this one
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts anew
    before = _status_kib("VmRSS")
    kept = work()
    peak = _status_kib("VmHWM")
    del kept
    sender.send(max(0, peak - before) / 1024)


def _status_kib(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise KeyError(key)


def environment() -> dict[str, Any]:
    """Return what a figure depends on: versions, processor, threads, load."""
    import torch

    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    versions["torch"] = torch.__version__  # with its build
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch_threads": torch.get_num_threads(),
        "load_average": [round(x, 2) for x in os.getloadavg()],
        "packages": versions,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def row(name: str, figures: dict[str, float], **more: Any) -> dict[str, Any]:
    """Return one line of a result: its name, the figures of ``paired_ratio``, and notes."""
    figures = dict(figures)
    return {"name": name, "ratio": figures.pop("median_ratio"), **figures, **more}


def run_script(measure: Callable[..., dict[str, Any]], description: str, **options: Any) -> int:
    """Be the command line of a benchmark: measure, print the table, write --json.

    Args:
        measure: takes ``quick`` and the options by name, returns {"title", "rows"}.
        description: for --help.
        options: keyword arguments of ``add_argument`` for each further option.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller inputs")
    parser.add_argument("--json", metavar="FILE", help="write the result there, too")
    for name, settings in options.items():
        parser.add_argument(f"--{name}", **settings)
    args = parser.parse_args()
    result = measure(args.quick, **{name: getattr(args, name) for name in options})
    result["environment"] = environment()
    print_table(result)
    if args.json:
        write_json(Path(args.json), result)
    return 0


def print_table(result: dict[str, Any]) -> None:
    """Print a result: its rows (peer / ours, above 1 where ours is faster), curves and notes."""
    print(result["title"])
    print_rows(result["rows"])
    for curve in result.get("curves", ()):
        print(f"{curve['title']}: ours ms, peer ms")
        for x, ours, peer in zip(curve["x"], curve["ours_ms"], curve["peer_ms"], strict=True):
            print(f"  {x:>8} {ours:10.3f} {peer:10.2f}")
    for name, value in result.get("notes", {}).items():
        print(f"{name}: {value}")


def print_rows(rows: list[dict[str, Any]]) -> None:
    """Print ratios, one a line."""
    if not rows:
        return
    width = max(len(r["name"]) for r in rows)
    print(f"{'':{width}}  {'ratio':>8} {'5 %':>8} {'95 %':>8} {'ours ms':>10} {'peer ms':>10}")
    for r in rows:
        figures = f"{r['ratio']:8.2f} {r['low']:8.2f} {r['high']:8.2f}"
        loss = "  slower" if r["ratio"] < 1 else ""
        print(f"{r['name']:{width}}  {figures} {r['ours_ms']:10.3f} {r['peer_ms']:10.2f}{loss}")


def write_json(path: Path, result: dict[str, Any]) -> None:
    """Write a result whole or not at all."""
    beside = path.with_name(path.name + ".partial")
    beside.write_text(json.dumps(result, indent=2) + "\n")
    beside.replace(path)
