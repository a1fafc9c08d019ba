"""Configs from files and overrides, checked before anything is built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from detectron2.config import get_cfg
from detectron2.modeling import ANCHOR_GENERATOR_REGISTRY

from d2align.config import add_d2align_config, check_d2align_config
from d2align.modeling.small_backbone import add_small_backbone_config

# Makes the config of a file and overrides.
LoadConfig = Callable[[str, list[str]], Any]

_PACKAGE = Path(__file__).resolve().parents[1]


def find_config(config_file: str) -> str:
    """Return the path of a config: from the working folder, or else d2align's own.

    Args:
        config_file: such as "configs/shapes/ablation_aligned.yaml", which is beside the package in
            a checkout and inside it where d2align was installed from a wheel.

    Returns:
        A path that exists, or the argument where none does.
    """
    for root in (Path(), _PACKAGE.parent, _PACKAGE):
        if (root / config_file).exists():
            return str(root / config_file)
    return config_file


def load_config(
    config_file: str,
    opts: list[str] | None = None,
    add_keys: Sequence[Callable[[Any], None]] = (),
) -> Any:
    """Return a config from a file and overrides, checked but not frozen.

    Args:
        config_file: path of a YAML file, read safely (no Python tags); "" takes the defaults.
        opts: KEY VALUE KEY VALUE ...
        add_keys: functions that add keys of a project's own, before the file is read.

    Returns:
        A Detectron2 CfgNode with d2align's keys.

    Raises:
        ValueError: no such file, an unknown key, or an unknown value of a switch.
    """
    cfg = get_cfg()
    add_d2align_config(cfg)
    add_small_backbone_config(cfg)
    for add in add_keys:
        add(cfg)
    if config_file:
        _merge_file(cfg, config_file)
    try:
        cfg.merge_from_list(opts or [])
    except (KeyError, AssertionError, ValueError) as e:
        raise ValueError(f"config: {e.args[0] if e.args else e}; see configs/ for keys") from None
    use_cpu_without_gpu(cfg)
    thaw_without_weights(cfg)
    check_d2align_config(cfg)
    _check_detectron2_keys(cfg)
    return cfg


def _merge_file(cfg: Any, config_file: str) -> None:
    try:
        cfg.merge_from_file(config_file, allow_unsafe=False)
    except (KeyError, AssertionError, ValueError) as e:
        raise ValueError(f"--config-file {config_file}: {e.args[0] if e.args else e}") from None
    except (yaml.YAMLError, AttributeError, TypeError, OSError) as e:
        raise ValueError(
            f"--config-file: got {config_file!r}, expected a YAML file of Detectron2's keys, "
            f"without Python tags: {e}"
        ) from None


def _check_detectron2_keys(cfg: Any) -> None:
    """Refuse what Detectron2 itself would find only after it has begun to write."""
    name = cfg.MODEL.ANCHOR_GENERATOR.NAME
    known = [key for key, _ in ANCHOR_GENERATOR_REGISTRY]
    if name not in known:
        raise ValueError(f"MODEL.ANCHOR_GENERATOR.NAME: got {name!r}, expected one of {known}")
    batch, world = cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.REFERENCE_WORLD_SIZE
    if world and batch % world:
        raise ValueError(
            f"SOLVER.IMS_PER_BATCH: got {batch}, expected a multiple of "
            f"SOLVER.REFERENCE_WORLD_SIZE {world}; on one machine for a try, set "
            "SOLVER.REFERENCE_WORLD_SIZE 0"
        )


def use_cpu_without_gpu(cfg: Any) -> None:
    """Train and test on the CPU where there is no GPU, saying so in one line.

    Args:
        cfg: a config, changed in place.
    """
    if cfg.MODEL.DEVICE.startswith("cuda") and not torch.cuda.is_available():
        print("d2align: no GPU was found, so MODEL.DEVICE is set to cpu", flush=True)
        cfg.MODEL.DEVICE = "cpu"


def thaw_without_weights(cfg: Any) -> None:
    """Train a ResNet from scratch with live batch norm where there are no weights to freeze.

    Frozen statistics of a random network normalize nothing: it diverges within a few steps.
    Such a model's checkpoints are read by the unchanged config, too.

    Args:
        cfg: a config, changed in place.
    """
    if cfg.MODEL.WEIGHTS or cfg.MODEL.RESNETS.NORM != "FrozenBN":
        return
    print(
        "d2align: MODEL.WEIGHTS is empty, so MODEL.RESNETS.NORM is set to BN and "
        "MODEL.BACKBONE.FREEZE_AT to 0, to train from scratch",
        flush=True,
    )
    cfg.MODEL.RESNETS.NORM = "BN"
    cfg.MODEL.BACKBONE.FREEZE_AT = 0
