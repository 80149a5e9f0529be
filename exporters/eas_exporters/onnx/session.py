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
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no other base
            raise ExportError(f"an .onnx file is a complete model that onnxruntime can run; got {error}") from error
        (source,), (result,) = self._session.get_inputs(), self._session.get_outputs()
        self._input, self._output = source.name, result.name
        self._batch = source.shape[0] if isinstance(source.shape[0], int) else None

    def run(self, images: npt.NDArray[np.generic]) -> Array:
        """The output for images of the input's own type and layout, N >= 1."""
        together = self._batch or TOGETHER
        parts = [self._part(images[start : start + together]) for start in range(0, len(images), together)]
        return np.concatenate(parts)

    def _part(self, images: npt.NDArray[np.generic]) -> Array:
        lacking = 0 if self._batch is None else self._batch - len(images)
        given = np.pad(images, ((0, lacking), (0, 0), (0, 0), (0, 0))) if lacking else images
        output: Array = self._session.run([self._output], {self._input: given})[0]
        return output[: len(images)]
