"""Reading files that may be anything: a pipe would wait for a writer, and a device may never end."""

from __future__ import annotations

import errno
import os
import stat


def read_regular(path: str | os.PathLike[str], most_bytes: int) -> bytes:
    """The content of a regular file; of one with more than `most_bytes`, one byte more than that.

    Raises:
        OSError: there is no such file, it cannot be read, or it is a folder, a pipe or a device.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # of a folder, the system itself says so
        raise OSError(errno.EINVAL, "must be a regular file, not a pipe or device", os.fspath(path))
    with open(path, "rb") as file:
        return file.read(most_bytes + 1)
