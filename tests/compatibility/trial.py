"""A trial: run tests in an environment, and tell what was really imported and how they went."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from compatibility.environment import ROOT

# What torch, NumPy or Detectron2 can break. Left out are sweeps, which start hundreds of processes,
# and tests of documentation and benchmarks.
TESTS = (
    "tests/geometry",
    "tests/modeling",
    "tests/data",
    "tests/evaluation",
    "tests/checkpoint",
    "tests/audit",
    "tests/projects",
    "tests/test_bad_input.py",
    "tests/test_config.py",
    "tests/test_coco_configs.py",
    "tests/test_engine.py",
    "tests/test_golden.py",
    "tests/test_presets.py",
)
# Runs in the environment: what is imported there, not what was asked for.
_VERSIONS = """
import json, platform, sys
import cv2, detectron2, numpy, torch, torchvision
import d2align
from detectron2 import _C
stub = getattr(_C, "IS_STUB", False) is True
print(json.dumps({
    "python": platform.python_version(),
    "torch": torch.__version__,
    "torchvision": torchvision.__version__,
    "numpy": numpy.__version__,
    "opencv": cv2.__version__,
    "detectron2": detectron2.__version__,
    "operators": "none, a stub" if stub else "compiled",
    "d2align": d2align.__version__,
    "system": f"{platform.system()} {platform.machine()}",
    "device": "GPU" if torch.cuda.is_available() else "CPU",
}))
"""


def try_environment(
    python: Path, paths: Sequence[str], folder: Path, processes: int
) -> dict[str, Any]:
    """Run tests in an environment.

    Args:
        python: of the environment.
        paths: tests, relative to the checkout.
        folder: for the log and the results.
        processes: in which tests run.

    Returns:
        Versions, counts, names of failed tests, date and paths.

    Raises:
        ValueError: something cannot be imported, or pytest ran no test.
    """
    record = imported_versions(python)
    results = folder / "results.xml"
    results.unlink(missing_ok=True)
    command = [
        *(str(python), "-m", "pytest", "-v", "-p", "no:cacheprovider"),
        *("-n", str(processes), "--junit-xml", str(results), *paths),
    ]
    print("$", *command, flush=True)
    with (folder / "pytest.log").open("w") as log:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False
        )
    if not results.exists():
        tail = "\n".join((folder / "pytest.log").read_text().splitlines()[-20:])
        raise ValueError(f"pytest: got no results, expected some:\n{tail}")
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    return {**record, **count_results(results), "date": today, "tests": list(paths)}


def imported_versions(python: Path | str) -> dict[str, str]:
    """Ask an environment for the versions that it imports.

    Args:
        python: of the environment.

    Returns:
        name -> version, and whether Detectron2's operators are compiled.

    Raises:
        ValueError: something cannot be imported.
    """
    child = subprocess.run([str(python), "-c", _VERSIONS], capture_output=True, text=True, cwd=ROOT)
    if child.returncode:
        raise ValueError(f"{python}: cannot import what is needed:\n{child.stderr}")
    versions: dict[str, str] = json.loads(child.stdout.splitlines()[-1])
    return versions


def count_results(path: Path) -> dict[str, Any]:
    """Count what pytest wrote down.

    Args:
        path: of the JUnit file.

    Returns:
        passed, failed and skipped, and the names of those that failed; errors count as failed.

    Raises:
        ValueError: no test ran.
    """
    cases = list(ET.parse(path).getroot().iter("testcase"))
    failures = sorted(
        f"{case.get('classname')}::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    )
    skipped = sum(case.find("skipped") is not None for case in cases)
    passed = len(cases) - skipped - len(failures)
    if not passed + len(failures):
        raise ValueError(f"{path}: got no test that ran, expected some")
    return {"passed": passed, "failed": len(failures), "skipped": skipped, "failures": failures}
