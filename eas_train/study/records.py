"""What a study keeps of its work: small JSON files, from which its figures are made again without any weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from eas_sdk.bank.atomic import write_atomically
from eas_sdk.errors import TrainingError

Kind = TypeVar("Kind")


def keep(record: Any, path: Path) -> None:
    """Write a dataclass of JSON values, atomically."""
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, [json.dumps(vars(record)).encode()])


def kept(kind: type[Kind], path: Path) -> Kind | None:
    """The record of `path`, or None if there is none.

    Raises:
        TrainingError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        return kind(**json.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise TrainingError(f"{path} is damaged ({error!r}); delete it to make it afresh") from error
