"""Install Detectron2 v0.5, Python code only, into the environment that runs this script.

Detectron2 is not on the package index under its own name. Its v0.5 Python sources are there
as the sdist `detectron2-cdo`, without the C++ sources, so that sdist cannot be built as it is.
This script downloads it, patches what newer NumPy, Pillow and setuptools removed, puts a stub in
place of the compiled operators, and installs the result as `detectron2`.
A Detectron2 which is already there is never touched.

Usage: python tools/install_detectron2.py [--wheel-dir DIR]
"""

import argparse
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

SDIST = "detectron2-cdo==0.5"
SDIST_SHA256 = "53c9e79e9cc943e80419c588ea44b5479507a8628ed14a4e06bd093e29311b18"
VERSION = "0.5+d2align"
INSTALL_PAGE = "https://detectron2.readthedocs.io/tutorials/install.html"
STUB = Path(__file__).resolve().parent / "detectron2_stub" / "_C.py"

PROJECTS = {
    "PointRend/point_rend": "point_rend",
    "DeepLab/deeplab": "deeplab",
    "Panoptic-DeepLab/panoptic_deeplab": "panoptic_deeplab",
}

# v0.5's own list without the stale upper bounds and without what only Caffe2 export uses.
DEPENDENCIES = [
    "Pillow>=7.1",
    "matplotlib",
    "pycocotools>=2.0.2",
    "termcolor>=1.1",
    "yacs>=0.1.8",
    "tabulate",
    "cloudpickle",
    "tqdm>4.29.0",
    "tensorboard",
    "fvcore>=0.1.5",
    "iopath>=0.1.7",
    "omegaconf>=2.1",
    "hydra-core>=1.1",
]


class Patch(NamedTuple):
    """A text replacement in one file of Detectron2.

    `old` must occur exactly `count` times; `why` goes into the package's description.
    """

    file: str
    old: str
    new: str
    count: int
    why: str


_NUMPY_ALIAS = "NumPy 1.24 removed the aliases of Python's own types"
_NO_PKG_RESOURCES = "newer setuptools has no pkg_resources"
_COCO_EVAL = "pycocotools' COCOeval stands in for the compiled evaluation"
_NMS_ROTATED = "rotated NMS gives the stub's error"

