"""The Core ML exporter: a lowering, a precision, a package."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from eas_exporters.coreml.library import coremltools
from eas_exporters.coreml.package import build, is_package, sync
from eas_exporters.coreml.precision import PRECISIONS
from eas_exporters.coreml.predictor import Predictor
from eas_sdk.bank.atomic import CANNOT, making
from eas_sdk.engine.protocol import Array
from eas_sdk.errors import EasError, InputError
from eas_sdk.export import Layout, Options
from eas_sdk.graph.nodes import Graph
from eas_sdk.names import is_utf8


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
            InputError: a folder's name is no text in UTF-8, which coremltools needs.
            MissingDependency: coremltools is not installed.
            OSError: the package cannot be written, or what coremltools makes of it in the folder of temporary files.
        """
        if odd := [part for part in path.parts if not is_utf8(part)]:
            raise InputError(f"coremltools writes into folders whose names are text in UTF-8; got {odd[0]!r}")
        try:
            with coremltools() as ct, making(path.parent, path) as folder:
                package = build(ct, networks, folder, options)
                sync(package)
                os.replace(package, path)
        except (OSError, RuntimeError) as error:
            if isinstance(error, EasError) or getattr(error, "filename", None) == str(path):
                raise
            raise _cannot_write(path, error) from error

    def run(self, path: Path, signature: str, images: Array, options: Options) -> Array:
        """See `Exporter.run`."""
        return Predictor(path, signature).run(images)


def _cannot_write(path: Path, error: OSError | RuntimeError) -> OSError:
    """What coremltools raises where a file cannot be written, with the system's number if it says any, and one path."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (
        told := re.search(r"\[Errno (\d+)\]", str(error))
    ):  # shutil has one for each of several files
        number = int(told[1])
    said = os.strerror(number) if number else re.sub(r"( at path:)?\s+\[?/\S+", "", str(error).partition("\n")[0])
    where = tempfile.gettempdir()
    return OSError(number or errno.EIO, f"{CANNOT}coremltools, which writes in {where} first, says: {said}", str(path))
