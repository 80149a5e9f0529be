"""Writing networks to files that phones run, and the proof that each file computes what the numpy engine computes.

The format follows the suffix. A file is written under a temporary name, run on real images where its runtime is
installed, compared with the numpy engine (`eas_sdk.proof`), and only then given its name.
"""

from __future__ import annotations

import importlib
import os
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from eas_sdk.bank.atomic import making
from eas_sdk.bank.exchange import put
from eas_sdk.engine.protocol import Array
from eas_sdk.errors import ExportError, InputError, MissingDependency, closest
from eas_sdk.graph.nodes import Graph
from eas_sdk.images import Images, as_float_batch
from eas_sdk.proof import TOLERANCES, Proof, Provable, compare, divided

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
Layout = Literal["NHWC", "NCHW"]

HELP: Mapping[str, str] = {
    "int8": "images like those that the app will see, a few dozen, to calibrate on; precision float16; another budget",
    "dynamic": "precision float16; another budget",
    "palettized": "precision int8 or float16; another budget",
}
"""What may help where a file of a precision fails its proof."""


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
        layout: of the input: N x S x S x 3 or N x 3 x S x S.
        batch: how many images the file takes at once; None: any number, or one where the format knows no other.
    """

    precision: str
    input: InputKind
    output: OutputKind
    calibration: Images | None
    title: str
    attributions: tuple[str, ...]
    layout: Layout = "NHWC"
    batch: int | None = None


class Network(Provable, Protocol):
    """What can be written: a `Model`, for instance."""

    @property
    def graph(self) -> Graph:
        """Nodes and float32 weights."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """One name a logit."""
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

    @property
    def calibrated(self) -> tuple[str, ...]:
        """Those that are calibrated on images."""
        ...

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """The layouts that its input may have."""
        ...

    @property
    def most_images(self) -> int | None:
        """The largest fixed batch; None: any."""
        ...

    def replaces(self, path: Path) -> bool:
        """Whether what lies at `path` is of this format's kind, file or folder, with nothing in it that is not."""
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
class Export:
    """A file that was written.

    Attributes:
        bytes: its size.
        weight_bytes: size of the float32 weights of its networks.
        proof: None where the file could not be run here; `unproved` then says why.
        failed: how it fails its proof, where it was to be kept all the same.
    """

    path: Path
    format: str
    precision: str
    bytes: int
    weight_bytes: int
    proof: Proof | None
    unproved: str = ""
    failed: str = ""


def export(
    models: Mapping[str, Network],
    path: str | os.PathLike[str],
    *,
    precision: str = "float32",
    input: InputKind = "uint8",
    output: OutputKind = "probabilities",
    calibration: Images | None = None,
    layout: Layout = "NHWC",
    batch: int | None = None,
    keep: bool = False,
) -> Export:
    """Write networks into one file, each under its own signature, and prove it.

    Args:
        models: signature -> network; the first is what runs when no signature is named. Their labels are equal; each
            signature takes images of its own network's size.
        path: file to write; its suffix says the format: .tflite, .onnx or .mlpackage (a folder). A link is followed.
            What lies there is replaced if it is a file, or a package and nothing more.
        precision: "float32", "float16" (weights), "int8", "dynamic" (TFLite: int8 weights) or "palettized" (Core ML);
            see docs/exporting.md for what each format has.
        input: "uint8" pixels of 0 to 255, or "float32" in [0, 1]; RGB, N x S x S x 3 either way, S the
            network's `input_size`.
        output: "probabilities" or "logits".
        calibration: images of any size (see `eas_sdk.images.Images`) that int8 is calibrated on; by default those
            that the bundle carries. Where nothing is calibrated they are what the proof shows.
        layout: "NHWC", or "NCHW" (ONNX): the input is N x 3 x S x S.
        batch: images that an .onnx file takes at once, for runtimes that must know it; by default any number.
        keep: whether a file that fails its proof is kept all the same; `Export.failed` says how it fails.

    Raises:
        InputError: an unknown suffix, precision, input, output, layout or batch; networks with different labels; no
            images; something at `path` that is not of this format.
        ImageError: the calibration images are malformed, or show nothing.
        ExportError: the file that was written does not compute what the numpy engine computes; it is removed.
        BundleError: the images that the bundle carries are damaged.
        OSError: the file cannot be written.
    """
    named = text_path(path)
    exporter, target = load_exporter(named.suffix), Path(os.path.realpath(named))
    check_place(exporter, named)
    options, shown = _options(models, exporter, precision, input, output, calibration, layout, batch)
    proof, unproved, failed = None, "", ""
    with making(target.parent, named) as folder:
        made = folder / f"made{named.suffix}"
        exporter.write({name: model.graph for name, model in models.items()}, made, options)
        try:
            proof = prove(exporter, made, models, options, shown)
            failed = _failure(exporter, proof, options)
        except MissingDependency as error:
            unproved = str(error)
        except ExportError as error:
            failed = str(error)
        if failed and not keep:
            raise ExportError(f"{failed}; it was not kept, which keep=True (--keep) would do")
        size = _size(made)
        put(made, target)
    weights = sum(w.nbytes for model in models.values() for w in model.graph.weights.values())
    return Export(named, exporter.name, precision, size, weights, proof, unproved, failed)


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


