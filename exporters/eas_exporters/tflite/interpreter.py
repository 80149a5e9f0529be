"""Running .tflite files: ai-edge-litert, or tflite-runtime before it, behind the two calls that are needed."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eas_sdk.engine.protocol import Array
from eas_sdk.errors import ExportError, MissingDependency

PACKAGES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")


def interpreter_module() -> Any:
    """The module of the first package that is installed.

    Raises:
        MissingDependency: none is.
    """
    for name in PACKAGES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise MissingDependency(
        "running a .tflite file needs ai-edge-litert (or tflite-runtime), and neither is installed", "litert"
    )


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn what LiteRT raises, for files cut short and for operators that it lacks, into an error of ours."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        text = " ".join(str(error).split())
        raise ExportError(
            f"a .tflite file is a complete model that LiteRT can run; this installation's says: {text}"
        ) from error


class Interpreter:
    """One subgraph of a model, for one image at a time; a lock lets threads take turns.

    Attributes:
        input_shape: 1 x S x S x 3.

    Raises:
        MissingDependency: neither package is installed.
        ExportError: the file is no model that LiteRT can run, or has no such signature; so does `run`.
    """

    def __init__(self, model: Path | bytes, *, signature: str | None = None, threads: int = 1) -> None:
        module = interpreter_module()
        content = model if isinstance(model, bytes) else model.read_bytes()  # LiteRT opens no path that is not UTF-8
        self._lock = threading.Lock()
        with _told():
            self._interpreter = module.Interpreter(model_content=content, num_threads=threads)
            if signature is None:
                self._interpreter.allocate_tensors()
                self._input = self._interpreter.get_input_details()[0]
                self._output = self._interpreter.get_output_details()[0]
                self._runner = None
                details = self._input
            else:
                self._runner = self._interpreter.get_signature_runner(signature)
                ((self._input_name, details),) = self._runner.get_input_details().items()
                (self._output_name,) = self._runner.get_output_details()
            self.input_shape: tuple[int, ...] = tuple(map(int, details["shape"]))

    def run(self, images: npt.NDArray[np.generic]) -> Array:
        """N x labels for images N x S x S x 3 of the input's own type."""
        with self._lock, _told():
            return np.stack([self._one(image[np.newaxis]) for image in images])

    def _one(self, image: npt.NDArray[np.generic]) -> Array:
        output: Array
        if self._runner is not None:
            output = self._runner(**{self._input_name: image})[self._output_name][0]
            return output
        self._interpreter.set_tensor(self._input["index"], image)
        self._interpreter.invoke()
        output = self._interpreter.get_tensor(self._output["index"])[0]
        return output
