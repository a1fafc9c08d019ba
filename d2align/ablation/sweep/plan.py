"""What one command asks for, what of it is done, and what is still to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

from d2align.ablation.sweep.grid import SweepArm, arm_choices
from d2align.ablation.sweep.ledger import ArmFolder, arm_folders
from d2align.ablation.sweep.settings import Settings


class State(Enum):
    """Where an arm stands, as seen by one command."""

    DONE = "done"
    RUNNING = "running"
    FAILED = "failed"  # since the command began; earlier failures are tried again
    TO_DO = "to do"


@dataclass(frozen=True)
class Plan:
    """The arms of one command.

    Attributes:
        root: the sweep's folder.
        reference: the arm that the others are compared with.
        ids: of the arms, in order.
        attempts_before: how often each had been started before the command.
    """

    root: Path
    reference: str
    ids: tuple[str, ...]
    attempts_before: dict[str, int]

    def folder(self, arm_id: str) -> ArmFolder:
        """Return the folder of an arm."""
        return ArmFolder(self.root / "arms" / arm_id)

    def state(self, arm_id: str) -> State:
        """Return where an arm stands."""
        folder = self.folder(arm_id)
        # Looked up before the result: an arm that ends in between is then seen as done.
        last = folder.last_attempt()
        alive = last is not None and last.is_alive()
        if folder.is_done():
            return State.DONE
        if alive:
            return State.RUNNING
        if last is None or last.number <= self.attempts_before[arm_id]:
            return State.TO_DO
        end = last.end_record()
        return State.FAILED if end and end["outcome"] == "failed" else State.TO_DO

    def in_state(self, state: State) -> list[str]:
        """Return the arms that stand so."""
        return [arm_id for arm_id in self.ids if self.state(arm_id) is state]


def make_plan(arms: Sequence[SweepArm], settings: Sequence[Settings]) -> Plan:
    """Write down all arms of a command, or refuse those that do not fit what is there.

    Args:
        arms: at least one.
        settings: of the command's arms, all of the same folder, reference and machine.

    Returns:
        The plan.

    Raises:
        ValueError: arms of several folders, a folder that holds another answer to the same
            question, or a reference that is no arm.
    """
    for name in ("folder", "reference", "program", "imports", "lease"):
        values = sorted({str(getattr(s, name)) for s in settings})
        if len(values) > 1:
            raise ValueError(f"{name}: got {values}, expected the same for all arms of a sweep")
    root = Path(settings[0].folder)
    _check_fit(root, arms)
    _check_reference(root, arms, settings[0].reference)
    machine = settings[0].of_the_machine()
    before = {}
    for arm in arms:
        folder = ArmFolder(root / "arms" / arm.id)
        last = folder.last_attempt()
        before[arm.id] = last.number if last else 0
        folder.describe({**asdict(arm), "question": arm.question(), **machine})
    return Plan(root, settings[0].reference, tuple(a.id for a in arms), before)


def _check_reference(root: Path, arms: Sequence[SweepArm], reference: str) -> None:
    there = {folder.description()["arm"] for folder in arm_folders(root)}
    known = [*arm_choices(), *sorted(there | {arm.arm for arm in arms})]
    if reference not in known:
        expected = list(dict.fromkeys(known))
        raise ValueError(f"reference: got {reference!r}, expected one of {expected}")


def _check_fit(root: Path, arms: Sequence[SweepArm]) -> None:
    descriptions = [folder.description() for folder in arm_folders(root)]
    answered = {d["question"]: d["id"] for d in descriptions}
    for arm in arms:
        found = answered.get(arm.question(), arm.id)
        if found != arm.id:
            raise ValueError(
                f"folder: got {str(root)!r}, which holds arm {found} of the same name, but the "
                f"config has changed since ({arm.id}); expected an empty folder or the same "
                "config: name another folder, or remove this one"
            )
