"""Running packages with Core ML itself, which macOS alone has."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np

from eas_exporters.coreml.library import coremltools
from eas_exporters.coreml.lowering import LOGITS
from eas_exporters.coreml.package import LABELS, read_model
from eas_sdk.engine.protocol import Array
from eas_sdk.errors import ExportError, MissingDependency


def check_system() -> None:
    """Check that there is a Core ML.

    Raises:
        MissingDependency: there is none.
    """
    if sys.platform != "darwin":
        raise MissingDependency(f"Core ML runs on macOS only, and this is {platform.system() or sys.platform}")


class Predictor:
    """One function of a package, on the processor (the same numbers on every Mac), one image at a time.

    Args:
        signature: name of the function; a package with one network has but one.

    Raises:
        MissingDependency: not macOS, or coremltools is not installed.
        ExportError: Core ML does not accept the package.
    """

    def __init__(self, path: Path, signature: str) -> None:
        check_system()
        with coremltools() as ct:
            spec = read_model(ct, path)
            functions = [function.name for function in spec.description.functions]
            self._model = ct.models.MLModel(
                str(path),
                function_name=signature if signature in functions else None,
                compute_units=ct.ComputeUnit.CPU_ONLY,
            )
        self._labels: list[str] = json.loads(spec.description.metadata.userDefined[LABELS])
        description = next((f for f in spec.description.functions if f.name == signature), spec.description)
        self._pixels = description.input[0].type.WhichOneof("Type") == "imageType"
        self._probabilities: str = description.predictedProbabilitiesName

    def run(self, images: Array) -> Array:
        """N x labels for float32 images N x S x S x 3 in [0, 1].

        Raises:
            MissingDependency: the package takes images, and Pillow is not installed.
            ExportError: Core ML does not run the package.
        """
        inputs = [{"image": self._image(image)} for image in images]
        try:
            outputs = [self._model.predict(given) for given in inputs]
        except Exception as error:  # coremltools raises no narrower class here
            raise ExportError(f"a package that was written runs in Core ML; this one fails: {error}") from error
        return np.concatenate([self._output(output) for output in outputs])

    def _image(self, image: Array) -> Any:
        if not self._pixels:
            return image[np.newaxis]
        try:
            from PIL import Image
        except ImportError as error:
            raise MissingDependency("Core ML takes images through Pillow, which is not installed", "coreml") from error
        return Image.fromarray(np.rint(image * 255).astype(np.uint8))

    def _output(self, output: dict[str, Any]) -> Array:
        if not self._probabilities:
            return np.asarray(output[LOGITS], np.float32)
        probabilities = output[self._probabilities]
        return np.array([[probabilities[label] for label in self._labels]], np.float32)
