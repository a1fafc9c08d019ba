#!/usr/bin/env python
"""Train or evaluate a detector with d2align's components, in Detectron2's own manner.

tools/train_net.py --config-file configs/shapes/ablation_aligned.yaml
tools/train_net.py --config-file configs/ablation_flip.yaml --num-gpus 8
tools/train_net.py --config-file ... --eval-only MODEL.WEIGHTS path/to/model.pth
"""

from __future__ import annotations

import sys

from d2align.cli import fail_politely


def main() -> None:
    """Parse the command line and run it in every process that it asks for."""
    from detectron2.engine import default_argument_parser

    from d2align.engine import launch, run

    launch(run, default_argument_parser(epilog=__doc__).parse_args())


if __name__ == "__main__":
    sys.exit(fail_politely(main))
