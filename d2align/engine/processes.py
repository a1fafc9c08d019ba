"""A run's processes: on GPUs by Detectron2, on CPUs over gloo."""

from __future__ import annotations

import socket
from argparse import Namespace
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from detectron2.engine import launch as d2_launch
from detectron2.utils import comm

from d2align.engine.checks import check_run
from d2align.engine.config import LoadConfig, load_config

_LAUNCH_TIMEOUT = timedelta(minutes=30)


def launch(main: Callable[..., Any], args: Namespace, load: LoadConfig = load_config) -> None:
    """Run a main function in every process that a command line asks for.

    On a machine without GPUs, ``--num-gpus N`` starts N CPU processes that talk over gloo.

    Args:
        main: called as main(args) in each process.
        args: what Detectron2's ``default_argument_parser`` gives.
        load: makes the config of a file and overrides, a project's own in place of d2align's.
    """
    world = args.num_gpus * args.num_machines
    if world > 1:
        # Once here, so that bad input is told once and not from inside every process.
        check_run(args, load)
    if torch.cuda.is_available() or world <= 1:
        d2_launch(
            main,
            args.num_gpus,
            num_machines=args.num_machines,
            machine_rank=args.machine_rank,
            dist_url=args.dist_url,
            args=(args,),
        )
        return
    print(f"d2align: no GPU was found, so {args.num_gpus} CPU processes are started", flush=True)
    if args.dist_url == "auto":
        args.dist_url = f"tcp://127.0.0.1:{_free_port()}"
    mp.spawn(_cpu_worker, nprocs=args.num_gpus, args=(main, args), daemon=False)


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def _cpu_worker(local_rank: int, main: Callable[..., Any], args: Namespace) -> None:
    dist.init_process_group(
        backend="gloo",
        init_method=args.dist_url,
        world_size=args.num_gpus * args.num_machines,
        rank=args.machine_rank * args.num_gpus + local_rank,
        timeout=_LAUNCH_TIMEOUT,
    )
    _create_local_process_group(args.num_gpus)
    try:
        main(args)
    finally:
        dist.destroy_process_group()


def _create_local_process_group(processes_per_machine: int) -> None:
    if hasattr(comm, "create_local_process_group"):
        comm.create_local_process_group(processes_per_machine)
        return
    # v0.5 has no function for it; its own launcher sets this variable, too.
    for start in range(0, dist.get_world_size(), processes_per_machine):
        ranks = list(range(start, start + processes_per_machine))
        group = dist.new_group(ranks)
        if dist.get_rank() in ranks:
            comm._LOCAL_PROCESS_GROUP = group
