"""Core ML packages: one network as the function `main`, or several networks as functions that share weights.

Functions share a tensor where all its bytes are equal. Networks of one task that a bank is cut into have most of
their classifier, last feature layer and squeeze-and-excitation in common, but no other layer: batch-norm is folded
into the weights, with statistics that differ from network to network. Of the 4M network of the emoji bundle's first
task, two thirds of the weights are equal to the 8M network's; a package of 4M, 8M and 16M takes a quarter less than
three packages.

Tensors that are slices of larger ones are not shared. Core ML could slice them as the network runs (slice_by_index
on one stored tensor), but they are 0.4% to 7% of the smaller network, and their convolutions would no longer have
constant weights, which Core ML rearranges for the processor when it loads a network.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eas_exporters.coreml.library import coremltools
from eas_exporters.coreml.lowering import LOGITS, input_shape, lower
from eas_exporters.coreml.precision import pipeline
from eas_sdk._version import __version__
from eas_sdk.engine.checks import check_graph
from eas_sdk.errors import InputError
from eas_sdk.export import Options
from eas_sdk.graph.cost import cost
from eas_sdk.graph.nodes import Graph, Linear

DATA = Path("Data", "com.apple.CoreML")
MODEL, WEIGHTS, MANIFEST = DATA / "model.mlmodel", DATA / "weights", Path("Manifest.json")

FUNCTION = "main"
"""Name of the function of a package that holds one network."""

LABELS = "labels"
"""Key of the user-defined metadata: the labels in the order of the logits, as a JSON list."""

MADDS = "madds"
"""Key of the user-defined metadata: multiply-adds of one image by function, as a JSON object: apps pick one by it."""


def build(ct: Any, networks: Mapping[str, Graph], folder: Path, options: Options) -> Path:
    """Make a package inside `folder`, an empty one.

    Returns:
        The package. One network is the function "main" and runs from iOS 16 and macOS 13 on; several are one function
        each, under their signatures, the first being the default, and run from iOS 18 and macOS 15 on.

    Raises:
        InputError: a network does not fit the options or contradicts itself, or a weight is beyond float16.
    """
    for graph in networks.values():
        check_graph(graph)
        _check_options(graph, options)
    target = ct.target.iOS16 if len(networks) == 1 else ct.target.iOS18
    made = {
        name: _single(ct, graph, folder / f"{i}.mlpackage", target, options)
        for i, (name, graph) in enumerate(networks.items())
    }
    package = next(iter(made.values()))
    if len(made) > 1:
        package = folder / "merged.mlpackage"
        functions = ct.utils.MultiFunctionDescriptor()
        for name, path in made.items():
            functions.add_function(str(path), FUNCTION, name)
        functions.default_function_name = next(iter(made))
        ct.utils.save_multifunction(functions, str(package))
    _finish(ct, package, networks, options)
    return package


@dataclass(frozen=True)
class Sharing:
    """What the functions of a package have in common, in bytes of weights.

    Attributes:
        total_bytes: in the file, each tensor once.
        separate_bytes: what the functions would take as packages of their own.
        shared_bytes: the difference.
        functions: by name, what each one would take.
    """

    total_bytes: int
    separate_bytes: int
    functions: Mapping[str, int]

    @property
    def shared_bytes(self) -> int:
        return self.separate_bytes - self.total_bytes


def sharing(path: Path) -> Sharing:
    """What the functions of the package at `path` share.

    Raises:
        MissingDependency: coremltools is not installed.
        InputError: not a Core ML package.
        OSError: the package cannot be read.
    """
    with coremltools() as ct:
        program = read_model(ct, path).mlProgram
        bits = {number: int(re.sub(r"\D", "", name) or 0) for name, number in ct.proto.MIL_pb2.DataType.items()}
        tensors = {name: dict(_tensors(function, bits)) for name, function in program.functions.items()}
    functions = {name: sum(sizes.values()) for name, sizes in sorted(tensors.items())}
    union = {offset: size for sizes in tensors.values() for offset, size in sizes.items()}
    return Sharing(sum(union.values()), sum(functions.values()), functions)


def read_model(ct: Any, package: Path) -> Any:
    """The specification in a package, a protocol buffer.

    Raises:
        InputError: there is none in the file where it should be.
        OSError: there is no such file.
    """
    content = (package / MODEL).read_bytes()
    try:
        return ct.proto.Model_pb2.Model.FromString(content)
    except importlib.import_module("google.protobuf.message").DecodeError as error:
        raise InputError(f"a Core ML package holds its specification in {MODEL}; {package} does not") from error


def _check_options(graph: Graph, options: Options) -> None:
    channels = input_shape(graph, pixels=True)[1]
    if options.input == "uint8" and channels != 3:
        raise InputError(f"an image has 3 channels; the network reads {channels}: use the input float32")
    if options.output == "probabilities":
        last = graph.nodes[-1]
        if not isinstance(last, Linear):
            raise InputError(f"probabilities need a network that ends in Linear; this one ends in {last!r}: use logits")
        if len(set(graph.labels)) < len(graph.labels):
            raise InputError(f"the labels of a Core ML classifier differ; got {graph.labels!r}: use logits")


def _single(ct: Any, graph: Graph, path: Path, target: Any, options: Options) -> Path:
    """A package with one network."""
    pixels, softmax = options.input == "uint8", options.output == "probabilities"
    half = options.precision != "float32"
    shape = input_shape(graph, pixels=pixels)
    if pixels:
        image = ct.ImageType(name="image", shape=shape, color_layout=ct.colorlayout.RGB)
    else:
        image = ct.TensorType(name="image", shape=shape)
    ct.convert(
        lower(ct, graph, target=target, half=half, pixels=pixels, softmax=softmax),
        convert_to="mlprogram",
        inputs=[image],
        classifier_config=ct.ClassifierConfig(list(graph.labels)) if softmax else None,
        minimum_deployment_target=target,
        compute_precision=ct.precision.FLOAT32,  # the program has its types already
        pass_pipeline=pipeline(ct, options.precision, graph),
        skip_model_load=True,
        package_dir=str(path),
    )
    return path


def _finish(ct: Any, package: Path, networks: Mapping[str, Graph], options: Options) -> None:
    """Say what the package is; equal models become equal files."""
    spec = read_model(ct, package)
    labels = next(iter(networks.values())).labels
    names = networks if len(networks) > 1 else [FUNCTION]
    madds = {name: cost(graph.nodes).madds for name, graph in zip(names, networks.values(), strict=True)}
    metadata = spec.description.metadata
    kind = f"{len(labels)} labels, {options.precision}; Elastic Architecture Search"
    metadata.shortDescription = f"{options.title}: {kind}"
    metadata.author = f"eas_sdk {__version__}"
    metadata.license = "\n".join(options.attributions)
    for key, value in {
        "title": options.title,
        "precision": options.precision,
        "input": options.input,
        "output": options.output,
        LABELS: json.dumps(labels, ensure_ascii=False),
        MADDS: json.dumps(madds),
        "com.github.apple.coremltools.version": ct.__version__,
    }.items():
        metadata.userDefined[key] = value
    for description in spec.description.functions or [spec.description]:
        for feature in description.input:
            feature.shortDescription = "RGB image" if options.input == "uint8" else "RGB image, [1, S, S, 3] in 0 to 1"
        for feature in description.output:
            if feature.name == LOGITS:
                feature.shortDescription = f"one number a label, in the order of the metadata's {LABELS!r}"
    (package / MODEL).write_bytes(spec.SerializeToString(deterministic=True))
    _name_items(package / MANIFEST)


def _name_items(manifest: Path) -> None:
    """Identify the items of a package by their paths instead of at random."""
    content = json.loads(manifest.read_text(encoding="utf-8"))
    items = content["itemInfoEntries"]
    names = {key: str(uuid.uuid5(uuid.NAMESPACE_URL, item["path"])).upper() for key, item in items.items()}
    content["itemInfoEntries"] = {names[key]: item for key, item in items.items()}
    content["rootModelIdentifier"] = names[content["rootModelIdentifier"]]
    manifest.write_text(json.dumps(content, indent=4, sort_keys=True) + "\n", encoding="utf-8")


def _tensors(function: Any, bits: Mapping[int, int]) -> Iterable[tuple[int, int]]:
    """(place in the weight file, bytes) of the tensors that a function refers to."""
    for block in function.block_specializations.values():
        for operation in block.operations:
            values = list(operation.attributes.values())
            for argument in operation.inputs.values():
                values += [binding.value for binding in argument.arguments if binding.HasField("value")]
            for value in values:
                if value.HasField("blobFileValue"):
                    kind = value.type.tensorType
                    numbers = math.prod(dimension.constant.size for dimension in kind.dimensions)
                    yield value.blobFileValue.offset, math.ceil(numbers * bits[kind.dataType] / 8)


def is_package(path: Path) -> bool:
    """Whether a folder is a package with one model, in which nothing else lies."""
    if path.is_symlink() or not (path / MANIFEST).is_file():
        return False
    for entry in path.rglob("*"):
        place = entry.relative_to(path)
        folder = place in (DATA.parent, DATA, WEIGHTS)
        file = place in (MANIFEST, MODEL) or place.parent == WEIGHTS
        if entry.is_symlink() or not ((folder and entry.is_dir()) or (file and entry.is_file())):
            return False
    return True


def sync(package: Path) -> None:
    """Make the files of a package reach the disk."""
    for path in package.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
