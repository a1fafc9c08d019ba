"""The keys of a sweep's Hydra config, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from d2align.ablation.study import REFERENCE


@dataclass(frozen=True)
class Settings:
    """Everything that the user says of one arm.

    Attributes:
        config_file: a Detectron2 YAML file.
        preset: "" or aligned | detectron1 | py_faster_rcnn, which every factor is turned to.
        factors: factor -> value, turned after the preset.
        seed: 0 or more.
        eval_only: evaluate given weights, train nothing.
        weights: initial weights; "" leaves them to the config file.
        opts: Detectron2 keys, nested.
        num_gpus: GPUs of an arm, or CPU processes where there is none.
        checkpoint_period: iterations after which a killed arm need not train again.
        imports: modules or .py files that register the user's own data sets and components.
        program: the module that carries out an arm.
        threads: OMP_NUM_THREADS of an arm; None leaves it.
        arms_per_gpu: how many arms may share a GPU.
        lease: seconds without a sign of life after which another machine takes an arm over.
        folder: where everything goes; it may grow by further arms.
        reference: the arm that the others are compared with.
    """

    config_file: str
    folder: str
    seed: int = 1
    preset: str = ""
    factors: Mapping[str, str] = field(default_factory=dict)
    eval_only: bool = False
    weights: str = ""
    opts: Mapping[str, Any] = field(default_factory=dict)
    num_gpus: int = 1
    checkpoint_period: int = 500
    imports: tuple[str, ...] = ()
    program: str = "d2align.ablation.sweep.arm"
    threads: int | None = 1
    arms_per_gpu: int = 1
    lease: float = 120.0
    reference: str = REFERENCE

    def of_the_machine(self) -> dict[str, Any]:
        """Return what decides how an arm is run, and nothing of what comes out."""
        names = ("imports", "program", "threads", "arms_per_gpu", "lease")
        return {name: getattr(self, name) for name in names}


_LOWEST = {"seed": 0, "num_gpus": 1, "checkpoint_period": 1, "threads": 1, "arms_per_gpu": 1}
_TEXTS = ("config_file", "folder", "preset", "weights", "program", "reference")


def settings_from(config: Mapping[str, Any]) -> Settings:
    """Check the keys of a composed config.

    Args:
        config: plain Python types.

    Returns:
        The settings.

    Raises:
        ValueError: an unknown key or a value of the wrong kind, named.
    """
    known = [f.name for f in fields(Settings)]
    unknown = sorted(set(config) - set(known))
    if unknown:
        raise ValueError(
            f"sweep: got the key {unknown[0]!r}, expected one of {known}; "
            "Detectron2's own keys go below opts, as in +opts.SOLVER.MAX_ITER=100"
        )
    values = dict(config)
    for name in ("preset", "weights"):
        values[name] = values.get(name) or ""
    for name in ("factors", "opts"):
        values[name] = values.get(name) or {}
        _check_kind(name, values[name], Mapping, "keys and values")
    for name in _TEXTS:
        if name in values:
            _check_kind(name, values[name], str, "text")
    _check_numbers(values)
    values["imports"] = tuple(values.get("imports") or ())
    return Settings(**values)


def _check_numbers(values: dict[str, Any]) -> None:
    for name, lowest in _LOWEST.items():
        value = values.get(name, lowest)
        if name == "threads" and value is None:
            continue
        if type(value) is not int or value < lowest:
            raise ValueError(f"{name}: got {value!r}, expected a whole number from {lowest}")
    lease = values.get("lease", 1.0)
    if type(lease) not in (int, float) or lease <= 0:
        raise ValueError(f"lease: got {lease!r}, expected seconds, more than 0")
    if type(values.get("eval_only", False)) is not bool:
        raise ValueError(f"eval_only: got {values['eval_only']!r}, expected true or false")


def _check_kind(name: str, value: Any, kind: type, expected: str) -> None:
    if not isinstance(value, kind):
        raise ValueError(f"{name}: got {value!r}, expected {expected}")