def check_place(exporter: Exporter, path: Path) -> None:
    """Check that what lies at a path may be replaced, if anything does.

    Raises:
        InputError: it is not of the exporter's format, or a folder with other things in it.
    """
    if path.exists() and not exporter.replaces(path.resolve()):
        raise InputError(f"{exporter.name} exports replace nothing but their like; {str(path)!r} is, or holds, more")


def prove(
    exporter: Exporter,
    path: Path,
    models: Mapping[str, Network],
    options: Options,
    images: Images | None = None,
) -> Proof:
    """Compare a file with the numpy engine: the worst of all its networks.

    Args:
        images: what is shown; see `eas_sdk.proof.compare`.

    Raises:
        ExportError: it cannot be loaded, or its output is of another shape or not finite.
        MissingDependency: it cannot be run here.
    """
    softmax = options.output == "probabilities"

    def run(name: str) -> Callable[[Array], Array]:
        return lambda batch: exporter.run(path, name, batch, options)

    proofs = [compare(model, run(name), images, softmax=softmax) for name, model in models.items()]
    return Proof(
        min(proof.images for proof in proofs),
        max(proof.error for proof in proofs),
        min(proof.agreement for proof in proofs),
        any(proof.noise for proof in proofs),
    )


def _failure(exporter: Exporter, proof: Proof, options: Options) -> str:
    """How a proof is outside the tolerance of its precision; "" where it is not."""
    allowed = TOLERANCES[options.precision]
    if proof.error <= allowed.error and (proof.noise or proof.agreement >= allowed.agreement):
        return ""
    helps = f"; what may help: {HELP[options.precision]}" if options.precision in HELP else ""
    return (
        f"a {exporter.name} file of precision {options.precision} is within {allowed.error:g} of the numpy engine and "
        f"agrees on at least {allowed.agreement:.0%} of the labels; this one is {proof.error:.3g} away and agrees on "
        f"{proof.agreement:.1%} of {proof.images} images{helps}"
    )


def _options(
    models: Mapping[str, Network],
    exporter: Exporter,
    precision: str,
    input: InputKind,
    output: OutputKind,
    calibration: Images | None,
    layout: Layout,
    batch: int | None,
) -> tuple[Options, Images | None]:
    """What the file is to be, and the caller's images for its proof."""
    for what, value, allowed in (
        ("precision", precision, exporter.precisions),
        ("input", input, ("uint8", "float32")),
        ("output", output, ("probabilities", "logits")),
        ("layout", layout, exporter.layouts),
    ):
        if value not in allowed:
            raise InputError(f"the {what} of a {exporter.name} file is one of {allowed}; got {value!r}")
    most = exporter.most_images
    if batch is not None and (type(batch) is not int or batch < 1 or (most is not None and batch > most)):
        bound = "" if most is None else f", {most} at most"
        raise InputError(f"the batch of a {exporter.name} file is a positive integer{bound}; got {batch!r}")
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
    shown = None
    if calibration is not None:
        as_float_batch(calibration, first.input_size)
    if precision in exporter.calibrated:
        calibration, shown = divided(first, calibration)
    else:
        calibration, shown = None, calibration
    options = Options(
        precision, input, output, calibration, first.bundle.name, first.bundle.attributions, layout, batch
    )
    return options, shown


def text_path(path: object) -> Path:
    """A path that a caller wrote.

    Raises:
        InputError: it is no text, nor anything that stands for one.
    """
    try:
        named = os.fspath(path)  # type: ignore[call-overload]
    except TypeError:
        named = None
    if not isinstance(named, str):
        raise InputError(f"a path is text, or a pathlib.Path; got {path!r} of type {type(path).__name__}")
    return Path(named)


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size
