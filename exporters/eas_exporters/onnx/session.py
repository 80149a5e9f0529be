"""Running .onnx files with onnxruntime, on the processor."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eas_exporters.onnx.packages import require
from eas_sdk.engine.protocol import Array
from eas_sdk.errors import ExportError

TOGETHER = 16
"""Most images that are run together: bounds the memory of a large batch."""

FATAL = 4
"""Severity from which onnxruntime logs: its errors are raised as well."""


class Session:
    """A loaded model with one input and one output. Threads may share it: onnxruntime's sessions are made for that.

    Raises:
        MissingDependency: onnxruntime is not installed.
        ExportError: the bytes are no model that onnxruntime can run.
    """

    def __init__(self, model: bytes, *, threads: int = 1) -> None:
        onnxruntime = require("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = FATAL
        # Sums of int8 products are exact on phones; x86 without VNNI saturates them in 16 bits unless asked not to.
        options.add_session_config_entry("session.x64quantprecision", "1")
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no other base
            raise ExportError(f"an .onnx file is a complete model that onnxruntime can run; got {error}") from error
        (source,), (result,) = self._session.get_inputs(), self._session.get_outputs()
        self._input, self._output = source.name, result.name

    def run(self, images: npt.NDArray[np.generic]) -> Array:
        """The output for images N x S x S x 3 of the input's own type, N >= 1."""
        parts = [images[start : start + TOGETHER] for start in range(0, len(images), TOGETHER)]
        return np.concatenate([self._session.run([self._output], {self._input: part})[0] for part in parts])
