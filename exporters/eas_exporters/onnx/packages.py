"""The packages that ONNX files need: loaded when they are used."""

from __future__ import annotations

import importlib
import os
from typing import Any

from eas_sdk.errors import MissingDependency


def require(module: str) -> Any:
    """A module of `onnx` or of `onnxruntime`.

    Raises:
        MissingDependency: its package is not installed.
    """
    # onnxruntime looks up a host of its makers and keeps a file of ids in the user's home unless this is set before.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        purpose = "running an .onnx file" if package == "onnxruntime" else "writing an .onnx file"
        raise MissingDependency(f"{purpose} needs {package}, which cannot be imported ({error})", "onnx") from error
