"""The engines by name, loaded when asked for."""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING

from eas_sdk.engine.protocol import Engine, Program
from eas_sdk.errors import InputError, closest
from eas_sdk.graph.nodes import Graph

if TYPE_CHECKING:
    from eas_sdk.engine.auto import AutoEngine

ENGINES: dict[str, str] = {
    "numpy": "eas_sdk.engine.numpy_engine:NumpyEngine",
    "litert": "eas_exporters.tflite.engine:LiteRTEngine",
    "coreml": "eas_exporters.coreml.engine:CoreMLEngine",
    "onnxruntime": "eas_exporters.onnx.engine:OnnxRuntimeEngine",
    "auto": "eas_sdk.engine.registry:fastest_engine",
}
"""Engine name -> "module:function" that makes the engine when called without arguments."""


def load_engine(name: str = "numpy") -> Engine:
    """The engine called `name`.

    Raises:
        InputError: no engine has that name.
        MissingDependency: the engine's package is not installed.
    """
    if name not in ENGINES:
        raise InputError(f"an engine must be one of the registered names, got {name!r}; {closest(name, ENGINES)}")
    module, _, function = ENGINES[name].partition(":")
    engine: Engine = getattr(importlib.import_module(module), function)()
    return engine


def compile_with(name: str, graph: Graph, *, threads: int = 1) -> tuple[str, Program]:
    """A graph as the engine called `name` runs it, and that engine's name: "auto" is the one that it chose.

    Raises:
        InputError, MissingDependency: see `load_engine`.
    """
    if name == "auto":
        return fastest_engine().choose(graph, threads=threads)
    return name, load_engine(name).compile(graph, threads=threads)


def fastest_engine() -> AutoEngine:
    """The engine "auto", over all others."""
    from eas_sdk.engine.auto import AutoEngine  # what it measures and remembers with takes time to import

    return AutoEngine({name: functools.partial(load_engine, name) for name in ENGINES if name != "auto"})
