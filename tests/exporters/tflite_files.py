"""TFLite files in memory for the tests: made of a graph, run, compared with the numpy engine, and read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")

from ai_edge_litert import schema_py_generated as schema

from eas_exporters.tflite.exporter import TFLiteExporter, file_parts
from eas_exporters.tflite.interpreter import Interpreter
from eas_sdk.engine.numpy_engine import NumpyEngine
from eas_sdk.export import Options
from eas_sdk.graph.nodes import Graph
from eas_sdk.images import as_float_batch

PRECISIONS = TFLiteExporter.precisions
ERROR = {"float32": 1e-5, "float16": 5e-3, "dynamic": 0.08, "int8": 0.2}
"""Greatest difference of logits from the numpy engine, as a part of the greatest logit."""


def options(precision: str = "float32", *, size: int = 64, **changes: object) -> Options:
    images = np.random.default_rng(1).integers(0, 256, (8, size, size, 3), np.uint8)
    made = Options(precision, "uint8", "logits", images, "a test", ("drawn by nobody",))
    return replace(made, **changes)


def content(graph: Graph, chosen: Options) -> bytes:
    return b"".join(file_parts({"serving_default": graph}, chosen))


def outputs(file: bytes, images: np.ndarray, signature: str | None = None) -> np.ndarray:
    return Interpreter(file, signature=signature).run(images)


def error(graph: Graph, chosen: Options) -> float:
    """Of the file's logits, as a part of the greatest."""
    batch = as_float_batch(chosen.calibration, graph.input_size)
    expected = NumpyEngine().compile(graph).run(batch)
    given = np.rint(batch * 255).astype(np.uint8) if chosen.input == "uint8" else batch
    return float(np.abs(outputs(content(graph, chosen), given) - expected).max() / np.abs(expected).max())


def operators(file: bytes) -> list[str]:
    """The names of a file's operators, in order."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(file))
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    return [names[model.operatorCodes[o.opcodeIndex].builtinCode] for o in model.subgraphs[0].operators]
