"""Tests of tools/install_detectron2.py; none needs the network."""

import importlib.metadata
import importlib.util
import io
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).resolve().parent.parent / "tools"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"d2align_test_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


installer = load(TOOLS / "install_detectron2.py")
stub = load(TOOLS / "detectron2_stub" / "_C.py")


def write_archive(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return path


@pytest.fixture
def sources(tmp_path):
    """A tree with just the texts that the patches look for."""
    tree = tmp_path / "sources"
    for patch in installer.PATCHES:
        path = tree / patch.file
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8") as f:
            f.write(f"{patch.old}\n" * patch.count)
    return tree


def test_patches_apply(sources):
    installer.apply_patches(sources, installer.PATCHES)
    zoo = (sources / "detectron2/model_zoo/model_zoo.py").read_text()
    assert "pkg_resources" not in zoo
    for file in {patch.file for patch in installer.PATCHES}:
        assert (sources / file).read_text().count("# Changed from Detectron2 v0.5") == 1


@pytest.mark.parametrize("text", ["", "a = np.int\nb = np.int\n"])
def test_patch_that_does_not_match(tmp_path, text):
    (tmp_path / "a.py").write_text(text)
    patch = installer.Patch("a.py", "np.int", "int", 1, "")
    with pytest.raises(SystemExit, match=r"a\.py: 'np\.int' occurs . times, expected 1"):
        installer.apply_patches(tmp_path, [patch])
    assert (tmp_path / "a.py").read_text() == text


def test_patch_of_missing_file(tmp_path):
    with pytest.raises(SystemExit, match=r"gone\.py.* occurs 0 times"):
        installer.apply_patches(tmp_path, [installer.Patch("gone.py", "a", "b", 1, "")])


def test_hash_mismatch_is_refused(tmp_path):
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(b"something else")
    with pytest.raises(SystemExit, match=r"has sha256 .*, expected 53c9e79e"):
        installer.check_sha256(archive, installer.SDIST_SHA256)


def test_download_checks_the_hash_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(installer, "pip", lambda *a: (tmp_path / "a.tar.gz").write_bytes(b"x"))
    with pytest.raises(SystemExit, match="has sha256"):
        installer.download_sdist(tmp_path)


def test_unpack(tmp_path):
    archive = write_archive(tmp_path / "a.tar.gz", {"top/a.py": "a"})
    assert (installer.unpack(archive, tmp_path / "tree") / "a.py").read_text() == "a"


@pytest.mark.parametrize("with_filter", [True, False])
def test_unpack_refuses_to_leave_the_folder(tmp_path, monkeypatch, with_filter):
    if not with_filter:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    archive = write_archive(tmp_path / "a.tar.gz", {"../evil.py": "a"})
    with pytest.raises(SystemExit, match="not a safe archive"):
        installer.unpack(archive, tmp_path / "tree")
    assert not (tmp_path / "evil.py").exists()


def test_pip_failure_says_what_to_do():
    with pytest.raises(SystemExit, match=r"(?s)'pip nonsense' failed.*tutorials/install\.html"):
        installer.pip("nonsense")


def test_pip_that_refuses_the_sdist(monkeypatch):
    output = "ERROR: Distributions from PyPI cannot declare direct URL dependencies.\n"
    child = subprocess.CompletedProcess([], 1, stdout=output)
    monkeypatch.setattr(installer.subprocess, "run", lambda *a, **k: child)
    with pytest.raises(SystemExit, match=r"(?s)direct URL.*pip install 'pip<26\.3'"):
        installer.pip("download")


def test_missing_build_tools_are_named(monkeypatch):
    monkeypatch.setattr(installer.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="pip install torch torchvision setuptools wheel"):
        installer.check_build_tools()


def run_with(package: Path) -> subprocess.CompletedProcess:
    """Run the installer with `package`'s folder first on the import path and pip broken."""
    (package.parent / "pip.py").write_text("raise SystemExit('pip must not run')")
    code = (
        "import runpy, sys; sys.path.insert(0, sys.argv[1]);"
        "script = sys.argv[2]; sys.argv = [script]; runpy.run_path(script, run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(package.parent), str(TOOLS / "install_detectron2.py")],
        env={"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def package(tmp_path):
    package = tmp_path / "site" / "detectron2"
    package.mkdir(parents=True)
    return package


def test_importable_detectron2_is_not_touched(package):
    (package / "__init__.py").write_text('__version__ = "9.9"\n')
    result = run_with(package)
    assert result.returncode == 0, result.stderr
    assert f"nothing to do: 9.9 at {package}" in result.stdout
    assert [p.name for p in package.iterdir()] == ["__init__.py"]


def test_broken_detectron2_is_reported(package):
    (package / "__init__.py").write_text("raise ImportError('libcudart.so is missing')\n")
    result = run_with(package)
    assert result.returncode != 0
    assert "libcudart.so is missing" in result.stderr
    assert "pip uninstall detectron2" in result.stderr


def test_bare_folder_is_not_detectron2(package, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(package.parent)])
    monkeypatch.delitem(sys.modules, "detectron2", raising=False)
    importlib.invalidate_caches()
    assert installer.find_installed() is None


def test_metadata_leaves_opencv_to_the_user(monkeypatch):
    monkeypatch.setattr(installer.importlib.util, "find_spec", lambda name: object())
    assert not any("opencv" in name for name in installer.dependencies())
    monkeypatch.setattr(installer.importlib.util, "find_spec", lambda name: None)
    assert "opencv-python-headless" in installer.dependencies()


def test_description_names_every_patched_file():
    text = installer.describe_changes()
    assert all(patch.file in text for patch in installer.PATCHES)


def test_stub_answers_version_queries():
    assert "not compiled" in stub.get_compiler_version()
    assert "not compiled" in stub.get_cuda_version()
    assert stub.has_cuda() is False


@pytest.mark.parametrize(
    ("operator", "feature"),
    [
        ("deform_conv_forward", "deformable convolution"),
        ("modulated_deform_conv_backward", "modulated deformable convolution"),
        ("roi_align_rotated_forward", "ROIAlignRotated"),
        ("box_iou_rotated", "rotated boxes"),
        ("nms_rotated", "rotated boxes"),
        ("COCOevalAccumulate", "fast COCO evaluation"),
        ("InstanceAnnotation", "fast COCO evaluation"),
        ("unheard_of", "compiled Detectron2 feature"),
    ],
)
def test_stub_operator_raises_on_call_only(operator, feature):
    function = getattr(stub, operator)
    with pytest.raises(RuntimeError, match=rf"(?s)_C\.{operator} .*{feature}.*install\.html"):
        function(1, scale=2)


def test_stub_has_no_made_up_dunders():
    assert not hasattr(stub, "__wrapped__")
    assert not hasattr(stub, "__path__")


def repackaged() -> bool:
    try:
        return importlib.metadata.version("detectron2").endswith("+d2align")
    except importlib.metadata.PackageNotFoundError:
        return False


needs_repackaged = pytest.mark.skipif(
    not repackaged(), reason="the installed detectron2 is not the one this script installs"
)


@needs_repackaged
def test_installed_collect_env():
    from detectron2.utils.collect_env import collect_env_info

    assert "not compiled: Python-only detectron2" in collect_env_info()


@needs_repackaged
def test_installed_model_zoo_config():
    from detectron2 import model_zoo

    path = model_zoo.get_config_file("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml")
    assert Path(path).is_file()


@needs_repackaged
def test_installed_projects():
    from detectron2.projects import deeplab, point_rend

    for project in (deeplab, point_rend):
        assert Path(project.__file__).parent.parent.name == "projects"


@needs_repackaged
def test_installed_coco_evaluation_falls_back():
    from detectron2.evaluation import coco_evaluation

    assert coco_evaluation.COCOeval_opt is coco_evaluation.COCOeval


@needs_repackaged
def test_installed_rotated_nms_raises():
    import torch
    from detectron2.layers import nms_rotated

    with pytest.raises(RuntimeError, match="RRPN"):
        nms_rotated(torch.zeros(1, 5), torch.zeros(1), 0.5)
