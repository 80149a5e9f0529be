"""What NSE's rounds leave for people: which operations were searched and left, and which networks were judged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eas_sdk.bank.atomic import write_atomically
from eas_sdk.errors import ArchitectureError, TrainingError
from eas_sdk.space.architecture import Architecture, Block
from eas_train.nse.retrieval import Judged

HISTORY = "rounds.json"
Blocks = tuple[Block, ...]


@dataclass(frozen=True)
class Round:
    """One round.

    Attributes:
        searched: the blocks of each cell at its start; alive: those that were left at its end.
        front: the best networks, by ascending cost; judged: all that were looked at.
    """

    searched: tuple[Blocks, ...]
    alive: tuple[Blocks, ...]
    front: tuple[Judged, ...]
    judged: tuple[Judged, ...]


def write_history(folder: Path, unit: str, rounds: Sequence[Round]) -> None:
    """Keep rounds; `unit` is that of their costs."""
    history = {"unit": unit, "rounds": [_to_json(one) for one in rounds]}
    write_atomically(folder / HISTORY, [json.dumps(history).encode()])


def read_history(folder: Path) -> tuple[str, list[Round]]:
    """What `write_history` kept.

    Raises:
        TrainingError: the file is missing or damaged.
    """
    path = folder / HISTORY
    try:
        history = json.loads(path.read_bytes())
        return str(history["unit"]), [_from_json(one) for one in history["rounds"]]
    except FileNotFoundError:
        raise TrainingError(f"a training by NSE leaves its rounds in {HISTORY}; {folder} has no such file") from None
    except (OSError, ValueError, KeyError, TypeError, ArchitectureError) as error:
        raise TrainingError(f"{path} is damaged ({error!r}); it holds the rounds of NSE") from error


def _to_json(one: Round) -> dict[str, Any]:
    def rows(judged: Sequence[Judged]) -> list[list[object]]:
        return [[str(j.architecture), round(j.cost, 6), j.accuracy] for j in judged]

    def texts(cells: Sequence[Blocks]) -> list[list[str]]:
        return [[str(block) for block in blocks] for blocks in cells]

    return {
        "searched": texts(one.searched),
        "alive": texts(one.alive),
        "front": rows(one.front),
        "judged": rows(one.judged),
    }


def _from_json(data: dict[str, Any]) -> Round:
    def judged(rows: list[tuple[str, float, float]]) -> tuple[Judged, ...]:
        return tuple(Judged(Architecture.parse(a), float(cost), float(accuracy)) for a, cost, accuracy in rows)

    def blocks(cells: list[list[str]]) -> tuple[Blocks, ...]:
        return tuple(tuple(map(Block.parse, texts)) for texts in cells)

    return Round(blocks(data["searched"]), blocks(data["alive"]), judged(data["front"]), judged(data["judged"]))
