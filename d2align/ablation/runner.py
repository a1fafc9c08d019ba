"""Run a study's tasks, one process a core, with a progress bar; what is done stays done."""

from __future__ import annotations

import functools
import json
import multiprocessing
import queue
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from d2align.ablation.study import Study
from d2align.ablation.tasks import Task, plan, run_task
from d2align.atomic import write_text

_PATIENCE = 5.0  # seconds


def run_study(
    study: Study,
    config_file: str,
    root: Path,
    workers: int,
    on_task: Callable[[Task], str | None] = lambda task: None,
) -> None:
    """Carry out all tasks of a study that are not done yet.

    Args:
        study: what to compare.
        config_file: the aligned config.
        root: the study's folder; made if missing.
        workers: processes, at least 1; one a core is best.
        on_task: called after each task; what it returns is printed above the bar.

    Raises:
        ValueError: the folder holds a study of other settings, or workers is below 1.
        RuntimeError: a task failed; its traceback is in the message and in root/failed.log.
    """
    if workers < 1:
        raise ValueError(f"workers: got {workers}, expected at least 1")
    prepare_folder(study, root)
    tasks = plan(study)
    done = {task.out for task in tasks if (root / task.out).exists()}
    with _bar(tasks, done) as bar:
        _Pool(study, config_file, root, workers, bar, on_task).run(tasks, done)


def prepare_folder(study: Study, root: Path) -> None:
    """Make a study's folder, or refuse one that holds other settings' files.

    Args:
        study: the study.
        root: its folder.

    Raises:
        ValueError: the folder holds a study of other settings.
    """
    root.mkdir(parents=True, exist_ok=True)
    path = root / "study.json"
    if path.exists():
        if _settings_in(path) != study.settings():
            raise ValueError(
                f"--output: got {root}, which holds a study of other settings (study.json); "
                "expected an empty folder or the same settings: name another, or remove it"
            )
        return
    write_text(path, json.dumps(study.settings(), indent=1))


def _settings_in(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        raise ValueError(
            f"--output: got {path}, which is damaged, expected the settings of a study: remove "
            "the folder, or name another"
        ) from None


def _bar(tasks: list[Task], done: set[str]) -> Any:
    total = sum(t.cost for t in tasks)
    initial = sum(t.cost for t in tasks if t.out in done)
    layout = "{desc} {percentage:3.0f}% |{bar}| {elapsed} passed, {remaining} left"
    # "left" by the pace so far; the first minutes of a run know little of it.
    return tqdm(total=total, initial=initial, bar_format=layout, desc="ablation", smoothing=0.05)


class _Pool:
    """Worker processes that take a task when all that it needs is there."""

    def __init__(
        self,
        study: Study,
        config_file: str,
        root: Path,
        workers: int,
        bar: Any,
        on_task: Callable[[Task], str | None],
    ) -> None:
        self.study, self.config_file, self.root = study, config_file, root
        self.bar, self.on_task = bar, on_task
        self.death: float | None = None  # when a worker was first seen to be dead
        context = multiprocessing.get_context("spawn")
        self.todo, self.news = context.Queue(), context.Queue()
        arguments = (self.todo, self.news, study, config_file, str(root))
        self.processes = [
            context.Process(target=_work, args=arguments, daemon=True) for _ in range(workers)
        ]

    def run(self, tasks: list[Task], done: set[str]) -> None:
        before = [t for t in tasks if t.out in done]
        waiting = [t for t in tasks if t.out not in done]
        if not waiting:
            self._announce(before)
            return
        for process in self.processes:
            process.start()
        try:
            running = self._dispatch(waiting, done, {})
            self._announce(before)  # while the workers work
            self._loop(waiting, done, running)
        finally:
            for process in self.processes:
                process.terminate()
                process.join()

    def _dispatch(
        self, waiting: list[Task], done: set[str], running: dict[str, Task]
    ) -> dict[str, Task]:
        # No more at a time than workers, so that what becomes ready first goes first.
        for task in [t for t in waiting if done.issuperset(t.needs)]:
            if len(running) == len(self.processes):
                break
            waiting.remove(task)
            running[task.out] = task
            self.todo.put(task)
        return running

    def _loop(self, waiting: list[Task], done: set[str], running: dict[str, Task]) -> None:
        while running:
            out, units, error = self._next_news()
            if error is not None:
                self._fail(out, error)
            task = running[out]
            if units is not None:
                self.bar.update(units * task.cost / task.units)
                continue
            done.add(out)
            del running[out]
            self._dispatch(waiting, done, running)
            self._announce([task])
        assert not waiting, waiting

    def _next_news(self) -> tuple[str, int | None, str | None]:
        """What a worker says next; an error if one died, however busy the others are."""
        while True:
            try:
                news: tuple[str, int | None, str | None] = self.news.get(timeout=_PATIENCE)
            except queue.Empty:
                self._refuse_the_dead(patience=0.0)
                continue
            if news[2] is None:  # else that is why it died
                self._refuse_the_dead(_PATIENCE)
            return news

    def _refuse_the_dead(self, patience: float) -> None:
        """Fail if a worker has been dead for so long: its last words may be on their way."""
        codes = [p.exitcode for p in self.processes if not p.is_alive()]
        if not codes:
            return
        self.death = self.death or time.monotonic()
        if time.monotonic() - self.death >= patience:
            raise RuntimeError(
                f"a worker died (exit code {codes[0]}), perhaps for want of memory; run the same "
                "command again, with fewer --workers: what is done is kept"
            ) from None

    def _announce(self, tasks: list[Task]) -> None:
        for task in tasks:
            text = self.on_task(task)
            if text:
                self.bar.write(text)

    def _fail(self, out: str, error: str) -> None:
        text = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {out}\n{error}\n"
        with open(self.root / "failed.log", "a") as log:
            log.write(text)
        raise RuntimeError(
            f"{out} failed, see {self.root / 'failed.log'}; what is done is kept:\n{error}"
        )


def _report(news: Any, out: str, units: int) -> None:
    news.put((out, units, None))


def _work(todo: Any, news: Any, study: Study, config_file: str, root: str) -> None:
    while (task := _next_task(todo)) is not None:
        try:
            report = functools.partial(_report, news, task.out)
            run_task(task, study, config_file, root, report)
            news.put((task.out, None, None))
        except BaseException:
            news.put((task.out, None, traceback.format_exc()))
            raise


def _next_task(todo: Any) -> Task | None:
    """Wait for a task; None once the process that gives them is gone, killed perhaps."""
    while True:
        try:
            task: Task = todo.get(timeout=_PATIENCE)
            return task
        except queue.Empty:
            parent = multiprocessing.parent_process()
            if parent is None or not parent.is_alive():
                return None
