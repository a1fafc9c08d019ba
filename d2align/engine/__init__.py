"""What every tool trains and evaluates with: config set-up, trainer and launcher, GPU or CPU."""

from .checks import check_datasets, check_run, check_weights
from .command import run, setup
from .config import find_config, load_config, thaw_without_weights, use_cpu_without_gpu
from .processes import launch
from .trainer import Trainer

__all__ = [
    "Trainer",
    "check_datasets",
    "check_run",
    "check_weights",
    "find_config",
    "launch",
    "load_config",
    "run",
    "setup",
    "thaw_without_weights",
    "use_cpu_without_gpu",
]