PATCHES = [
    Patch("detectron2/data/build.py", "dtype=np.int", "dtype=int", 2, _NUMPY_ALIAS),
    Patch("detectron2/data/datasets/pascal_voc.py", "dtype=np.str", "dtype=str", 1, _NUMPY_ALIAS),
    Patch(
        "detectron2/evaluation/pascal_voc_evaluation.py",
        ".astype(np.bool)",
        ".astype(bool)",
        2,
        _NUMPY_ALIAS,
    ),
    Patch("detectron2/evaluation/sem_seg_evaluation.py", "np.float)", "float)", 5, _NUMPY_ALIAS),
    Patch("detectron2/evaluation/sem_seg_evaluation.py", "np.int)", "int)", 2, _NUMPY_ALIAS),
    Patch("detectron2/structures/masks.py", "np.bool)", "bool)", 2, _NUMPY_ALIAS),
    Patch("detectron2/utils/video_visualizer.py", "np.bool)", "bool)", 1, _NUMPY_ALIAS),
    Patch("detectron2/utils/visualizer.py", "np.bool)", "bool)", 3, _NUMPY_ALIAS),
    Patch(
        "detectron2/layers/mask_ops.py",
        "np.array(mask, copy=False)",
        "np.asarray(mask)",
        1,
        "NumPy 2 raises where copy=False cannot be kept",
    ),
    Patch(
        "detectron2/data/transforms/transform.py",
        "Image.LINEAR",
        "Image.BILINEAR",
        1,
        "Pillow 10 removed Image.LINEAR",
    ),
    Patch("detectron2/model_zoo/model_zoo.py", "import pkg_resources\n", "", 1, _NO_PKG_RESOURCES),
    Patch(
        "detectron2/model_zoo/model_zoo.py",
        "pkg_resources.resource_filename(\n"
        '        "detectron2.model_zoo", os.path.join("configs", config_path)\n'
        "    )",
        'os.path.join(os.path.dirname(os.path.abspath(__file__)), "configs", config_path)',
        1,
        _NO_PKG_RESOURCES,
    ),
    Patch(
        "detectron2/evaluation/coco_evaluation.py",
        "from detectron2.evaluation.fast_eval_api import COCOeval_opt\n",
        "from detectron2 import _C\n",
        1,
        _COCO_EVAL,
    ),
    Patch(
        "detectron2/evaluation/coco_evaluation.py",
        "from .evaluator import DatasetEvaluator\n",
        "from .evaluator import DatasetEvaluator\n\n"
        'if getattr(_C, "IS_STUB", False) is True:\n'
        "    COCOeval_opt = COCOeval\n"
        "else:\n"
        "    from detectron2.evaluation.fast_eval_api import COCOeval_opt\n",
        1,
        _COCO_EVAL,
    ),
    Patch(
        "detectron2/layers/nms.py",
        "from torchvision.ops import nms  # BC-compat\n",
        "from torchvision.ops import nms  # BC-compat\n\nfrom detectron2 import _C\n",
        1,
        _NMS_ROTATED,
    ),
    Patch(
        "detectron2/layers/nms.py",
        "torch.ops.detectron2.nms_rotated(",
        "_C.nms_rotated(",
        1,
        _NMS_ROTATED,
    ),
    Patch(
        "detectron2/export/__init__.py",
        "from .api import *\n",
        "try:\n    from .api import *\nexcept ImportError:  # no Caffe2\n    pass\n",
        1,
        "Caffe2 export needs Caffe2, the rest does not",
    ),
]


def main(argv: list[str] | None = None) -> None:
    """Install Detectron2 unless there is one.

    Args:
        argv: command line without the program name; None reads sys.argv.

    Raises:
        SystemExit: a step failed; the message names what to do.
    """
    parser = argparse.ArgumentParser(description="Install Detectron2 v0.5, Python code only.")
    parser.add_argument("--wheel-dir", type=Path, help="also keep the built wheel in this folder")
    args = parser.parse_args(argv)

    found = find_installed()
    if found:
        print(f"detectron2 is already installed, nothing to do: {found}")
        return
    check_build_tools()
    with tempfile.TemporaryDirectory(prefix="d2align-") as tmp:
        print(f"downloading {SDIST}", flush=True)
        sdist = download_sdist(Path(tmp) / "sdist")
        tree = unpack(sdist, Path(tmp) / "tree")
        print("patching it and building the wheel", flush=True)
        apply_patches(tree, PATCHES)
        lay_out(tree)
        write_metadata(tree)
        wheel = build_wheel(tree, Path(tmp) / "wheel")
        if args.wheel_dir:
            args.wheel_dir.mkdir(parents=True, exist_ok=True)
            print(f"wheel kept at {shutil.copy(wheel, args.wheel_dir)}")
        print(f"installing {wheel.name}", flush=True)
        pip("install", "--quiet", str(wheel))
    print(f"detectron2 {VERSION} installed")


def find_installed() -> str | None:
    """Look for a Detectron2 that this Python can import.

    Returns:
        Its version and folder, or None where there is none.

    Raises:
        SystemExit: one is there but importing it fails.
    """
    spec = importlib.util.find_spec("detectron2")
    if spec is None or spec.origin is None:  # no origin: a bare folder of that name
        return None
    # A child process, so that a crash in somebody's compiled operators is only reported.
    code = "import detectron2 as d; print(d.__version__, 'at', d.__path__[0])"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if child.returncode:
        raise SystemExit(
            f"detectron2 at {spec.origin} cannot be imported:\n{child.stderr}\n"
            "Repair it, or remove it with 'pip uninstall detectron2' and run this script again."
        )
    return child.stdout.strip()


