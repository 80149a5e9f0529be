"""The ONNX exporter: a lowering, a precision, a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from eas_exporters.calibration import calibrate
from eas_exporters.labels import lines
from eas_exporters.onnx.file import assemble
from eas_exporters.onnx.lowering import lower
from eas_exporters.onnx.precision import float16_weights, integers
from eas_exporters.onnx.program import Program
from eas_exporters.onnx.session import Session
from eas_sdk.bank.atomic import write_atomically
from eas_sdk.engine.checks import check_graph
from eas_sdk.engine.protocol import Array
from eas_sdk.errors import InputError
from eas_sdk.export import Layout, Options
from eas_sdk.graph.nodes import Graph

INPUTS = {"uint8": "RGB pixels of 0 to 255", "float32": "RGB in [0, 1]"}
SHAPES = {"NHWC": "N x H x W x 3", "NCHW": "N x 3 x H x W"}


class OnnxExporter:
    """Writes .onnx files with the package onnx; runs them with onnxruntime where it is installed."""

    name = "ONNX"
    precisions = ("float32", "float16", "int8")
    calibrated = ("int8",)
    layouts: tuple[Layout, ...] = ("NHWC", "NCHW")
    most_images = None

    def replaces(self, path: Path) -> bool:
        """See `Exporter.replaces`."""
        return path.is_file()

    def write(self, networks: Mapping[str, Graph], path: Path, options: Options) -> None:
        """See `Exporter.write`.

        Raises:
            InputError: more than one network; a graph that contradicts itself; a weight beyond float16.
            MissingDependency: onnx is not installed.
        """
        write_atomically(path, [file_content(networks, options)])

    def run(self, path: Path, signature: str, images: Array, options: Options) -> Array:
        """See `Exporter.run`.

        Raises:
            ExportError: the file is no model that onnxruntime can run.
        """
        given = images if options.input == "float32" else np.rint(images * 255).astype(np.uint8)
        if options.layout == "NCHW":
            given = np.ascontiguousarray(given.transpose(0, 3, 1, 2))
        return Session(path.read_bytes()).run(given)


def file_content(networks: Mapping[str, Graph], options: Options) -> bytes:
    """The bytes of an .onnx file; see `OnnxExporter.write`."""
    if len(networks) != 1:
        raise InputError(
            f"an .onnx file holds one network; got {len(networks)} ({', '.join(networks)}): write one file for each, "
            "or .tflite or .mlpackage, which hold several"
        )
    (graph,) = networks.values()
    notes = metadata(graph.labels, options)
    return assemble(program(graph, options), title=options.title, metadata=notes, batch=options.batch)


def program(graph: Graph, options: Options) -> Program:
    """The program of one network in the precision that is asked for."""
    check_graph(graph)
    pixels, softmax = options.input == "uint8", options.output == "probabilities"
    lowered = lower(graph, uint8_input=pixels, softmax=softmax, layout=options.layout)
    match options.precision:
        case "float16":
            return float16_weights(lowered)
        case "int8":
            assert options.calibration is not None
            return integers(lowered, calibrate(graph, options.calibration))
        case _:
            return lowered


def metadata(labels: tuple[str, ...], options: Options) -> dict[str, str]:
    """What the file says of itself, for clients that know nothing of this project."""
    return {
        "title": options.title,
        "labels": json.dumps(labels, ensure_ascii=False),
        "labels.txt": lines(labels),
        "input": f"{INPUTS[options.input]}, {SHAPES[options.layout]}",
        "output": f"{options.output} of the labels, in their order, N x {len(labels)}",
        "precision": options.precision,
        "attributions": "\n".join(options.attributions),
    }
