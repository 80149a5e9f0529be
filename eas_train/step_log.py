"""Logs of a training: a line of JSON for a step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def append(path: Path, step: int, facts: Mapping[str, Any]) -> None:
    """Add what is known of a step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps({"step": step, **facts}) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """The lines by step; of steps that a stopped training took again the last. Lines that were cut are left out."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return []
    found = {}
    for line in lines:
        try:
            entry = json.loads(line)
            found[int(entry["step"])] = entry
        except (ValueError, KeyError, TypeError):
            continue
    return [found[step] for step in sorted(found)]
