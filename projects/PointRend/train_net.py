#!/usr/bin/env python
"""Train or evaluate PointRend with its points sampled by d2align.

train_net.py --config-file projects/PointRend/configs/pointrend_shapes.yaml
train_net.py --config-file ... --eval-only MODEL.WEIGHTS path/to/model.pth
"""

from __future__ import annotations

import sys

from d2align.cli import fail_politely


def main() -> None:
    """Parse the command line and run it in every process that it asks for."""
    from aligned_point_rend import load_config, run
    from detectron2.engine import default_argument_parser

    from d2align.engine import launch

    launch(run, default_argument_parser(epilog=__doc__).parse_args(), load_config)


if __name__ == "__main__":
    sys.exit(fail_politely(main))
