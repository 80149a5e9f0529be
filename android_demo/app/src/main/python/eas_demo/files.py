"""The .tflite files of networks in the app's storage: written whole, found again, and few."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Sequence
from pathlib import Path

from eas_sdk.export import SIGNATURE, Options, load_exporter
from eas_sdk.graph.nodes import Graph

KEPT = 8
"""Files that stay, the one in use included: going back to a network then takes no writing."""


class NetworkFiles:
    """A folder of networks.

    Args:
        folder: in the app's storage; made where it is missing.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".*.tmp"):  # of a process that was killed while it wrote
            leftover.unlink(missing_ok=True)

    def path(self, *facts: object) -> Path:
        """The file of a network, named after all that it depends on."""
        name = hashlib.sha256("\n".join(map(str, facts)).encode()).hexdigest()[:20]
        return self.folder / f"{name}.tflite"

    def write(self, graph: Graph, path: Path, title: str, attributions: Sequence[str]) -> None:
        """Write a network in float32, unless it is there already. Images go in as float32 in [0, 1].

        Where the storage is full, the networks that are not in use make room.

        Raises:
            OSError: it is full all the same, or cannot be written.
        """
        if path.exists():
            path.touch()
            return
        try:
            self._write(graph, path, title, attributions)
        except OSError as error:
            if error.errno != errno.ENOSPC or not self.trim(1):
                raise
            self._write(graph, path, title, attributions)
        self.trim(KEPT)

    def trim(self, kept: int) -> int:
        """Remove all but the files that were used last; how many went."""
        files = sorted(self.folder.glob("*.tflite"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
        for file in files[kept:]:
            file.unlink(missing_ok=True)
        return len(files[kept:])

    def _write(self, graph: Graph, path: Path, title: str, attributions: Sequence[str]) -> None:
        options = Options("float32", "float32", "probabilities", None, title, tuple(attributions))
        load_exporter(".tflite").write({SIGNATURE: graph}, path, options)  # whole or not at all
