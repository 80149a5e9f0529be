"""The Core ML engine: the graph as a float32 package in a temporary folder, run by macOS."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from pathlib import Path

import numpy as np

from eas_exporters.coreml.library import coremltools
from eas_exporters.coreml.package import build
from eas_exporters.coreml.predictor import Predictor, check_system
from eas_sdk.engine.checks import check_graph, check_images, check_threads
from eas_sdk.engine.protocol import Array
from eas_sdk.export import SIGNATURE, Options
from eas_sdk.graph.cost import output_shape
from eas_sdk.graph.nodes import Graph

OPTIONS = Options("float32", "float32", "logits", None, "eas_sdk", ())


class CoreMLEngine:
    """Runs graphs with Core ML on a Mac's processor. Core ML decides itself how many threads it uses.

    Raises:
        MissingDependency: not macOS, or coremltools is not installed.
    """

    name = "coreml"

    def __init__(self) -> None:
        check_system()
        with coremltools():
            pass

    def compile(self, graph: Graph, *, threads: int = 1) -> CoreMLProgram:
        """See `Engine.compile`."""
        check_threads(threads)
        check_graph(graph)
        return CoreMLProgram(graph)


class CoreMLProgram:
    """A compiled graph. Images are run one by one; calls from several threads take turns."""

    def __init__(self, graph: Graph) -> None:
        folder = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        with coremltools() as ct:
            package = build(ct, {SIGNATURE: graph}, Path(folder), OPTIONS)
        self._predictor = Predictor(package, SIGNATURE)
        self._lock = threading.Lock()
        self._input_shape, self._output_shape = graph.input_shape, output_shape(graph.nodes[-1])

    def run(self, images: Array) -> Array:
        """See `Program.run`."""
        check_images(images, self._input_shape)
        if len(images) == 0:
            return np.empty((0, *self._output_shape), np.float32)
        with self._lock:
            return self._predictor.run(images)
