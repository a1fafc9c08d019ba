"""One line for each start and each end of an arm, read from the ledger, whoever runs it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from d2align.ablation.sweep.ledger import Attempt
from d2align.ablation.sweep.plan import Plan

_TASKS = {"bbox": "box AP", "segm": "mask AP", "keypoints": "keypoint AP"}


def say_now(text: str) -> None:
    """Print a line at once.

    Args:
        text: the line.
    """
    print(text, flush=True)


class Progress:
    """Watches the ledger in a thread, and prints what happens."""

    def __init__(
        self, plan: Plan, say: Callable[[str], None] = say_now, period: float = 1.0
    ) -> None:
        """Make a watcher; what has happened before is not told.

        Args:
            plan: whose arms to watch.
            say: takes each line.
            period: seconds between two looks.
        """
        self._plan, self._say, self._period = plan, say, period
        self._told: dict[str, tuple[int, str]] = {
            arm_id: (before, "ended") for arm_id, before in plan.attempts_before.items()
        }
        self._finished = {i for i in plan.ids if plan.folder(i).is_done()}
        self._initially_done = len(self._finished)
        self._started = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)

    def __enter__(self) -> Progress:
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        """Tell what is left to tell, and end."""
        self._stop.set()
        self._thread.join()
        self.look()

    def _watch(self) -> None:
        while not self._stop.wait(self._period):
            self.look()

    def look(self) -> None:
        """Tell what has happened since the last look."""
        for arm_id in self._plan.ids:
            for attempt in self._plan.folder(arm_id).attempts():
                self._tell(arm_id, attempt)

    def _tell(self, arm_id: str, attempt: Attempt) -> None:
        number, state = self._told[arm_id]
        if attempt.number < number or (attempt.number == number and state == "ended"):
            return
        if attempt.number > number:
            again = f" again (attempt {attempt.number})" if attempt.number > 1 else ""
            self._say(f"{self._count()} {arm_id} started{again}")
            self._told[arm_id] = (attempt.number, "started")
        end = attempt.end_record()
        if end is None:
            return
        self._told[arm_id] = (attempt.number, "ended")
        took = duration(end["seconds"])
        if end["outcome"] == "done":
            self._finished.add(arm_id)
            aps = _aps(json.loads(self._plan.folder(arm_id).result.read_text()))
            self._say(f"{self._count()} {arm_id} finished in {took}: {aps}{self._left()}")
        elif end["outcome"] == "failed":
            reason = why(end)
            self._say(f"{self._count()} {arm_id} FAILED after {took}: {reason}; see {attempt.log}")

    def _count(self) -> str:
        width = len(str(len(self._plan.ids)))
        return f"[{len(self._finished):{width}d}/{len(self._plan.ids)}]"

    def _left(self) -> str:
        here = len(self._finished) - self._initially_done
        left = len(self._plan.ids) - len(self._finished)
        if not left or not here:
            return ""
        return f"; about {duration((time.monotonic() - self._started) / here * left)} left"


def why(end: dict[str, Any]) -> str:
    """Return in a few words why an attempt failed.

    Args:
        end: what ``Attempt.end`` wrote.
    """
    if end["exit_code"] < 0:
        return f"killed by signal {-end['exit_code']}"
    lines = [line for line in end["tail"] if line.strip()]
    return lines[-1].strip() if lines else f"exit code {end['exit_code']}"


def _aps(result: dict[str, Any]) -> str:
    parts = []
    for tasks in result["metrics"].values():
        for task, values in tasks.items():
            ap = "not defined" if values["AP"] is None else f"{values['AP']:.2f}"
            parts.append(f"{_TASKS.get(task, task)} {ap}")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return a time that reads well, such as "35 s", "12 min" or "3.5 h".

    Args:
        seconds: not negative.
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
