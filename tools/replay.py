#!/usr/bin/env python
"""Measure, on any Mask R-CNN checkpoint, what decodes, clips and pastes cost: one network run.

    tools/replay.py --config-file YOURS.yaml --output DIR MODEL.WEIGHTS model_final.pth

The checkpoint runs over the test set once; what its heads put out is kept in DIR/raw (float32,
checksummed, some 2 MB an image on COCO). Decodes and clips of the last box stage and mask pastes
are then replayed from it, exactly, without the network. With --rerun the network also runs again
with the historical box transforms in its RPN and heads, which changes proposals and masks. The
same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from d2align.cli import fail_politely


def parse() -> argparse.Namespace:
    """Return the parsed command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--config-file", required=True, help="the model's config, all aligned")
    parser.add_argument("--output", type=Path, required=True, help="folder of all files")
    parser.add_argument("--images", type=int, help="of the test set, from its start (default all)")
    parser.add_argument("--rerun", action="store_true", help="also what needs the network again")
    parser.add_argument("--draws", type=int, default=1000, help="bootstrap draws (default 1000)")
    parser.add_argument("opts", nargs="*", default=[], help="config overrides, KEY VALUE ...")
    return parser.parse_args()


def main() -> None:
    """Replay the checkpoint of the command line."""
    args = parse()
    from d2align.ablation.raw_outputs.main import ReplaySettings, replay_and_report
    from d2align.engine import load_config

    cfg = load_config(args.config_file, args.opts)
    settings = ReplaySettings(args.output, args.images, args.rerun, args.draws)
    replay_and_report(cfg, settings, shlex.join(["tools/replay.py", *sys.argv[1:]]))


if __name__ == "__main__":
    sys.exit(fail_politely(main))
