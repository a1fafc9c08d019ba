"""What a run of Detectron2's tests gave, in the form in which the documentation keeps it."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from typing import Any

from detectron2_suite.run import Verdict


def make_record(verdicts: Sequence[Verdict], versions: dict[str, str]) -> dict[str, Any]:
    """Sum up a run.

    Args:
        verdicts: of all rounds.
        versions: of what was imported.

    Returns:
        Versions, date, and for each round what was bound and how its tests went.
    """
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    rounds = []
    for verdict in verdicts:
        content = dataclasses.asdict(verdict)
        skipped, failed = content.pop("skipped"), content.pop("failed")
        content["passed"] = len(content["passed"])
        rounds.append({**content, "skipped": sorted(skipped), "failed": sorted(failed)})
    return {**versions, "date": today, "rounds": rounds}
