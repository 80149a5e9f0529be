"""Programs that forked children may run as well."""

from __future__ import annotations

from collections.abc import Callable

from eas_sdk.engine.numpy_engine import NumpyProgram
from eas_sdk.engine.protocol import Array, Program
from eas_sdk.engine.registry import compile_with, load_engine
from eas_sdk.graph.nodes import Graph
from eas_sdk.processes import renew_in_children


def compile_graph(graph: Graph, engine: str = "numpy", threads: int = 1) -> tuple[str, Program]:
    """A graph as an engine runs it, in this process and in those that are forked from it, and that engine's name; see
    `compile_with`."""
    name, made = compile_with(engine, graph, threads=threads)
    if isinstance(made, NumpyProgram):  # holds neither locks nor threads
        return name, made
    return name, ForkedProgram(made, lambda: load_engine(name).compile(graph, threads=threads))


class ForkedProgram:
    """A program whose runtime has locks and threads, which are lost in a child: there it is compiled anew.

    Args:
        program: of this process.
        compile: makes it again.
    """

    def __init__(self, program: Program, compile: Callable[[], Program]) -> None:
        self._program: Program | None = program
        self._compile, self._left = compile, [program]
        renew_in_children(self)

    def renew(self) -> None:
        """See `eas_sdk.processes.Renewed`. The parent's stays in `_left`: its end might wait for threads."""
        self._program = None

    def run(self, images: Array) -> Array:
        """See `Program.run`."""
        program = self._program
        if program is None:
            program = self._program = self._compile()
        return program.run(images)
