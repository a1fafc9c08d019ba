#!/usr/bin/env python
"""Train or evaluate a Mask R-CNN from a box and a few labelled points an object.

train_net.py --config-file projects/PointSup/configs/point_sup_shapes.yaml
train_net.py --config-file ... --eval-only MODEL.WEIGHTS path/to/model.pth
"""

from __future__ import annotations

import functools
import sys

from d2align.cli import fail_politely


def main() -> None:
    """Parse the command line and run it in every process that it asks for."""
    from detectron2.engine import default_argument_parser
    from point_sup import load_config, run

    from d2align.engine import launch

    args = default_argument_parser(epilog=__doc__).parse_args()
    launch(run, args, functools.partial(load_config, eval_only=args.eval_only))


if __name__ == "__main__":
    sys.exit(fail_politely(main))