def check_build_tools() -> None:
    """Check that the environment has what the download and the build import.

    Raises:
        SystemExit: a package is missing.
    """
    missing = [
        name
        for name in ("torch", "torchvision", "setuptools", "wheel")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise SystemExit(
            f"{sys.executable} has no {', '.join(missing)}: install that first (pip install "
            f"{' '.join(missing)}), then run this script again."
        )


def pip(*args: str) -> None:
    """Run this Python's pip.

    Args:
        *args: pip's command line.

    Raises:
        SystemExit: pip failed; the message holds the end of its output.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *args]
    child = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if child.returncode:
        tail = "\n".join(child.stdout.splitlines()[-20:])
        if "cannot declare direct URL" in tail:
            # One of the sdist's optional extras names a URL; no extra is installed here.
            raise SystemExit(
                f"'pip {args[0]}' failed:\n{tail}\npip 26.3 and later refuse this sdist from PyPI. "
                "Run \"pip install 'pip<26.3'\" in this environment and then this script again, "
                f"or install your own Detectron2: {INSTALL_PAGE}"
            )
        raise SystemExit(
            f"'pip {args[0]}' failed:\n{tail}\n"
            "Check that the package index can be reached (pip config list) and that the hash "
            f"above, if one is named, is right. Or install your own Detectron2: {INSTALL_PAGE}"
        )


def download_sdist(folder: Path) -> Path:
    """Download the sdist from the configured index, refusing any other content.

    Args:
        folder: where to put it; made if needed.

    Returns:
        The archive.

    Raises:
        SystemExit: the download failed or the content differs from what is expected.
    """
    folder.mkdir(parents=True, exist_ok=True)
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{SDIST} --hash=sha256:{SDIST_SHA256}\n")
    # No build isolation: pip asks the sdist's setup.py for metadata, and that imports torch.
    pip(
        *("download", "--quiet", "--require-hashes", "--no-deps", "--no-binary", ":all:"),
        *("--no-build-isolation", "--dest", str(folder), "--requirement", str(requirements)),
    )
    archives = list(folder.glob("*.tar.gz"))
    if len(archives) != 1:
        raise SystemExit(f"expected one .tar.gz from pip, got {[a.name for a in archives]}")
    check_sha256(archives[0], SDIST_SHA256)
    return archives[0]


def check_sha256(path: Path, expected: str) -> None:
    """Refuse a file whose content is not the expected one.

    Args:
        path: the file.
        expected: its SHA-256 in hex.

    Raises:
        SystemExit: the hashes differ.
    """
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
    if actual != expected:
        raise SystemExit(
            f"{path.name} has sha256 {actual}, expected {expected}. Do not use it: look at what "
            f"the package index serves, or install your own Detectron2: {INSTALL_PAGE}"
        )


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an sdist, keeping every member inside the folder.

    Args:
        archive: a .tar.gz with a single top folder.
        folder: where to unpack it; made if needed.

    Returns:
        The top folder.

    Raises:
        SystemExit: a member would leave the folder, or there is not exactly one top folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):
            try:
                tar.extractall(folder, filter="data")
            except tarfile.FilterError as error:
                raise SystemExit(f"{archive.name} is not a safe archive: {error}") from error
        else:  # early patch releases of Python 3.10 and 3.11
            for member in tar.getmembers():
                target = (folder / member.name).resolve()
                inside = target.is_relative_to(folder.resolve())
                if not inside or not (member.isfile() or member.isdir()):
                    raise SystemExit(f"{archive.name} is not a safe archive: {member.name}")
            tar.extractall(folder)
    tops = list(folder.iterdir())
    if len(tops) != 1:
        raise SystemExit(f"{archive.name}: expected one top folder, got {[t.name for t in tops]}")
    return tops[0]


def apply_patches(tree: Path, patches: list[Patch]) -> None:
    """Apply the patches and add a notice of change to every patched file.

    Args:
        tree: root of the unpacked sources.
        patches: the replacements, applied in order.

    Raises:
        SystemExit: a file is missing, or a text does not occur as often as it should.
    """
    for patch in patches:
        path = tree / patch.file
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        found = text.count(patch.old)
        if found != patch.count:
            raise SystemExit(
                f"{patch.file}: {patch.old!r} occurs {found} times, expected {patch.count}. "
                f"The patches are for {SDIST} (sha256 {SDIST_SHA256}); use those sources."
            )
        path.write_text(text.replace(patch.old, patch.new), encoding="utf-8")
    for file in sorted({patch.file for patch in patches}):
        with open(tree / file, "a", encoding="utf-8") as f:
            f.write("\n# Changed from Detectron2 v0.5: see the description of this package.\n")


def lay_out(tree: Path) -> None:
    """Make the projects real subpackages and put the stub in place.

    Args:
        tree: root of the unpacked sources.
    """
    for source, name in PROJECTS.items():
        shutil.move(tree / "projects" / source, tree / "detectron2" / "projects" / name)
    shutil.copy(STUB, tree / "detectron2" / "_C.py")


def dependencies() -> list[str]:
    """List what the package requires, OpenCV only where there is no cv2.

    Several distributions provide cv2 and overwrite each other's files.
    """
    opencv = [] if importlib.util.find_spec("cv2") else ["opencv-python-headless"]
    return DEPENDENCIES + opencv


def describe_changes() -> str:
    """Write the package's description: what differs from Detectron2 v0.5."""
    lines = [
        "Python-only Detectron2 v0.5, repackaged by d2align's tools/install_detectron2.py.",
        f"This is not an official release; for that see {INSTALL_PAGE}",
        "",
        "Changes from v0.5:",
        "",
        "- detectron2/_C.py is a stub for the compiled operators, which raise when called",
        "- PointRend, DeepLab and Panoptic-DeepLab lie in detectron2/projects",
        "- requirements have no upper bounds",
    ]
    changes = dict.fromkeys(f"- {patch.file}: {patch.why}" for patch in PATCHES)
    return "\n".join([*lines, *changes]) + "\n"


def write_metadata(tree: Path) -> None:
    """Replace the sdist's own build files by ones that build the Python-only package.

    Args:
        tree: root of the unpacked sources.
    """
    (tree / "setup.py").unlink()  # it asks for the missing C++ sources
    (tree / "README.md").write_text(describe_changes(), encoding="utf-8")
    (tree / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools", "wheel"]\n'
        'build-backend = "setuptools.build_meta"\n'
    )
    requires = "".join(f"\n    {name}" for name in dependencies())
    (tree / "setup.cfg").write_text(f"""\
[metadata]
name = detectron2
version = {VERSION}
description = Detectron2 v0.5, Python code only, repackaged by d2align
long_description = file: README.md
long_description_content_type = text/markdown
url = https://github.com/facebookresearch/detectron2
author = FAIR
license = Apache-2.0
license_files = LICENSE

[options]
python_requires = >=3.10
packages = find:
install_requires ={requires}

[options.packages.find]
include = detectron2*

[options.package_data]
detectron2.model_zoo =
    configs/*.yaml
    configs/*/*.yaml
    configs/*/*.py
    configs/*/*/*.py
""")


def build_wheel(tree: Path, folder: Path) -> Path:
    """Build the wheel with the environment's setuptools.

    Args:
        tree: root of the patched sources.
        folder: where to put the wheel.

    Returns:
        The wheel.

    Raises:
        SystemExit: the build failed.
    """
    pip(
        *("wheel", "--quiet", "--no-deps", "--no-build-isolation"),
        *("--wheel-dir", str(folder), str(tree)),
    )
    wheels = list(folder.glob("detectron2-*.whl"))
    if len(wheels) != 1:
        raise SystemExit(f"expected one wheel in {folder}, got {[w.name for w in wheels]}")
    return wheels[0]


if __name__ == "__main__":
    main()
