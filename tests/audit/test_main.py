"""The command: what it prints, writes and returns, and how it refuses bad input."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import coco_conventions
import pytest

from d2align.audit import KINDS, assert_aligned, audit_function
from d2align.audit.card import Card, read_card, write_card
from d2align.audit.main import add_arguments, main

TOOL = Path(__file__).parents[2] / "tools" / "audit.py"
OURS = "d2align.geometry:box_areas"
THEIRS = "d2align.geometry:box_areas_detectron1"


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return main(parser.parse_args(words))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_from_the_command_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Modules of the working directory are found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(Path(__file__).parent)
    name = f"mine_{kind}"
    Path(f"{name}.py").write_text(f"import contracts\nfn = contracts.SOUND['{kind}']\n")
    assert run(f"{name}:fn", "--kind", kind, "--fail-over", "0.01") == 0
    assert capsys.readouterr().out.startswith("aligned")


def test_a_function(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(OURS, "--kind", "box_area") == 0
    assert "as d2align" in capsys.readouterr().out
    assert run("--function", THEIRS, "--kind", "box_area") == 0
    out = capsys.readouterr().out
    assert "1.00 px" in out
    assert "Fix:" in out


def test_fail_over(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--function", OURS, "--kind", "box_area", "--fail-over", "0.1") == 0
    assert run("--function", THEIRS, "--kind", "box_area", "--fail-over", "0.1") == 1
    assert run("--function", THEIRS, "--kind", "box_area", "--fail-over", "1") == 0


def test_known_deviations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "known.toml"
    path.write_text(
        f'[[deviation]]\nkind = "box_area"\nsubject = "{THEIRS}"\nerror_px = 1\nreason = "history"'
    )
    with_excuse = ("--kind", "box_area", "--fail-over", "0.1", "--known-deviations", str(path))
    assert run("--function", THEIRS, *with_excuse) == 0
    # An excuse for what is right by now fails.
    path.write_text(path.read_text().replace(THEIRS, OURS))
    assert run("--function", OURS, *with_excuse) == 1
    assert "stale" in capsys.readouterr().out


def test_card_and_page(tmp_path: Path) -> None:
    card, page = tmp_path / "card.json", tmp_path / "page.md"
    run("--libraries", "pycocotools", "--json", str(card), "--markdown", str(page))
    assert {f.kind for f in read_card(card).findings} >= {"box_iou", "rasterize_polygon"}
    assert "| pycocotools: mask.frPyObjects | pixel_centres | 0 |" in page.read_text()
    assert run("--compare", str(card), str(card)) == 0


def test_compare_tells_what_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for name, version, fn in (("old", "1", OURS), ("new", "2", THEIRS)):
        found = audit_function(__import__("d2align").geometry.box_areas, "box_area", subject="A: f")
        if fn == THEIRS:
            found = audit_function(
                __import__("d2align").geometry.box_areas_detectron1, "box_area", subject="A: f"
            )
        paths.append(str(tmp_path / f"{name}.json"))
        write_card(Card({"a": version}, [found], {}), paths[-1])
    assert run("--compare", *paths) == 1
    out = capsys.readouterr().out
    assert "a: 1 -> 2" in out
    assert "convention: float -> detectron1" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "nothing to audit"),
        ((OURS, THEIRS, "--kind", "box_area"), "2 words"),
        ((OURS,), "--kind: missing; expected one of resize"),
        (("--libraries", "pycocotools", "--kind", "resize"), "there is none"),
        ((OURS, "--kind", "nonsense"), "expected one of resize"),
        (("--function", OURS, "--kind", "nonsense"), "expected one of resize"),
        (("d2align", "--kind", "resize"), "expected such as"),
        (("no_such_module:f", "--kind", "resize"), "cannot import .*ModuleNotFoundError"),
        (("d2align.geometry:box_aeras", "--kind", "resize"), "did you mean box_areas"),
        (("--libraries", "pycocotools", "--json", "no/such/folder.json"), "a folder that exists"),
        (("--compare", "a", "b", "--json", "c.json"), "no effect"),
        (("--libraries", "numpy"), "expected some of"),
        (("--libraries", "pycocotools", "--fail-over", "-1"), "fail-over"),
        (("--libraries", "pycocotools", "--known-deviations", "x"), "without --fail-over"),
        (("--compare", "nowhere.json", "nowhere.json"), "cannot be read"),
    ],
)
def test_bad_input(words: tuple[str, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        run(*words)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((THEIRS, "--kind", "box_area", "--fail-over", "0.1"), 1, "over 0.1 px: 1"),
        ((THEIRS, "--kind", "area"), 2, "error: --kind"),
        (("--help",), 0, "fn(image, box, (h, w)) -> image"),
    ],
)
def test_exit_codes_of_the_tool(words: tuple[str, ...], code: int, says: str) -> None:
    done = subprocess.run([sys.executable, TOOL, *words], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_pictures(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    run(THEIRS, "--kind", "box_area", "--pictures", str(page))
    assert "data:image/svg+xml" in page.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(coco_conventions.coco(coco_conventions.scenes(0, 80), "float")))
    assert run("--dataset", str(path)) == 0
    assert "boxes" in capsys.readouterr().out


def test_one_thing_at_a_time() -> None:
    with pytest.raises(SystemExit) as stopped:
        run("--libraries", "--function", OURS)
    assert stopped.value.code == 2


def test_assert_aligned() -> None:
    from d2align.geometry import box_areas, box_areas_detectron1

    assert assert_aligned(box_areas, kind="box_area").convention == "float"
    assert_aligned(box_areas_detectron1, kind="box_area", tolerance_px=1.0)
    with pytest.raises(AssertionError, match=r"detectron1, 1\.000 px off.*Fix:"):
        assert_aligned(box_areas_detectron1, kind="box_area")
    with pytest.raises(AssertionError, match="raised"):
        assert_aligned(lambda boxes: boxes.nothing, kind="box_area", tolerance_px=100)
    with pytest.raises(ValueError, match="tolerance_px"):
        assert_aligned(box_areas, kind="box_area", tolerance_px=-1)
    with pytest.raises(ValueError, match="kind"):
        assert_aligned(box_areas, kind="area")


def test_the_unknown_never_passes() -> None:
    with pytest.raises(AssertionError, match="unknown"):
        assert_aligned(
            lambda boxes: (boxes[:, 2:] - boxes[:, :2] + 0.3).prod(axis=1),
            kind="box_area",
            tolerance_px=5,
        )
