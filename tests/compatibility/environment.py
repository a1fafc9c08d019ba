"""The environment of a cell: a venv with what the cell says, made from the checkout."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from compatibility.cells import Cell

ROOT = Path(__file__).parents[2]
# As in the Makefile, which says why.
BUILD_TOOLS = ("pip<26.3", "setuptools<81", "wheel")
_STAMP = "complete"


def find_python(version: str, candidates: Sequence[str]) -> str:
    """Find an interpreter of a version.

    Args:
        version: "3.11".
        candidates: executables, before those of the PATH.

    Returns:
        The executable.

    Raises:
        ValueError: there is none.
    """
    on_path = shutil.which(f"python{version}")
    for candidate in [*candidates, *([on_path] if on_path else [])]:
        code = "import sys; print('{}.{}'.format(*sys.version_info))"
        child = subprocess.run([candidate, "-c", code], capture_output=True, text=True)
        if child.stdout.strip() == version:
            return candidate
    raise ValueError(f"python: got no Python {version}, expected one on the PATH or by --python")


def make_environment(
    cell: Cell, candidates: Sequence[str], folder: Path, detectron2_main: Path | None
) -> Path:
    """Make the environment of a cell, unless a complete one is there.

    Args:
        cell: what to install.
        candidates: Python executables.
        folder: of the environment, made if needed.
        detectron2_main: a checkout of Detectron2's main, or a wheel built from one, for cells
            that want it.

    Returns:
        Its Python.

    Raises:
        ValueError: there is no such Python or checkout, or a command failed.
    """
    python = folder / "bin" / "python"
    if (folder / _STAMP).exists():
        return python
    if cell.detectron2 == "main" and not (detectron2_main and detectron2_main.exists()):
        raise ValueError(f"detectron2 main: got {detectron2_main}, expected a checkout or a wheel")
    executable = find_python(cell.python, candidates)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _run([executable, "-m", "venv", str(folder)])
    constraints = folder / "constraints.txt"
    constraints.write_text("".join(f"{line}\n" for line in cell.constraints))
    install = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    _run([*install, *BUILD_TOOLS])
    _run([*install, *cell.constraints])
    install += ["--constraint", str(constraints)]
    _run([*install, "--editable", f"{ROOT}[dev]"])
    if detectron2_main and cell.detectron2 == "main":
        sources = detectron2_main.resolve()
        if sources.is_dir():  # a copy, since the build writes into its sources
            leave_out = shutil.ignore_patterns(".git", "build")
            sources = shutil.copytree(sources, folder / "detectron2", ignore=leave_out)
        _run([*install, "--no-build-isolation", str(sources)])
    else:
        _run([str(python), str(ROOT / "tools" / "install_detectron2.py")])
    (folder / _STAMP).touch()
    return python


def _run(command: list[str]) -> None:
    print("$", *command, flush=True)
    child = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if child.returncode:
        tail = "\n".join(child.stdout.splitlines()[-20:])
        raise ValueError(f"{' '.join(command)} failed:\n{tail}")
