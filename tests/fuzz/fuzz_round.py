"""A round: one property for some seconds of the processor, in a process that may die."""

from __future__ import annotations

import multiprocessing
import re
import resource
import signal
import time
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from fuzz_geometry import warm_up
from fuzz_properties import Property
from fuzz_target import Tally
from hypothesis import HealthCheck, Phase, given, settings, target
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase

_EXAMPLES = 50  # of a batch, all from one seed
_MOST_BYTES = 8 * 2**30
_PATIENCE = 20  # seconds on the wall for each of the processor, on a machine that is shared
_LAST_WORDS = 2000
_MOST_KEPT = 30  # examples of a kind in a corpus


@dataclass
class Round:
    """What came of a round.

    Attributes:
        tally: calls, by how they ended.
        findings: (seed of the batch, text), each kind once.
        cpu_seconds: of the process.
    """

    tally: dict[str, float] = field(default_factory=dict)
    findings: list[tuple[int, str]] = field(default_factory=list)
    cpu_seconds: float = 0.0


def run_round(check: Property, seed: int, seconds: float, corpus: Path) -> Round:
    """Run a property in a process of its own.

    Args:
        check: the property.
        seed: of the first batch; the next ones have the next seeds.
        seconds: of the processor.
        corpus: folder of hypothesis's examples: those that fail, and the slowest.

    Returns:
        The round; a process that dies or hangs is a finding.
    """
    torch.set_num_threads(1)  # a fork has no other threads
    warm_up()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    arguments = (check, seed, seconds, corpus, theirs)
    process = context.Process(target=_work, args=arguments)
    process.start()
    theirs.close()
    made = Round()
    deadline = time.monotonic() + _PATIENCE * (seconds + 10)
    while True:
        if not ours.poll(max(deadline - time.monotonic(), 0)):
            process.kill()
            made.findings.append((seed, "hangs"))
            break
        try:
            kind, content = ours.recv()
        except EOFError:
            break
        if kind == "batch":
            seed = content
        else:
            made = content
    process.join()
    _prune(corpus)
    if process.exitcode not in (0, -signal.SIGKILL):
        made.findings.append((seed, f"the process died with exit code {process.exitcode}"))
    return made


def _work(check: Property, seed: int, seconds: float, corpus: Path, pipe: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    tally, findings = Tally(), dict[str, tuple[int, str]]()
    started = time.process_time()
    while time.process_time() - started < seconds:
        pipe.send(("batch", seed))
        for text in _run_batch(check, seed, corpus, tally, set(findings)):
            findings.setdefault(kind_of(text), (seed, text))
        seed += 1
    spent = time.process_time() - started
    pipe.send(("round", Round(asdict(tally), list(findings.values()), spent)))
    pipe.close()


def _run_batch(
    check: Property, seed: int, corpus: Path, tally: Tally, known: set[str]
) -> list[str]:
    found: list[str] = []

    @settings(  # above the seed, which would turn the database off
        max_examples=_EXAMPLES,
        deadline=None,
        database=DirectoryBasedExampleDatabase(corpus),
        phases=[Phase.reuse, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @seeded(seed)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        try:
            check(data, tally)
        except AssertionError as error:
            if kind_of(_text(error)) not in known:  # else the batch would end with it
                raise
        target(tally.last_seconds, label="seconds")

    try:
        run()
    except Exception as error:  # several are a group of them
        found += [_text(one) for one in getattr(error, "exceptions", (error,))]
    return found


def _prune(corpus: Path) -> None:
    """Remove all but the latest examples of each kind: every batch adds some more slow ones."""
    for folder in corpus.iterdir() if corpus.exists() else ():
        by_age = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        for path in by_age[:-_MOST_KEPT]:
            path.unlink()


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_LAST_WORDS]


def kind_of(text: str) -> str:
    """The first line of a finding without numbers and quotes: what is counted as the same one."""
    return re.sub(r"'[^']*'|[-+]?\d[\d.e+-]*", "#", text.splitlines()[0])[:120]
