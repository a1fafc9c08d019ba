"""What happens before Hydra launches any job: the grid is expanded, checked and written down."""

from __future__ import annotations

import json
import sys
import traceback
from typing import Any, ClassVar

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from d2align.ablation.sweep.grid import make_grid
from d2align.ablation.sweep.plan import Plan, State, make_plan
from d2align.ablation.sweep.progress import Progress
from d2align.ablation.sweep.settings import Settings, settings_from


class SweepCallback(Callback):
    """Makes the plan of a command, and has only those arms launched that are still to do.

    Attributes:
        plan: of the command that this process runs; None before there is one.
        progress: the plan's watcher, at work.
    """

    plan: ClassVar[Plan | None] = None
    progress: ClassVar[Progress | None] = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Plan, or with bad input end the program before anything is launched.

        Args:
            config: the whole config, from which Hydra goes on to launch.
            **kwargs: not used.
        """
        try:
            if SweepCallback.plan is None:
                _start(config)
            assert SweepCallback.plan is not None
            to_do = SweepCallback.plan.in_state(State.TO_DO)
            _narrow(config, to_do)
        except ValueError as e:
            print(f"error: {e}", file=sys.stderr)
            raise SystemExit(2) from None
        except Exception:  # Hydra would go on after a warning
            traceback.print_exc()
            raise SystemExit(1) from None
        if not to_do:
            raise SystemExit(0)


def _start(config: DictConfig) -> None:
    from d2align.ablation.sweep.trainer import import_modules

    settings = expand(config)
    for one in settings:
        import_modules(list(one.imports))
    plan = make_plan(make_grid(settings), settings)
    done = len(plan.in_state(State.DONE))
    print(f"{len(plan.ids)} arms in {plan.root}, {done} of them done", flush=True)
    SweepCallback.plan = plan
    SweepCallback.progress = Progress(plan)
    SweepCallback.progress.__enter__()


def expand(config: DictConfig) -> list[Settings]:
    """Return the settings of every arm that a multirun command asks for.

    Args:
        config: the whole config of the command, Hydra's part included.

    Returns:
        As many as the product of the sweeps has.

    Raises:
        ValueError: a config cannot be composed, such as for an unknown arm; the message lists
            the choices.
    """
    loader = GlobalHydra.instance().config_loader()
    settings = []
    try:
        for overrides in _product(config):
            composed = loader.load_sweep_config(config, overrides)
            with read_write(composed), open_dict(composed):
                del composed["hydra"]
            settings.append(settings_from(OmegaConf.to_container(composed, resolve=True)))
    except (HydraException, OmegaConfBaseException) as e:
        raise ValueError(str(e)) from None
    return settings


def _product(config: DictConfig) -> list[list[str]]:
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    if not config.hydra.sweeper._target_.endswith(".BasicSweeper"):
        raise ValueError(
            f"hydra/sweeper: got {config.hydra.sweeper._target_}, expected basic: an ablation "
            "compares arms that are fixed before"
        )
    (batch,) = BasicSweeper.split_arguments([o for o, _ in _overrides(config)], None)
    return batch


def _overrides(config: DictConfig) -> list[tuple[Any, str]]:
    """The overrides of the config file's own sweep and of the command line, parsed and not."""
    params = [f"{k}={v}" for k, v in (config.hydra.sweeper.params or {}).items()]
    lines = [*params, *config.hydra.overrides.task]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    return list(zip(parser.parse_overrides(lines), lines, strict=True))


def _narrow(config: DictConfig, arm_ids: list[str]) -> None:
    """Have Hydra sweep over the arms that are left, by their ids, and over nothing else."""
    fixed = [line for override, line in _overrides(config) if not override.is_sweep_override()]
    fixed = [line for line in fixed if not line.startswith("+arm_id=")]
    chosen = ",".join(json.dumps(arm_id) for arm_id in arm_ids)
    with read_write(config), open_dict(config):
        config.hydra.overrides.task = [*fixed, f"+arm_id={chosen}"]
        config.hydra.sweeper.params = None
