"""Writing files so that a path holds the old content or the new one, never a part."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

TEMPORARY = re.compile(r"\.eas-[0-9a-f]{16}\.tmp")
QUIET_S = 60.0
"""A temporary that was written to more recently is left alone: it may not be locked yet, or not any more."""
CANNOT = "cannot write a file here: "


def write_atomically(path: str | os.PathLike[str], parts: Iterable[bytes | memoryview]) -> int:
    """Put the concatenation of `parts` at `path` and return its length in bytes; see `replacing`.

    Args:
        parts: bytes, or one-dimensional memoryviews of bytes (written without a copy).
    """
    with replacing(path) as file:
        return sum(file.write(part) for part in parts)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` at the end of the block.

    The bytes go to a temporary file in the same folder, reach the disk (fsync), and are then renamed over
    `path`. On any failure, KeyboardInterrupt included, the temporary is removed and `path` stays as it was; those that
    killed processes have left in the folder are removed too. A symbolic link is followed: the file that it points to is
    replaced. A device or a named pipe is written to as it is.

    Args:
        path: file to create or replace; its folder must exist.

    Raises:
        OSError: what the system reports: no such folder, `path` is a folder, no permission, disk full.
    """
    try:
        if _is_device(path):
            with open(path, "wb") as file:
                yield file
            return
        target = Path(os.path.realpath(path))
        _remove_leftovers(target.parent)
        temporary = _temporary(target.parent)
        try:
            with open(temporary, "xb") as file:
                _try_lock(file.fileno())
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            _remove(temporary)
            raise
    except OSError as error:
        # The caller knows `path`; the temporary name would only confuse.
        raise OSError(error.errno, f"{CANNOT}{error.strerror or error}", os.fspath(path)) from error
    _sync_folder(target.parent)


@contextlib.contextmanager
def making(folder: Path, shown: str | os.PathLike[str]) -> Iterator[Path]:
    """An empty folder inside `folder`, to make in it what then takes another's place.

    At the end it is removed with all that is in it; so are, as in `replacing`, those that killed processes have left in
    `folder` (but not on Windows, where nothing says that a folder is in use).

    Args:
        shown: what the caller calls that which is made.

    Raises:
        OSError: what the system reports; where it is about something in the new folder, `shown` is named.
    """
    import shutil

    _remove_leftovers(folder)
    made = _temporary(folder)
    try:
        made.mkdir(0o700)
        try:
            with _locked(made):
                yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        if not any(made in (path, *path.parents) for path in _named(error)):
            raise
        what = (error.strerror or str(error)).removeprefix(CANNOT)
        raise OSError(error.errno, f"{CANNOT}{what}", os.fspath(shown)) from error


def _named(error: OSError) -> list[Path]:
    """The paths that an error is about."""
    return [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]


def _temporary(folder: Path) -> Path:
    """A path inside a folder for something that is not to stay."""
    import secrets  # this and shutil would add milliseconds to `import eas_sdk`

    return folder / f".eas-{secrets.token_hex(8)}.tmp"


def _is_device(path: str | os.PathLike[str]) -> bool:
    """Whether something stands there that is neither a file nor a folder."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _remove_leftovers(folder: Path) -> None:
    """Remove the temporaries of processes that were killed."""
    with contextlib.suppress(OSError):  # of the folder; the write itself says what is wrong with it
        for entry in os.scandir(folder):
            whole = entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)
            if whole and TEMPORARY.fullmatch(entry.name):
                _remove_if_left(entry)


def _remove_if_left(entry: os.DirEntry[str]) -> None:
    import shutil

    with contextlib.suppress(OSError):  # Windows removes no file that is open, and opens no folder
        if time.time() - entry.stat().st_mtime < QUIET_S:
            return
        descriptor = os.open(entry.path, os.O_RDONLY)
        try:
            left = _try_lock(descriptor)
        finally:
            os.close(descriptor)
        if left and entry.is_dir():
            shutil.rmtree(entry.path)
        elif left:
            os.unlink(entry.path)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, on systems where one can be opened (not Windows)."""
    descriptor = None
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        _try_lock(descriptor)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    """Lock an open file until it is closed or its process ends; whether no other one holds it."""
    try:
        import fcntl
    except ImportError:  # Windows, where being open is as good
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked, or a file system without locks
        return False
    return True


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, on systems where a folder can be opened (not Windows)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
