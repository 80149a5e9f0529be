"""What a search space is: which networks there are, as data, as integers and as nodes, and what they are made of.

Selectors, budgets, latency tables, slicing and training know a space by this protocol alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from eas_sdk.graph.nodes import Linear, Node
from eas_sdk.space.architecture import Architecture

IntArray: TypeAlias = npt.NDArray[np.integer]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
Numbers: TypeAlias = npt.NDArray[np.int64] | npt.NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """Something that a network may have, and that costs the same in every network that has it.

    Attributes:
        nodes: they read one tensor from outside, or several of one shape.
        kept: which of the tensors from outside stay alive to the end.
        held_bytes: float32 bytes of other activations that are alive at the same time.
    """

    nodes: tuple[Node, ...]
    kept: tuple[str, ...] = ()
    held_bytes: int = 0


def size_of(space: Space, architecture: Architecture) -> int:
    """Side of the square input image of a member, in pixels."""
    return space.input_sizes[-1] if architecture.input_size is None else architecture.input_size


class Space(Protocol):
    """A search space. It is frozen and hashable.

    Many networks at once are rows of choices, [N, C] int8: column c holds an index below `options[c]`. Not every row is
    a member.

    Attributes:
        input_sizes: sides of the square input image that there are to choose from, in pixels, ascending.
        epsilon: what batch-norms add to their variances.
    """

    @property
    def input_sizes(self) -> tuple[int, ...]: ...

    @property
    def epsilon(self) -> float: ...

    def __hash__(self) -> int: ...

    @property
    def smallest(self) -> Architecture:
        """The member of fewest multiply-adds; where choices nest, no other costs less by any table."""
        ...

    @property
    def largest(self) -> Architecture:
        """The member of most multiply-adds."""
        ...

    @property
    def nested(self) -> bool:
        """Whether smaller choices are parts of larger ones: the largest member then costs most by every table."""
        ...

    @property
    def options(self) -> tuple[int, ...]:
        """How many options each column of choices has."""
        ...

    @property
    def features(self) -> int:
        """Length of a feature vector."""
        ...

    @property
    def random_numbers(self) -> int:
        """How many uniform random numbers `members` takes for one member."""
        ...

    def validate(self, architecture: Architecture) -> None:
        """Check that `architecture` is a member.

        Raises:
            ArchitectureError: it is not; the message names the first choice that is not allowed.
        """
        ...

    def structure(self, architecture: Architecture, classes: int, *, input_size: int | None = None) -> tuple[Node, ...]:
        """The nodes of one sub-network in execution order; the last is the classifier's Linear.

        Args:
            input_size: side of the images where it is not the architecture's own: training on small ones.

        Raises:
            ArchitectureError: `architecture` is not a member.
        """
        ...

    def bank(self, classes: int) -> tuple[Node, ...]:
        """Every node that has weights in a bank, as large as it gets. No network need hold all of them."""
        ...

    def classifier(self, classes: int) -> Linear:
        """The classifier of so many classes, which is all that does not depend on the architecture."""
        ...

    def encode(self, architectures: Sequence[Architecture]) -> IntArray:
        """Choices [M, C] int8.

        Raises:
            ArchitectureError: one of them is made of other choices than the space's.
        """
        ...

    def decode(self, row: IntArray) -> Architecture:
        """The architecture of one row of choices."""
        ...

    def allowed(self, choices: IntArray) -> BoolArray:
        """[...]: which rows of choices [..., C] are members."""
        ...

    def members(self, uniform: npt.NDArray[np.float64]) -> IntArray:
        """Choices [N, C] of random members, so that all costs occur, from numbers [N, random_numbers] in [0, 1)."""
        ...

    def features_of(self, choices: IntArray) -> BoolArray:
        """[..., features]: what the statistics of batch-norms are a linear function of."""
        ...

    def features_among(self, wider: Space) -> list[int]:
        """Positions of its features among those of a space that it was narrowed from."""
        ...

    def scope(self, name: str) -> tuple[list[int], list[int]]:
        """Which features can change a node's statistics: those of its own block, and those of everything before it."""
        ...

    def parts(self, choices: IntArray) -> IntArray:
        """[..., P]: the parts of each network but the classifier, as positions in `every_part` from 1; 0 is none."""
        ...

    def every_part(self) -> Iterator[Part]:
        """Every part that a network may have. Parts but those that read the image read the tensor "source"."""
        ...

    def monotonic(self, costs: Numbers) -> Numbers:
        """Costs [1 + parts], the first 0, raised until no part costs less than a smaller one in its place."""
        ...

    def covering(self) -> list[Architecture]:
        """A few members that together have everything in the bank."""
        ...

    def narrowed(self, architectures: Sequence[Architecture]) -> Space:
        """The smallest space of this form that has these members."""
        ...

    def in_words(self) -> str:
        """What there is to choose, for people."""
        ...

    def to_json(self) -> dict[str, object]:
        """A JSON-able form, whose "kind" names the form (see registry.py)."""
        ...
