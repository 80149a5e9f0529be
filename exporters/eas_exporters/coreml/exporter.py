"""The Core ML exporter: a lowering, a precision, a package."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from eas_exporters.coreml.library import coremltools
from eas_exporters.coreml.package import build, is_package, sync
from eas_exporters.coreml.precision import PRECISIONS
from eas_exporters.coreml.predictor import Predictor
from eas_sdk.engine.protocol import Array
from eas_sdk.export import Layout, Options
from eas_sdk.graph.nodes import Graph


class CoreMLExporter:
    """Writes .mlpackage folders on any system that has coremltools (Linux, macOS); runs them on macOS.

    Packages take one image at a time: for "uint8" an RGB image of S x S pixels, as Vision and the camera give it; for
    "float32" a multi-array [1, S, S, 3] in 0 to 1. They give `classLabel` and `classLabel_probs` for "probabilities",
    `logits` [1, labels] otherwise.
    """

    name = "Core ML"
    precisions = PRECISIONS
    calibrated: tuple[str, ...] = ()
    layouts: tuple[Layout, ...] = ("NHWC",)
    most_images = 1

    def replaces(self, path: Path) -> bool:
        """See `Exporter.replaces`."""
        return is_package(path)

    def write(self, networks: Mapping[str, Graph], path: Path, options: Options) -> None:
        """See `Exporter.write`; on failure nothing is left at `path` or beside it.

        Raises:
            MissingDependency: coremltools is not installed.
        """
        with coremltools() as ct, tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as folder:
            package = build(ct, networks, Path(folder), options)
            sync(package)
            os.replace(package, path)

    def run(self, path: Path, signature: str, images: Array, options: Options) -> Array:
        """See `Exporter.run`."""
        return Predictor(path, signature).run(images)
