"""The arms of a sweep: each a config, turned factors and a seed, checked before any runs."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import re
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from d2align.ablation.study import REFERENCE
from d2align.ablation.sweep.settings import Settings
from d2align.config import (
    FACTORS,
    PRESETS,
    check_d2align_config,
    get_factors,
    set_factor,
    set_preset,
)

# Keys that decide where, how fast and how safely an arm runs, and nothing about its outcome.
_NEUTRAL_KEYS = (
    "OUTPUT_DIR",
    "MODEL.DEVICE",
    "SOLVER.CHECKPOINT_PERIOD",
    "DATALOADER.NUM_WORKERS",
)


@dataclass(frozen=True)
class SweepArm:
    """One training and evaluation, or evaluation, of a sweep.

    Attributes:
        id: its folder's name; another one for everything that decides the outcome.
        arm: what is turned, such as "flip_index", "detectron1" or "reference".
        factors: the value of every factor.
        config_file: as the user named it.
        overrides: the user's Detectron2 keys.
        config_hash: SHA-256 of the whole config, without what does not decide the outcome.
        seed: of everything random.
        weights: initial weights, "" where the config names them.
        eval_only: whether nothing is trained.
        num_gpus: GPUs, or CPU processes where there is none.
        opts: everything that is merged into the config file, KEY VALUE ...
    """

    id: str
    arm: str
    factors: dict[str, str]
    config_file: str
    overrides: dict[str, str]
    config_hash: str
    seed: int
    weights: str
    eval_only: bool
    num_gpus: int
    opts: tuple[str, ...]

    def question(self) -> str:
        """Return what the arm asks, as the user put it: one folder gives one answer to it."""
        keys = ("arm", "config_file", "overrides", "seed", "weights", "eval_only", "num_gpus")
        return json.dumps({key: asdict(self)[key] for key in keys}, sort_keys=True)


def arm_choices() -> dict[str, dict[str, Any]]:
    """Return the named arms: the reference, the presets, and every value of every factor.

    Returns:
        name -> what it turns: preset ("" for none) and factors.
    """
    arms: dict[str, dict[str, Any]] = {REFERENCE: {"preset": "", "factors": {}}}
    arms.update({preset: {"preset": preset, "factors": {}} for preset in PRESETS})
    for name, factor in FACTORS.items():
        for value in factor.values:
            arms[f"{name}_{value}"] = {"preset": "", "factors": {name: value}}
    return arms


def make_arm(settings: Settings) -> SweepArm:
    """Make an arm of its settings, after making sure that it can start.

    Args:
        settings: of one arm.

    Returns:
        The arm.

    Raises:
        ValueError: an unknown factor or value (the message lists the choices), a bad config,
            missing data or weights.
    """
    from d2align.engine import check_run, find_config

    config_file = find_config(settings.config_file)
    overrides = {key: str(value) for key, value in flatten(settings.opts).items()}
    user_opts = [text for pair in overrides.items() for text in pair]
    if settings.weights:
        user_opts += ["MODEL.WEIGHTS", settings.weights]
    name, turned = _turn(config_file, user_opts, settings)
    period = ("SOLVER.CHECKPOINT_PERIOD", str(settings.checkpoint_period))
    opts = [*user_opts, *turned, "SEED", str(settings.seed), *period]
    run = Namespace(config_file=config_file, opts=opts, eval_only=settings.eval_only)
    with contextlib.redirect_stdout(None):  # an arm's own log says what is adapted
        cfg = check_run(run)
    hashed = config_hash(cfg, settings)
    return SweepArm(
        id=f"{re.sub(r'[^A-Za-z0-9_+.-]', '_', name)}-seed{settings.seed}-{hashed[:8]}",
        arm=name,
        factors=get_factors(cfg),
        config_file=settings.config_file,
        overrides={k: v for k, v in overrides.items() if k not in _NEUTRAL_KEYS},
        config_hash=hashed,
        seed=settings.seed,
        weights=settings.weights,
        eval_only=settings.eval_only,
        num_gpus=settings.num_gpus,
        opts=tuple(opts),
    )


def _turn(config_file: str, opts: Sequence[str], settings: Settings) -> tuple[str, list[str]]:
    """The name of what is turned, and the KEY VALUE ... that turn it."""
    before = _load(config_file, tuple(opts))
    # A preset in the file itself would undo what is turned here.
    plain = _load(config_file, (*opts, "D2ALIGN.PRESET", ""))
    cfg = before.clone()
    if settings.preset:
        set_preset(cfg, settings.preset)
    names = [settings.preset] if settings.preset and _changes(before, cfg) else []
    for factor, value in sorted(settings.factors.items(), key=_in_order):
        earlier = cfg.clone()
        set_factor(cfg, factor, value)
        names += [f"{factor}_{value}"] if _changes(earlier, cfg) else []
    if not names:
        return REFERENCE, []
    cfg.D2ALIGN.PRESET = ""
    check_d2align_config(cfg)
    changed = [text for pair in _changes(plain, cfg).items() for text in pair]
    return "+".join(names), ["D2ALIGN.PRESET", "", *changed]


@functools.lru_cache(maxsize=8)  # arms of a sweep share a few; never to be changed in place
def _load(config_file: str, opts: tuple[str, ...]) -> Any:
    from d2align.engine import load_config

    with contextlib.redirect_stdout(None):
        return load_config(config_file, list(opts))


def _in_order(item: tuple[str, str]) -> int:
    names = list(FACTORS)
    return names.index(item[0]) if item[0] in names else len(names)


def _changes(before: Any, after: Any) -> dict[str, str]:
    old, new = flatten(before), flatten(after)
    return {key: str(value) for key, value in new.items() if old.get(key) != value}


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the leaves of nested mappings.

    Args:
        tree: such as {"SOLVER": {"MAX_ITER": 10}}.

    Returns:
        Such as {"SOLVER.MAX_ITER": 10}.
    """
    leaves = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            leaves.update({f"{key}.{k}": v for k, v in flatten(value).items()})
        else:
            leaves[key] = value
    return leaves


def config_hash(cfg: Any, settings: Settings) -> str:
    """Return the SHA-256 of all that decides an arm's outcome.

    Args:
        cfg: the arm's config.
        settings: of the arm.
    """
    values = {k: repr(v) for k, v in flatten(cfg).items() if k not in _NEUTRAL_KEYS}
    around = {"num_gpus": settings.num_gpus, "eval_only": settings.eval_only}
    around["program"] = settings.program
    text = json.dumps([values, around], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def make_grid(all_settings: Iterable[Settings]) -> list[SweepArm]:
    """Make all arms of a sweep; those that come out as the same one are there once.

    Args:
        all_settings: of each arm.

    Returns:
        The arms, in the same order.

    Raises:
        ValueError: as ``make_arm``.
    """
    _load.cache_clear()  # files may have changed since the last grid
    arms: dict[str, SweepArm] = {}
    for settings in all_settings:
        arm = make_arm(settings)
        arms.setdefault(arm.id, arm)
    return list(arms.values())
