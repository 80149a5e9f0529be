"""The onnxruntime engine: the graph as a float32 .onnx file in memory."""

from __future__ import annotations

import numpy as np

from eas_exporters.onnx.file import assemble
from eas_exporters.onnx.lowering import lower
from eas_exporters.onnx.packages import require
from eas_exporters.onnx.session import Session
from eas_sdk.engine.checks import check_graph, check_images, check_threads
from eas_sdk.engine.protocol import Array
from eas_sdk.graph.cost import output_shape
from eas_sdk.graph.nodes import Graph


class OnnxRuntimeEngine:
    """Runs graphs with onnxruntime.

    Raises:
        MissingDependency: onnx or onnxruntime is not installed.
    """

    name = "onnxruntime"

    def __init__(self) -> None:
        require("onnx")
        require("onnxruntime")

    def compile(self, graph: Graph, *, threads: int = 1) -> OnnxRuntimeProgram:
        """See `Engine.compile`."""
        check_threads(threads)
        check_graph(graph)
        return OnnxRuntimeProgram(graph, threads)


class OnnxRuntimeProgram:
    """A compiled graph."""

    def __init__(self, graph: Graph, threads: int) -> None:
        program = lower(graph, uint8_input=False, softmax=False, whole=True)
        self._input_shape, self._output_shape = graph.input_shape, output_shape(graph.nodes[-1])
        self._session = Session(assemble(program, title="eas_sdk", metadata={}), threads=threads)

    def run(self, images: Array) -> Array:
        """See `Program.run`."""
        check_images(images, self._input_shape)
        if len(images) == 0:
            return np.empty((0, *self._output_shape), np.float32)
        return self._session.run(images)
