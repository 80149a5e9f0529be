"""Gates by their definition, one choice after the other: what the arrays in `eas_sdk.space.elastic.gates` compute."""

from __future__ import annotations

from dataclasses import dataclass

from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic.space import ElasticSpace


@dataclass(frozen=True)
class Choice:
    """One choice of a space.

    Attributes:
        sort: "depth", "kernel", "expansion" or "size".
        unit, block: whose; a depth has no block, a size neither.
        options: what there is to choose, ascending.
    """

    sort: str
    unit: int | None
    block: int | None
    options: tuple[float, ...]


def choices(space: ElasticSpace) -> list[Choice]:
    """All choices in the order of the columns."""
    found = [Choice("depth", u, None, unit.depths) for u, unit in enumerate(space.units)]
    for sort in ("kernel", "expansion"):
        for u, unit in enumerate(space.units):
            found += [Choice(sort, u, b, getattr(unit, f"{sort}s")) for b in range(unit.depths[-1])]
    return [*found, Choice("size", None, None, space.input_sizes)]


def gate_owners(space: ElasticSpace) -> list[tuple[int, int]]:
    """Of each gate, the column of its choice, and its place in that."""
    return [(c, i) for c, choice in enumerate(choices(space)) for i in range(len(choice.options) - 1)]


def network(space: ElasticSpace, gates: list[bool]) -> Architecture:
    """The architecture of gates of which every one counts whose predecessors of the same choice are on."""
    chosen: dict[tuple[str, int | None, int | None], float] = {}
    rest = list(gates)
    for choice in choices(space):
        mine, rest = rest[: len(choice.options) - 1], rest[len(choice.options) - 1 :]
        index = 0
        while index < len(mine) and mine[index]:
            index += 1
        chosen[choice.sort, choice.unit, choice.block] = choice.options[index]
    assert not rest
    units = tuple(
        tuple(
            Block(int(chosen["kernel", u, b]), chosen["expansion", u, b]) for b in range(int(chosen["depth", u, None]))
        )
        for u in range(len(space.units))
    )
    return Architecture(units, int(chosen["size", None, None]) if len(space.input_sizes) > 1 else None)


def effective(space: ElasticSpace, architecture: Architecture) -> list[bool]:
    """The gates of an architecture; those of blocks that are not there are off."""
    on: list[bool] = []
    for choice in choices(space):
        value: float
        if choice.sort == "size":
            value = space.input_sizes[-1] if architecture.input_size is None else architecture.input_size
        else:
            assert choice.unit is not None
            blocks = architecture.units[choice.unit]
            if choice.block is None:
                value = len(blocks)
            elif choice.block < len(blocks):
                value = getattr(blocks[choice.block], choice.sort)
            else:
                value = choice.options[0]
        on += [value >= option for option in choice.options[1:]]
    return on
