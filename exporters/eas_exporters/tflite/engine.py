"""The LiteRT engine: the graph as a float32 .tflite file in memory, run by XNNPACK."""

from __future__ import annotations

import numpy as np

from eas_exporters.tflite.file import assemble
from eas_exporters.tflite.interpreter import Interpreter, interpreter_module
from eas_exporters.tflite.lowering import lower
from eas_sdk.engine.checks import check_graph, check_images, check_threads
from eas_sdk.engine.protocol import Array
from eas_sdk.graph.cost import output_shape
from eas_sdk.graph.nodes import Graph


class LiteRTEngine:
    """Runs graphs with ai-edge-litert, or with tflite-runtime before it.

    Raises:
        MissingDependency: neither is installed.
    """

    name = "litert"

    def __init__(self) -> None:
        interpreter_module()

    def compile(self, graph: Graph, *, threads: int = 1) -> LiteRTProgram:
        """See `Engine.compile`."""
        check_threads(threads)
        check_graph(graph)
        return LiteRTProgram(graph, threads)


class LiteRTProgram:
    """A compiled graph. Images are run one by one; calls from several threads take turns."""

    def __init__(self, graph: Graph, threads: int) -> None:
        parts = assemble({"main": lower(graph, uint8_input=False, softmax=False)}, description="eas_sdk")
        self._interpreter = Interpreter(b"".join(parts), threads=threads)
        self._input_shape, self._output_shape = graph.input_shape, output_shape(graph.nodes[-1])

    def run(self, images: Array) -> Array:
        """See `Program.run`."""
        check_images(images, self._input_shape)
        if len(images) == 0:
            return np.empty((0, *self._output_shape), np.float32)
        return self._interpreter.run(images)
