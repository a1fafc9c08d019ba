"""The sweep: plan, launch by Hydra what is to do, wait for what others do, report."""

from __future__ import annotations

import functools
import os
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from d2align.ablation.sweep.callback import SweepCallback
from d2align.ablation.sweep.grid import arm_choices
from d2align.ablation.sweep.ledger import ArmFolder
from d2align.ablation.sweep.plan import Plan, State
from d2align.ablation.sweep.processes import end_with_parent
from d2align.ablation.sweep.progress import why
from d2align.ablation.sweep.results import write_results
from d2align.ablation.sweep.supervise import supervise
from d2align.ablation.sweep.table import markdown
from d2align.atomic import write_text

# The launcher's pid, for the workers that shall not outlive it.
LAUNCHER_VARIABLE = "D2ALIGN_SWEEP_LAUNCHER"
_TAIL_SHOWN = 12
_MAX_ROUNDS = 3  # after the first; arms whose job always dies would be launched for ever
_WAIT_SECONDS = 0.5


def run_sweep(config_folder: Path) -> int:
    """Run the sweep of the command line.

    Args:
        config_folder: of Hydra configs; the one called sweep is the default.

    Returns:
        The exit code: 0, 1 if an arm has failed or was not carried out, 2 after bad input.
    """
    register_arms()
    os.environ[LAUNCHER_VARIABLE] = str(os.getpid())
    sys.path.append(os.getcwd())  # as python -m does for the arms: imports and program agree
    # An absolute path keeps Hydra from looking in this package.
    folder = str(config_folder.resolve())
    app = hydra.main(version_base="1.3", config_path=folder, config_name="sweep")(run_one)
    try:
        code = _call(app)
        plan = SweepCallback.plan
        if plan is None:  # --help, or bad input
            return code
        _finish(app, plan)
    except KeyboardInterrupt:
        print("stopped; what is done is kept, and the same command goes on from here", flush=True)
        return 130
    finally:
        if SweepCallback.progress is not None:
            SweepCallback.progress.__exit__()
    return report(plan)


def register_arms() -> None:
    """Give Hydra the config group "arm": reference, presets, and every value of every factor."""
    store = ConfigStore.instance()
    for name, node in arm_choices().items():
        store.store(group="arm", name=name, node=node, package="_global_", provider="d2align")


def run_one(config: DictConfig) -> str:
    """Carry out the arm that a job is for.

    Args:
        config: the job's.

    Returns:
        What ``supervise`` gives.
    """
    if "arm_id" not in config:
        raise ValueError("hydra.mode: got RUN, expected MULTIRUN: leave out --run")
    if HydraConfig.get().launcher._target_.endswith("JoblibLauncher"):
        _end_with_launcher()
    return supervise(ArmFolder(Path(config.folder) / "arms" / config.arm_id))


@functools.cache  # once in each worker
def _end_with_launcher() -> None:
    end_with_parent(int(os.environ[LAUNCHER_VARIABLE]))


def _call(app: Callable[[], None]) -> int:
    try:
        app()
    except SystemExit as e:
        return e.code if isinstance(e.code, int) else 1
    return 0


def _finish(app: Callable[[], None], plan: Plan) -> None:
    """Launch again what was lost on the way, until all is done or has failed."""
    for _ in range(_MAX_ROUNDS):
        _wait_for_others(plan)
        to_do = plan.in_state(State.TO_DO)
        if not to_do:
            return
        print(f"{len(to_do)} arms were not carried out and are launched again", flush=True)
        _call(app)
    _wait_for_others(plan)


def _wait_for_others(plan: Plan) -> None:
    told = False
    while running := plan.in_state(State.RUNNING):
        if not told:
            names = ", ".join(running)
            print(f"waiting for {len(running)} arms that another sweep runs: {names}", flush=True)
        told = True
        time.sleep(_WAIT_SECONDS)


def report(plan: Plan) -> int:
    """Write results.json and table.md, and print the table and the failures.

    Args:
        plan: of the command.

    Returns:
        The exit code.
    """
    content = write_results(plan.root, plan.reference)
    table = markdown(content)
    write_text(plan.root / "table.md", table)
    print(f"\n{table}\nwrote {plan.root / 'results.json'}, {plan.root / 'table.md'}", flush=True)
    versions = sorted({result["code"] for result in content["results"]})
    if len(versions) > 1:
        print(f"note: made by {len(versions)} versions of the code: {', '.join(versions)}")
    failed, left = plan.in_state(State.FAILED), plan.in_state(State.TO_DO)
    if not failed and not left:
        return 0
    sys.stdout.flush()
    print(f"\n{len(failed)} of {len(plan.ids)} arms failed, {len(left)} were not carried out:")
    for arm_id in failed:
        _print_failure(plan.folder(arm_id))
    for arm_id in left:
        print(f"\n{arm_id} was not carried out: see what the launcher said above")
    print(f"\nto run them again: {shlex.join(['python', *sys.argv])}", flush=True)
    return 1


def _print_failure(folder: ArmFolder) -> None:
    attempt = folder.last_attempt()
    end = attempt.end_record() if attempt else None
    if attempt is None or end is None:
        return
    print(f"\n{folder.path.name}: {why(end)}; log: {attempt.log}")
    for line in end["tail"][-_TAIL_SHOWN:]:
        print(f"    {line}")
