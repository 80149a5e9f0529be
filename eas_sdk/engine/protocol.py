"""What every engine offers: a graph goes in, a program that maps images to logits comes out."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from eas_sdk.graph.nodes import Graph

Array: TypeAlias = npt.NDArray[np.float32]


class Program(Protocol):
    """A network that is ready to run. Safe to call from several threads at once."""

    def run(self, images: Array) -> Array:
        """Logits of a batch of images.

        Args:
            images: float32, N x S x S x 3, RGB in [0, 1]; S is the graph's input size, N may be 0.

        Returns:
            A new float32 array, N x classes, in the order of the graph's labels. A graph that ends in a feature map
            instead of a Linear gives the map, N x H x W x C.

        Raises:
            ImageError: `images` has another type, shape or dtype, or values outside [0, 1] (NaN included).
        """
        ...


class Engine(Protocol):
    """Turns graphs into programs."""

    @property
    def name(self) -> str:
        """The engine's name in the registry."""
        ...

    def compile(self, graph: Graph, *, threads: int = 1) -> Program:
        """Check `graph` and prepare it to run.

        Args:
            threads: most threads that one `run` may use.

        Raises:
            InputError: the graph contradicts itself or its weights, or `threads` is below 1.
        """
        ...
