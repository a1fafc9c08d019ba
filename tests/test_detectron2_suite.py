"""tools/run_detectron2_tests.py, on made-up test modules: no checkout of Detectron2 is needed."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("detectron2")

from detectron2_suite.differences import Difference
from detectron2_suite.run import run_suite
from detectron2_suite.substitutions import ROUNDS, Round, load

TOOL = Path(__file__).parents[1] / "tools" / "run_detectron2_tests.py"
PATH = "modeling/test_boxes.py"
# A round trip, as Detectron2 tests it, that only an exact inverse passes.
MODULE = """
import unittest
import torch
from detectron2 import modeling as M
from detectron2.modeling.box_regression import Box2BoxTransform


class TestBoxes(unittest.TestCase):
    def test_round_trip(self):
        transform = Box2BoxTransform(weights=(1, 1, 1, 1))
        a, b = torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([[1.0, 2, 9, 7]])
        decoded = transform.apply_deltas(transform.get_deltas(a, b), a)
        self.assertTrue(torch.allclose(decoded, b), decoded - b)

    def test_class(self):
        self.assertEqual(Box2BoxTransform.__module__.split(".")[0], "{package}")

    def test_dotted(self):
        self.assertEqual(M.detector_postprocess.__module__.split(".")[0], "{package}")

    def test_of_no_concern(self):
        self.assertTrue(M.build_model)

    @unittest.skip("no data")
    def test_skipped(self):
        pass
"""
FLOAT = "d2align.modeling:FloatBoxTransform"
WRONG = "d2align.modeling:PyFasterRCNNBoxTransform"
POSTPROCESS = {"M.detector_postprocess": "d2align.modeling:detector_postprocess"}
CLASS_DIFFERS = Difference(f"{PATH}::TestBoxes::test_class", "d2align", "another package")
DOTTED_DIFFERS = Difference(f"{PATH}::TestBoxes::test_dotted", "d2align", "another package")


def write_module(tmp_path: Path, package: str) -> Path:
    tests = tmp_path / "tests"
    module = tests / PATH
    module.parent.mkdir(parents=True)
    (tests / "__init__.py").touch()
    module.write_text(MODULE.format(package=package))
    return tests


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    """Tests that pass with Detectron2's own components."""
    return write_module(tmp_path, "detectron2")


def is_good(
    tests: Path, names: dict[str, str], differences: list[Difference], path: str = PATH
) -> bool:
    (verdict,) = run_suite(tests, [Round("made up", {path: names})], differences)
    return verdict.is_good


def test_components_take_the_places_of_detectron2s(
    tests: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import detectron2.modeling
    from detectron2.modeling.box_regression import Box2BoxTransform

    names = {"Box2BoxTransform": FLOAT, **POSTPROCESS}
    before = set(sys.modules)
    assert is_good(tests, names, [CLASS_DIFFERS, DOTTED_DIFFERS])
    printed = capsys.readouterr().out
    assert f"{PATH}: Box2BoxTransform -> {FLOAT}" in printed
    assert "2 passed, 2 differ as expected, 0 failed, 1 skipped" in printed
    assert "test_skipped: " in printed and "no data" in printed
    assert "another package" in printed
    # Nothing but the test module was changed.
    assert Box2BoxTransform.__module__.startswith("detectron2.")
    assert detectron2.modeling.detector_postprocess.__module__.startswith("detectron2.")
    assert not [name for name in set(sys.modules) - before if name.endswith("test_boxes")]


def test_a_wrong_component_fails(tests: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not is_good(tests, {"Box2BoxTransform": WRONG}, [CLASS_DIFFERS])
    printed = capsys.readouterr().out
    assert f"FAILED: {PATH}::TestBoxes::test_round_trip" in printed
    assert "tensor([[0., 0., 1., 1.]])" in printed  # its bug, exactly: x2 and y2 are 1 too large


def test_another_failure_than_the_listed_one_fails(
    tests: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = Difference(CLASS_DIFFERS.test, "quite another message", "")
    assert not is_good(tests, {"Box2BoxTransform": FLOAT}, [listed])
    assert f"FAILED: {listed.test}" in capsys.readouterr().out


def test_a_stale_difference_fails(tests: Path, capsys: pytest.CaptureFixture[str]) -> None:
    passing = Difference(f"{PATH}::TestBoxes::test_round_trip", "", "")
    gone = Difference(f"{PATH}::TestBoxes::test_gone", "", "")
    names = {"Box2BoxTransform": FLOAT}
    for stale, why in ((passing, "passes"), (gone, "does not exist")):
        assert not is_good(tests, names, [CLASS_DIFFERS, stale])
        assert f"{stale.test} " in (printed := capsys.readouterr().out) and why in printed


def test_a_difference_of_another_round_is_not_stale(tests: Path) -> None:
    elsewhere = Difference(f"{PATH}::TestBoxes::test_round_trip", "", "", rounds=("another",))
    assert is_good(tests, {"Box2BoxTransform": FLOAT}, [CLASS_DIFFERS, elsewhere])


def test_what_fails_with_detectron2s_own_is_no_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tests = write_module(tmp_path, "nobody")
    assert is_good(tests, {"Box2BoxTransform": FLOAT}, [])
    assert "2 fail with Detectron2's own components, too" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ROIAlign", "no function that uses 'ROIAlign'"),
        ("unittest", "no function that uses 'unittest'"),
        ("M.no_such_name", "no function that uses 'M.no_such_name'"),
        ("torch.allclose.tensor", "as 'allclose', expected a module"),
    ],
)
def test_a_substitution_that_does_not_take_is_refused(tests: Path, name: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        is_good(tests, {name: FLOAT}, [])


def test_a_module_that_cannot_be_imported_is_refused(tests: Path) -> None:
    (tests / PATH).write_text("import no_such_module\n")
    with pytest.raises(ValueError, match="no_such_module"):
        is_good(tests, {"Box2BoxTransform": FLOAT}, [])


def test_a_missing_module_is_refused(tests: Path) -> None:
    with pytest.raises(ValueError, match=r"without layers/test_gone\.py"):
        is_good(tests, {}, [], "layers/test_gone.py")


def test_every_component_can_be_imported() -> None:
    for one in ROUNDS:
        for names in one.substitutions.values():
            assert all(callable(load(path)) for path in names.values())


def test_the_tool_needs_detectron2s_tests(tmp_path: Path) -> None:
    command = [sys.executable, str(TOOL), "--tests", str(tmp_path)]
    child = subprocess.run(command, capture_output=True, text=True)
    assert child.returncode == 2
    assert "expected Detectron2's tests" in child.stderr
    assert runpy.run_path(str(TOOL))["main"]
