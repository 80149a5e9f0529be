"""Writing networks to files that phones run, and the proof that each file computes what the numpy engine computes.

The format follows the suffix. A file is written under a temporary name, run on real images where its runtime is
installed, compared with the numpy engine, and only then given its name.
"""

from __future__ import annotations

import importlib
import os
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from eas_sdk.engine.protocol import Array
from eas_sdk.errors import ExportError, InputError, MissingDependency, closest
from eas_sdk.graph.nodes import Graph
from eas_sdk.images import Images, as_float_batch

if TYPE_CHECKING:
    from eas_sdk.bank.bundle import Bundle

EXPORTERS: dict[str, str] = {
    ".tflite": "eas_exporters.tflite.exporter:TFLiteExporter",
    ".mlpackage": "eas_exporters.coreml.exporter:CoreMLExporter",
    ".onnx": "eas_exporters.onnx.exporter:OnnxExporter",
}
"""Suffix -> "module:function" that makes the exporter when called without arguments."""

SIGNATURE = "serving_default"
"""Name of the signature of a file that holds one network, as TensorFlow's converter has it."""

InputKind = Literal["uint8", "float32"]
OutputKind = Literal["probabilities", "logits"]


@dataclass(frozen=True)
class Tolerance:
    """How far a file may be from the numpy engine, as measured on the images of the proof.

    Attributes:
        error: greatest difference; of logits, as a part of the greatest logit.
        agreement: least share of images with the same most probable label.
    """

    error: float
    agreement: float


TOLERANCES: Mapping[str, Tolerance] = {
    "float32": Tolerance(1e-4, 0.99),
    "float16": Tolerance(2e-2, 0.95),
    "dynamic": Tolerance(0.2, 0.9),
    "int8": Tolerance(0.35, 0.85),
    "palettized": Tolerance(0.15, 0.85),
}
"""By precision. Rounding can turn the label of an image between two labels, hence less than 1."""


@dataclass(frozen=True, eq=False)
class Options:
    """What a file is to be.

    Attributes:
        precision: see `TOLERANCES`.
        input: "uint8" pixels of 0 to 255, or "float32" in [0, 1]; RGB either way.
        output: "probabilities" or "logits".
        calibration: images for integer arithmetic, which each network has brought to its own size.
        title: name of the model, for people.
        attributions: whose work the weights were trained on.
    """

    precision: str
    input: InputKind
    output: OutputKind
    calibration: Images | None
    title: str
    attributions: tuple[str, ...]


class Network(Protocol):
    """What can be written: a `Model`, for instance."""

    @property
    def graph(self) -> Graph:
        """Nodes and float32 weights."""
        ...

    @property
    def bundle(self) -> Bundle:
        """What it comes from: images to calibrate on, and attributions."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """One name a logit."""
        ...

    @property
    def input_size(self) -> int:
        """Side of its images."""
        ...

    def reference(self, images: Images) -> Array:
        """Logits by the numpy engine."""
        ...


class Exporter(Protocol):
    """One file format."""

    @property
    def name(self) -> str:
        """What people call the format."""
        ...

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions that it can write."""
        ...

    def write(self, networks: Mapping[str, Graph], path: Path, options: Options) -> None:
        """Write networks, each under its signature, into one new file (or folder) at `path`."""
        ...

    def run(self, path: Path, signature: str, images: Array, options: Options) -> Array:
        """The file's own output for float32 images [N, S, S, 3] in [0, 1]: N x labels.

        Raises:
            MissingDependency: what runs the format is not installed, or not made for this system.
        """
        ...


@dataclass(frozen=True)
class Proof:
    """How a file compares with the numpy engine on the same images.

    Attributes:
        images: how many, for each network.
        error: greatest difference; see `Tolerance`.
        agreement: share of images with the same most probable label.
    """

    images: int
    error: float
    agreement: float


@dataclass(frozen=True)
class Export:
    """A file that was written.

    Attributes:
        bytes: its size.
        weight_bytes: size of the float32 weights of its networks.
        proof: None where the file could not be run here; `unproved` then says why.
    """

    path: Path
    format: str
    precision: str
    bytes: int
    weight_bytes: int
    proof: Proof | None
    unproved: str = ""


