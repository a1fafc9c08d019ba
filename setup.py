"""Packaging of d2align."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent

# Read as text: importing d2align would need torch and detectron2.
VERSION = re.search(
    r'^__version__ = "(.+)"', (ROOT / "d2align" / "__init__.py").read_text("utf-8"), re.MULTILINE
).group(1)

SWEEP = [
    "hydra-core>=1.3",
    "hydra-joblib-launcher",
    "hydra-submitit-launcher",
    "submitit",
]


class BuildWithConfigs(build_py):
    """Puts the configs, which lie beside the package in a checkout, into the wheel."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            place = Path(self.build_lib) / "d2align" / "configs"
            shutil.copytree(ROOT / "configs", place, dirs_exist_ok=True)


DOCS = [
    "mkdocs~=1.6",
    "mkdocs-material~=9.8",
    "mkdocstrings[python]~=1.0",
    "mkdocstrings-python~=2.0",
    "ruff",  # formats the signatures
]

setup(
    name="d2align",
    version=VERSION,
    description="Pixel-exact coordinates for Detectron2",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["d2align", "d2align.*"]),
    package_data={
        "d2align": [
            "py.typed",
            "ablation/report/templates/*.j2",
            "audit/*.toml",
            "audit/pictures/*.j2",
        ],
    },
    cmdclass={"build_py": BuildWithConfigs},
    entry_points={"console_scripts": ["d2align = d2align.cli.command:main"]},
    # No torch, torchvision, detectron2 or OpenCV: pip must never replace the user's own builds.
    install_requires=[
        "fvcore",
        "hotcoco",
        "jinja2",
        "jsonschema",
        "matplotlib",
        "numba",
        "numpy",
        "pycocotools>=2.0.6",
        "tqdm",
    ],
    extras_require={
        "docs": DOCS,
        "sweep": SWEEP,
        "dev": [
            *SWEEP,
            "hypothesis",
            "mypy",
            "opencv-python-headless",
            "pre-commit",
            "pytest",
            "pytest-xdist",
            "ruff",
            "scipy",
        ],
    },
)
