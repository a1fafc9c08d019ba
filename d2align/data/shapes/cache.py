"""Where generated data sets are kept, and how a folder appears there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # not a POSIX system: concurrent runs then do the work twice, safely
    fcntl = None  # type: ignore[assignment]


def cache_dir() -> Path:
    """Return the folder of generated data.

    Returns:
        ``$D2ALIGN_CACHE``, else ``$XDG_CACHE_HOME/d2align``, else ``~/.cache/d2align``.
    """
    if os.environ.get("D2ALIGN_CACHE"):
        return Path(os.environ["D2ALIGN_CACHE"]).expanduser()
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]).expanduser() / "d2align"
    return Path("~/.cache/d2align").expanduser()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an advisory lock where the file system has them; the rename is safe without."""
    with open(path, "w") as handle:
        if fcntl is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _publish(temporary: Path, final: Path, is_complete: Callable[[Path], bool]) -> None:
    """Rename the finished folder into place, unless another process was first."""
    try:
        os.rename(temporary, final)
        return
    except OSError:
        if not final.exists():
            raise
    if is_complete(final):
        return
    discarded = Path(tempfile.mkdtemp(prefix=".discarded-", dir=final.parent))
    try:
        os.rename(final, discarded / final.name)
        os.rename(temporary, final)
    finally:
        shutil.rmtree(discarded, ignore_errors=True)


def _fill(final: Path, fill: Callable[[Path], None], is_complete: Callable[[Path], bool]) -> None:
    final.parent.mkdir(parents=True, exist_ok=True)
    with _locked(final.parent / f".{final.name}.lock"):
        if is_complete(final):
            return
        workplace = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=final.parent))
        try:
            content = workplace / final.name
            content.mkdir()  # mkdtemp's own folder is closed to other users
            fill(content)
            _publish(content, final, is_complete)
        finally:
            shutil.rmtree(workplace, ignore_errors=True)


def cached_folder(
    final: Path, fill: Callable[[Path], None], is_complete: Callable[[Path], bool]
) -> Path:
    """Return a folder, filled first if it is not there: whole, or not at all.

    It is filled under a temporary name beside its place and then renamed. Of two processes one
    waits for the other, or, where locks do not work, discards its copy.

    Args:
        final: the folder's place.
        fill: called with an empty folder to be filled.
        is_complete: whether a folder found at the place may be used as it is.

    Returns:
        ``final``.

    Raises:
        OSError: if the folder cannot be written; the message names ``D2ALIGN_CACHE``.
    """
    if is_complete(final):
        return final
    try:
        _fill(final, fill, is_complete)
    except OSError as error:
        message = (
            f"cannot write {final}: {error.strerror or error}. Set D2ALIGN_CACHE to a folder"
            " that is writable and has room"
        )
        raise OSError(error.errno, message) from error
    return final
