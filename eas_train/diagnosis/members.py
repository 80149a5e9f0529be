"""The members of a space that are compared: the ends, the middle, and one choice at a time."""

from __future__ import annotations

from collections.abc import Sequence

from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.protocol import Space
from eas_train.supernet.recipe import T

KINDS = ("depths", "kernels", "expansions", "input_sizes")
LETTERS = {"depths": "d", "kernels": "k", "expansions": "e", "input_sizes": "px"}
NAMES = {"depths": "depth", "kernels": "kernel", "expansions": "ratio", "input_sizes": "input size"}


def uniform(space: ElasticSpace, **at: float) -> Architecture:
    """The member in which every unit takes the same of its options.

    Args:
        at: kind of choice -> from 0, the least, to 1, the most; 1 by default. One beyond what a slot of the largest
            network has is cut to that.
    """
    units = []
    for unit, most in zip(space.units, space.largest.units, strict=True):
        depth = _option(unit.depths, len(most), at.get("depths", 1.0))
        units.append(
            tuple(
                Block(
                    _option(unit.kernels, block.kernel, at.get("kernels", 1.0)),
                    _option(unit.expansions, block.expansion, at.get("expansions", 1.0)),
                )
                for block in most[:depth]
            )
        )
    most_px = space.largest.input_size
    size = None if most_px is None else _option(space.input_sizes, most_px, at.get("input_sizes", 1.0))
    return Architecture(tuple(units), size)


def ends_and_middle(space: Space) -> dict[str, Architecture]:
    """The smallest, the middle and the largest member of an elastic space; of another the ends."""
    if not isinstance(space, ElasticSpace):
        return {"smallest": space.smallest, "largest": space.largest}
    return {"smallest": space.smallest, "middle": uniform(space, **dict.fromkeys(KINDS, 0.5)), "largest": space.largest}


def one_choice_at_a_time(space: Space) -> dict[tuple[str, str], Architecture]:
    """(kind, label) -> member with that choice everywhere and the most of all else, from the least on; of kinds that
    have a choice. Of each the last is the largest member. Empty where the space is not elastic."""
    made: dict[tuple[str, str], Architecture] = {}
    if not isinstance(space, ElasticSpace):
        return made
    for kind in KINDS:
        options = _options(space, kind)
        for i, option in enumerate(options):
            if len(options) > 1:
                member = uniform(space, **{kind: i / (len(options) - 1)})
                made[kind, f"{LETTERS[kind]}{option:g}" if kind != "input_sizes" else f"{option} px"] = member
    return made


def _options(space: ElasticSpace, kind: str) -> Sequence[float]:
    """What a kind of choice has, by the unit that has most of it."""
    if kind == "input_sizes":
        return space.input_sizes
    units: list[Sequence[float]] = [getattr(unit, kind) for unit in space.units]
    return max(units, key=len)


def _option(options: Sequence[T], most: T, at: float) -> T:
    within = [option for option in options if option <= most]
    return within[min(round(at * (len(options) - 1)), len(within) - 1)]
