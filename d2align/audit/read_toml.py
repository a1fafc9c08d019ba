"""TOML files, read with the standard library where it can."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file.

    Args:
        path: of the file.

    Returns:
        Its content.

    Raises:
        ValueError: no such file, or no TOML.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ModuleNotFoundError:
            raise ValueError(f"{path}: Python 3.10 needs the package tomli to read it") from None
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as e:
        raise ValueError(f"{path}: cannot be read ({e.strerror})") from None
    except ValueError as e:
        raise ValueError(f"{path}: is no TOML ({e})") from None
