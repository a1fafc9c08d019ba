"""A cluster of one machine: sbatch, srun and sacct that run the tasks of an array at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

SBATCH = """#!/bin/bash
cp "$1" "{folder}/script.sh"
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\)%.*/\\1/p' "$1")
for i in $(seq 0 ${{last:-0}}); do
    env SLURM_JOB_ID=$((100 + i)) SLURM_ARRAY_JOB_ID=77 SLURM_ARRAY_TASK_ID=$i SLURM_NTASKS=1 \\
        SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0 \\
        setsid bash "{folder}/script.sh" >"{folder}/task$i.txt" 2>&1 </dev/null &
done
echo "Submitted batch job 77"
"""
SRUN = """#!/bin/bash
while [[ "$1" == --* ]]; do
    case "$1" in --output|--error) shift 2;; *) shift;; esac
done
exec "$@"
"""
SACCT = """#!/bin/bash
echo "JobID|State|NodeList"
"""


def make_slurm(folder: Path) -> dict[str, str]:
    """Write the commands; the environment in which they are found.

    Args:
        folder: of the commands; script.sh, what sbatch was given, comes to lie there, too.
    """
    folder.mkdir()
    for name, text in {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT}.items():
        path = folder / name
        path.write_text(text.format(folder=folder) if name == "sbatch" else text)
        path.chmod(0o755)
    path = os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {"PATH": path}
