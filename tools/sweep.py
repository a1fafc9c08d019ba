#!/usr/bin/env python
"""Train and evaluate factors x variants x seeds x configs, on one machine or on a cluster.

    tools/sweep.py --help
    tools/sweep.py arm=reference,flip_index seed=1,2,3
    tools/sweep.py --config-name shapes hydra/launcher=joblib hydra.launcher.n_jobs=2

A sweep that was killed goes on where it was when the same command is given again.
"""

from __future__ import annotations

import sys
from pathlib import Path

CONFIGS = Path(__file__).resolve().parent.parent / "configs" / "sweep"


def main() -> int:
    """Run the sweep of the command line."""
    try:
        from d2align.ablation.sweep.main import run_sweep
    except ModuleNotFoundError as e:
        if e.name in ("hydra", "omegaconf", "jsonschema"):
            print(f"error: no module {e.name}: pip install 'd2align[sweep]'", file=sys.stderr)
            return 2
        raise
    return run_sweep(CONFIGS)


if __name__ == "__main__":
    sys.exit(main())
