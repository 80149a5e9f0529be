"""Writing a file so that its path holds the old content or the new one, never a part."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], parts: Iterable[bytes | memoryview]) -> int:
    """Put the concatenation of `parts` at `path` and return its length in bytes.

    The bytes go to a temporary file in the same folder, reach the disk (fsync), and are then renamed over
    `path`. On any failure, KeyboardInterrupt included, the temporary is removed and `path` stays as it was. A
    symbolic link is followed: the file that it points to is replaced.

    Args:
        path: file to create or replace; its folder must exist.
        parts: bytes, or one-dimensional memoryviews of bytes (written without a copy).

    Raises:
        OSError: what the system reports: no such folder, `path` is a folder, no permission, disk full.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            written = sum(file.write(part) for part in parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        _remove(temporary)
        # The caller knows `path`; the temporary name would only confuse.
        raise OSError(error.errno, f"cannot write a file here: {error.strerror}", os.fspath(path)) from error
    except BaseException:
        _remove(temporary)
        raise
    _sync_folder(target.parent)
    return written


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
