"""The command ``d2align`` and the scripts in tools/: help, errors, exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from d2align import __version__
from d2align.cli.command import COMMANDS, main
from d2align.engine import find_config

TOOLS = Path(__file__).parents[1] / "tools"
SCRIPTS = {
    "ablate": "run_ablation.py",
    "price": "price_of_a_pixel.py",
    "grids": "plot_conventions.py",
    "audit": "audit.py",
}


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert all(name in said for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_shows_how_it_is_called(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"d2align {command}" in capsys.readouterr().out


@pytest.mark.parametrize(("command", "script"), SCRIPTS.items())
def test_script_has_the_arguments_of_the_command(
    command: str, script: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    of_command = capsys.readouterr().out
    run = [sys.executable, str(TOOLS / script), "--help"]
    of_script = subprocess.run(run, capture_output=True, text=True, timeout=120, check=True).stdout

    def options(text: str) -> set[str]:
        return {word.strip("[],") for word in text.split() if word.strip("[],").startswith("--")}

    assert options(of_command) == options(of_script)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"d2align {__version__}\n"


def test_unknown_command_is_refused_with_the_choices(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["measure"])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "measure" in said and "ablate" in said


def test_bad_input_is_told_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "missing.json"
    output = tmp_path / "output"
    assert main(["price", "--annotations", str(missing), "--output", str(output)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and str(missing) in said and said.count("\n") == 1
    assert not output.exists()


def test_grids_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grids", "--output", str(tmp_path)]) == 0
    drawn = sorted(path.name for path in tmp_path.iterdir())
    said = capsys.readouterr().out
    assert "paste_mask.png" in drawn and "flip.png" in drawn
    assert all(name in said for name in drawn)


def test_configs_are_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Path(find_config("configs/shapes/ablation_aligned.yaml")).exists()
    own = tmp_path / "configs" / "shapes" / "ablation_aligned.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("VERSION: 2\n")
    assert Path(find_config("configs/shapes/ablation_aligned.yaml")).resolve() == own
    assert find_config("nowhere.yaml") == "nowhere.yaml"
