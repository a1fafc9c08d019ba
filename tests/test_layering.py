"""The floors: each part of d2align imports only from the floors below it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "d2align"
FLOORS = [
    {"geometry", "atomic"},
    {"checkpoint", "config", "fixes", "registry", "data", "modeling", "evaluation", "figures"},
    {"engine"},
    {"ablation", "audit"},
    {"cli"},
]
LEVEL = {part: level for level, parts in enumerate(FLOORS) for part in parts}
# On floor 1 only these import one another.
WITHIN_A_FLOOR = {
    **{part: {"config", "registry"} for part in ("data", "modeling", "evaluation")},
    "config": {"registry"},
    "fixes": {"config"},
    "registry": {"config"},
}
HEAVY = ("detectron2", "torchvision", "cv2", "fvcore", "pycocotools", "numba")


def part_of(path: Path) -> str:
    """The part of d2align that a file belongs to; '' for d2align/__init__.py."""
    first = path.relative_to(ROOT).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every module that a file imports, and whether it does so when it is imported itself."""
    package = ["d2align", *path.relative_to(ROOT).parent.parts]
    tree = ast.parse(path.read_text())
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield name, id(node) not in inner


def files() -> list[Path]:
    return sorted(p for p in ROOT.rglob("*.py") if "__pycache__" not in p.parts)


def parts_imported(path: Path) -> set[str]:
    parts = {n.split(".")[1] for n, _ in imports(path) if n.startswith("d2align.")}
    return {p for p in parts if p in LEVEL}


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_d2align_loads_nothing_heavy() -> None:
    code = (
        "import sys, d2align; d2align.geometry.paste_masks; d2align.__version__;"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    assert run(code) == "[]"


def test_every_part_has_a_floor() -> None:
    assert {part_of(p) for p in files()} - {""} <= set(LEVEL)


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_only_from_floors_below(path: Path) -> None:
    part = part_of(path)
    if part == "":
        assert parts_imported(path) <= {"geometry"}
        return
    allowed = {p for p in LEVEL if LEVEL[p] < LEVEL[part]} | {part}
    allowed |= WITHIN_A_FLOOR.get(part, set())
    assert parts_imported(path) <= allowed


def test_audit_and_ablation_never_import_each_other() -> None:
    for part, other in (("audit", "ablation"), ("ablation", "audit")):
        for path in files():
            if part_of(path) == part:
                assert other not in parts_imported(path), path


def test_geometry_imports_only_torch_and_numpy_at_the_top() -> None:
    for path in files():
        if part_of(path) != "geometry":
            continue
        for name, at_the_top in imports(path):
            package = name.split(".")[0]
            assert package != "detectron2", path
            if at_the_top and package not in sys.stdlib_module_names:
                assert package in ("torch", "numpy", "numba", "d2align"), (path, name)


def test_import_walk_sees_relative_and_nested_imports(tmp_path, monkeypatch) -> None:
    """The walk itself: every way to write an import is found."""
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "x.py"
    path.write_text(
        "from ..engine import a\nfrom .. import cli\nimport d2align.ablation.b\n"
        "def f():\n    from d2align import audit\n"
    )
    assert parts_imported(path) == {"engine", "cli", "ablation", "audit"}
    assert [top for _, top in imports(path)] == [True, True, True, False]
