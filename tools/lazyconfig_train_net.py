#!/usr/bin/env python
"""Train or evaluate what a LazyConfig file instantiates; the file is Python, and is run.

tools/lazyconfig_train_net.py --config-file configs/lazy/mask_rcnn_shapes.py
tools/lazyconfig_train_net.py --config-file configs/lazy/mask_rcnn_R_50_FPN_1x.py --num-gpus 8
tools/lazyconfig_train_net.py --config-file ... --eval-only train.init_checkpoint=path/to/model.pth
"""

from __future__ import annotations

import sys

from d2align.cli import fail_politely


def main() -> None:
    """Parse the command line and run it in every process that it asks for."""
    from detectron2.engine import default_argument_parser, launch

    from d2align.engine.lazy_command import run_lazy

    args = default_argument_parser(epilog=__doc__).parse_args()
    machines = {"num_machines": args.num_machines, "machine_rank": args.machine_rank}
    launch(run_lazy, args.num_gpus, **machines, dist_url=args.dist_url, args=(args,))


if __name__ == "__main__":
    sys.exit(fail_politely(main))
