"""Checkpoints that survive a kill at any moment: written beside, synced, then renamed over the old one."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from eas_sdk.bank.atomic import write_atomically
from eas_sdk.errors import TrainingError

SHOWN = 3
"""Differences between trainings that are told."""


class State(dict[str, Any]):
    """What a checkpoint holds.

    Raises:
        TrainingError: a field is asked for that it lacks.
    """

    def __init__(self, path: Path, fields: dict[str, Any]) -> None:
        super().__init__(fields)
        self._path = path

    def __missing__(self, name: str) -> Any:
        raise TrainingError(
            f"{self._path} lacks {name!r}: it was altered, or is of another version; delete it to start afresh"
        )


def save(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, containers of them) to `path` atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, [buffer.getbuffer()])


def owner(path: Path) -> str | None:
    """The fingerprint that the state at `path` carries; None where there is none, or it cannot be read."""
    try:
        state = torch.load(path, map_location="cpu", mmap=True, weights_only=True)  # tensors stay on the disk
    except Exception:  # damage is told by `load`
        return None
    found = state.get("recipe") if isinstance(state, dict) else None
    return found if isinstance(found, str) else None


def load(path: Path, *, recipe: str) -> dict[str, Any] | None:
    """The state at `path`, or None if there is none. Only tensors and containers are read, no code is run.

    Args:
        recipe: fingerprint that the state must carry under "recipe".

    Raises:
        TrainingError: the file is damaged, or belongs to another recipe.
    """
    if not path.exists():
        return None
    content = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            broken = archive.testzip()  # torch does not compare the checksums itself
        if broken is not None:
            raise ValueError(f"wrong checksum of {broken}")
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive or pickle can raise almost anything
        raise TrainingError(f"{path} is not a readable checkpoint ({error!r}); delete it to start afresh") from error
    if not isinstance(state, dict) or state.get("recipe") != recipe:
        raise foreign(path)
    return State(path, state)


def foreign(path: Path, differences: Sequence[str] = (), hint: str = "") -> TrainingError:
    """What is raised where the state at `path` is another training's.

    Args:
        differences: in what that differs, where it is known.
        hint: what can be done beside training elsewhere or afresh.
    """
    shown = [*differences[:SHOWN], *([f"{len(differences) - SHOWN} more"] if len(differences) > SHOWN else [])]
    told = f": {'; '.join(shown)}" if shown else ", its superclasses included"
    ways = ["train into another folder", "delete it to start afresh", *([hint] if hint else [])]
    return TrainingError(f"{path} belongs to another recipe or data set{told}; {', or '.join(ways)}")
