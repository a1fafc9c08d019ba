"""A campaign: all properties in turn, until the time is over; what was found in one JSON file."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

from fuzz_machine import describe_machine
from fuzz_properties import Property
from fuzz_round import Round, kind_of, run_round

from d2align.atomic import write_text

_ROUND_SECONDS = 8.0


class Campaign:
    """Rounds so far."""

    def __init__(self, minutes: float, seed: int, output: Path) -> None:
        """Start one.

        Args:
            minutes: of the processor.
            seed: the first batch of each property has it.
            output: folder of summary.json and of the corpus.
        """
        self.minutes, self.seed, self.output = minutes, seed, output
        self.cpu_seconds = 0.0
        self.calls: dict[str, Counter[str]] = {}
        self.findings: dict[tuple[str, str], dict[str, Any]] = {}

    def run(self, properties: dict[str, Property]) -> None:
        """Run all properties in turn, in another order each time, until the time is over.

        Args:
            properties: by name.
        """
        self.output.mkdir(parents=True, exist_ok=True)
        order, cycle = list(properties), 0
        seconds = min(_ROUND_SECONDS, 60 * self.minutes / len(order))
        while not self.is_over():
            for name in order:
                if cycle and self.is_over():  # each has its turn once
                    break
                first = self.seed + 10_000 * cycle
                self._add(name, run_round(properties[name], first, seconds, self._corpus(name)))
                write_text(self.output / "summary.json", json.dumps(self.summary(), indent=1))
            cycle += 1
            random.Random(self.seed + cycle).shuffle(order)

    def is_over(self) -> bool:
        """Whether the processor's time is spent."""
        return self.cpu_seconds >= 60 * self.minutes

    def summary(self) -> dict[str, Any]:
        """Return what was run and found, as JSON types."""
        return {
            "seed": self.seed,
            "cpu_minutes": round(self.cpu_seconds / 60, 2),
            "environment": describe_machine(),
            "totals": self._totals(),
            "findings": list(self.findings.values()),
            "properties": {name: dict(calls) for name, calls in sorted(self.calls.items())},
        }

    def _totals(self) -> dict[str, float]:
        totals: Counter[str] = Counter()
        for calls in self.calls.values():
            totals.update({k: v for k, v in calls.items() if k != "slowest_seconds"})
        slowest = max((c["slowest_seconds"] for c in self.calls.values()), default=0)
        return {**totals, "calls": sum(totals.values()), "slowest_seconds": slowest}

    def _add(self, name: str, made: Round) -> None:
        self.cpu_seconds += made.cpu_seconds
        calls = self.calls.setdefault(name, Counter())
        for key, value in made.tally.items():
            if key.endswith("seconds"):
                calls["slowest_seconds"] = max(
                    calls["slowest_seconds"], made.tally["slowest_seconds"]
                )
            else:
                calls[key] += int(value)
        for seed, text in made.findings:
            entry = {"property": name, "seed": seed, "rounds": 0, "text": text}
            self.findings.setdefault((name, kind_of(text)), entry)["rounds"] += 1
            print(f"{name} (seed {seed}): {text.splitlines()[0]}", flush=True)

    def _corpus(self, name: str) -> Path:
        return self.output / "corpus" / re.sub(r"[^a-z0-9_]+", "-", name)


def fuzz(minutes: float, properties: dict[str, Property], seed: int, output: Path) -> int:
    """Run a campaign and say what it found.

    Args:
        minutes: of the processor.
        properties: by name.
        seed: of the first batch of each.
        output: folder of summary.json and of the corpus.

    Returns:
        1 if something was found, else 0.
    """
    campaign = Campaign(minutes, seed, output)
    campaign.run(properties)
    totals = campaign.summary()["totals"]
    print(
        f"{totals['calls']} calls of {len(campaign.calls)} properties in "
        f"{campaign.cpu_seconds / 60:.1f} minutes, {len(campaign.findings)} findings: "
        f"{output / 'summary.json'}"
    )
    return int(bool(campaign.findings))
