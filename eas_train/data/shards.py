"""Photos in tar shards, read where they lie when they are asked for: more of them than a machine holds as files."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from eas_sdk.errors import DataError, ImageError
from eas_train.data.decode import decode
from eas_train.data.photoset import Index

MOST_OPEN = 32
"""Shards that a process keeps open."""


class OpenFiles:
    """Files that stay open to be read from, the last few that were used. Not for several threads at once.

    Each process opens its own: two that share an open file would move each other's place in it.
    """

    def __init__(self, most: int = MOST_OPEN) -> None:
        self.most = most
        self._files: OrderedDict[Path, io.FileIO] = OrderedDict()
        self._owner = os.getpid()

    def read(self, path: Path, offset: int, length: int) -> bytes:
        """Part of a file.

        Raises:
            OSError: it cannot be opened or read.
            EOFError: it ends before.
        """
        if self._owner != os.getpid():  # this is a fork
            self.close()
            self._owner = os.getpid()
        file = self._files.pop(path, None) or io.FileIO(path)
        self._files[path] = file
        if len(self._files) > self.most:
            self._files.popitem(last=False)[1].close()
        file.seek(offset)
        content = file.read(length)
        if len(content) < length:
            raise EOFError(f"the file ends before byte {offset + length}")
        return content

    def close(self) -> None:
        """Close all; they are opened again where they are needed."""
        while self._files:
            self._files.popitem()[1].close()

    def __len__(self) -> int:
        return len(self._files)

    def __del__(self) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"most": self.most, "_files": OrderedDict(), "_owner": None}


@dataclass(frozen=True, eq=False)
class PhotoShards:
    """Images that are members of tar files. Worker processes share the arrays' memory.

    Attributes:
        paths: the shards.
        shard: int32 [N], index into `paths`; offset: int64 [N], of the image's first byte; length: int32 [N], in bytes.
    """

    paths: tuple[Path, ...]
    shard: npt.NDArray[np.int32]
    offset: npt.NDArray[np.int64]
    length: npt.NDArray[np.int32]
    opened: OpenFiles = field(default_factory=OpenFiles, repr=False)

    def __len__(self) -> int:
        return len(self.shard)

    def read(self, index: int, at_least: int = 0) -> Tensor:
        path, offset = self.paths[self.shard[index]], int(self.offset[index])
        try:
            return decode(self.opened.read(path, offset, int(self.length[index])), at_least)
        except (ImageError, OSError, EOFError) as error:
            raise DataError(f"{path}: {self._member(index)} cannot be read as an image: {error}") from None

    def name(self, index: int) -> str:
        """The shard's name and the member's, as its header has it (the beginning of a very long one)."""
        return f"{self.paths[self.shard[index]].name}/{self._member(index)}"

    def _member(self, index: int) -> str:
        """The name in the header before the image; where it cannot be read, where it should be."""
        begin = int(self.offset[index]) - tarfile.BLOCKSIZE
        try:
            header = self.opened.read(self.paths[self.shard[index]], begin, tarfile.BLOCKSIZE)
            return tarfile.TarInfo.frombuf(header, "utf-8", "backslashreplace").name
        except (OSError, EOFError, tarfile.TarError):
            return f"the member at byte {begin}"

    def take(self, index: Index) -> PhotoShards:
        return PhotoShards(self.paths, self.shard[index], self.offset[index], self.length[index], self.opened)

    def key(self, index: int) -> str:
        path = self.paths[self.shard[index]]
        fact = f"{path.name}\0{self.offset[index]}\0{self.length[index]}"
        return hashlib.sha256(os.fsencode(fact)).hexdigest()

    def digest(self) -> str:
        """SHA-256 of the shards' names and lengths, and of where in them the photos are. What they show is not read."""
        total = hashlib.sha256()
        for path in self.paths:
            total.update(os.fsencode(path.name) + b"\0" + str(path.stat().st_size).encode() + b"\0")
        for array in (self.shard, self.offset, self.length):
            total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()