def export(
    models: Mapping[str, Network],
    path: str | os.PathLike[str],
    *,
    precision: str = "float32",
    input: InputKind = "uint8",
    output: OutputKind = "probabilities",
    calibration: Images | None = None,
) -> Export:
    """Write networks into one file, each under its own signature, and prove it.

    Args:
        models: signature -> network; the first is what runs when no signature is named. Their labels are equal; each
            signature takes images of its own network's size.
        path: file to write; its suffix says the format: .tflite, .onnx or .mlpackage (a folder).
        precision: "float32", "float16" (weights), "int8", "dynamic" (TFLite: int8 weights) or "palettized" (Core ML);
            see docs/exporting.md for what each format has.
        input: "uint8" pixels of 0 to 255, or "float32" in [0, 1]; RGB, N x S x S x 3 either way, S the
            network's `input_size`.
        output: "probabilities" or "logits".
        calibration: images for int8, and for the proof, of any size (see `eas_sdk.images.Images`): each network has
            them brought to its own; by default those that the bundle carries.

    Raises:
        InputError: an unknown suffix, precision, input or output; networks with different labels; no images.
        ImageError: the calibration images are malformed.
        ExportError: the file that was written does not compute what the numpy engine computes; it is removed.
        OSError: the file cannot be written.
    """
    import secrets  # these two would add milliseconds to `import eas_sdk`
    import shutil

    target = Path(path)
    exporter = load_exporter(target.suffix)
    options = _options(models, exporter, precision, input, output, calibration)
    temporary = target.with_name(f".{secrets.token_hex(8)}{target.suffix}")
    proof, unproved = None, ""
    try:
        exporter.write({name: model.graph for name, model in models.items()}, temporary, options)
        try:
            proof = prove(exporter, temporary, models, options)
        except MissingDependency as error:
            unproved = str(error)
        size = _size(temporary)
        if target.is_dir():
            shutil.rmtree(target)
        elif temporary.is_dir():
            target.unlink(missing_ok=True)  # a folder does not replace a file
        os.replace(temporary, target)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)
    weights = sum(w.nbytes for model in models.values() for w in model.graph.weights.values())
    return Export(target, exporter.name, precision, size, weights, proof, unproved)


def load_exporter(suffix: str) -> Exporter:
    """The exporter for files that end in `suffix`.

    Raises:
        InputError: there is none.
    """
    if suffix not in EXPORTERS:
        raise InputError(
            f"the suffix of an exported file is one of {sorted(EXPORTERS)}; got {suffix!r}; "
            f"{closest(suffix, EXPORTERS)}"
        )
    module, _, function = EXPORTERS[suffix].partition(":")
    exporter: Exporter = getattr(importlib.import_module(module), function)()
    return exporter


def prove(exporter: Exporter, path: Path, models: Mapping[str, Network], options: Options) -> Proof:
    """Compare a file with the numpy engine.

    Raises:
        ExportError: it is outside the tolerance of its precision.
        MissingDependency: it cannot be run here.
    """
    errors, agreements, count = [], [], 0
    for name, model in models.items():
        images = proof_images(options, model.input_size)
        count = len(images)
        expected = model.reference(images)
        if options.output == "probabilities":
            expected = np.exp(expected - expected.max(1, keepdims=True))
            expected /= expected.sum(1, keepdims=True)
        found = exporter.run(path, name, images, options)
        if found.shape != expected.shape or not np.isfinite(found).all():
            raise ExportError(
                f"the output of a written file is finite, of shape {expected.shape}; got shape {found.shape}"
            )
        scale = 1.0 if options.output == "probabilities" else max(float(np.abs(expected).max()), 1e-6)
        errors.append(float(np.abs(found - expected).max()) / scale)
        agreements.append(float((found.argmax(1) == expected.argmax(1)).mean()))
    proof = Proof(count, max(errors), min(agreements))
    allowed = TOLERANCES[options.precision]
    if proof.error > allowed.error or proof.agreement < allowed.agreement:
        raise ExportError(
            f"a {exporter.name} file of precision {options.precision} is within {allowed.error:g} of the numpy engine "
            f"and agrees on at least {allowed.agreement:.0%} of the labels; this one is {proof.error:.3g} away and "
            f"agrees on {proof.agreement:.1%} of {proof.images} images, so it was removed"
        )
    return proof


def proof_images(options: Options, size: int) -> Array:
    """The calibration images, or noise where there are none: float32 [N, size, size, 3], each a pixel value / 255."""
    if options.calibration is not None:
        pixels = np.rint(as_float_batch(options.calibration, size) * 255).astype(np.uint8)
    else:
        pixels = np.random.default_rng(0).integers(0, 256, (8, size, size, 3), np.uint8)
    return as_float_batch(pixels, size)


def _options(
    models: Mapping[str, Network],
    exporter: Exporter,
    precision: str,
    input: InputKind,
    output: OutputKind,
    calibration: Images | None,
) -> Options:
    for what, value, allowed in (
        ("precision", precision, exporter.precisions),
        ("input", input, ("uint8", "float32")),
        ("output", output, ("probabilities", "logits")),
    ):
        if value not in allowed:
            raise InputError(f"the {what} of a {exporter.name} file is one of {allowed}; got {value!r}")
    if not models:
        raise InputError("an exported file holds at least one network; got none")
    first = next(iter(models.values()))
    for name, model in models.items():
        if not name.isidentifier():
            raise InputError(f"a signature is letters, digits and underscores, no digit first; got {name!r}")
        if model.labels != first.labels:
            raise InputError(
                f"networks in one file have the same labels; {name!r} has {reprlib.repr(model.labels)}, the first one "
                f"{reprlib.repr(first.labels)}"
            )
    if calibration is None:
        calibration = first.bundle.calibration_images
    if calibration is None and precision == "int8":
        raise InputError("int8 needs images to calibrate on: the bundle carries none, and none were given")
    if calibration is not None:
        as_float_batch(calibration, first.input_size)
    return Options(precision, input, output, calibration, first.bundle.name, first.bundle.attributions)


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size
