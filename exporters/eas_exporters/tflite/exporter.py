"""The TFLite exporter: a lowering, a precision, a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from eas_exporters.calibration import calibrate
from eas_exporters.tflite.file import assemble
from eas_exporters.tflite.interpreter import Interpreter
from eas_exporters.tflite.lowering import lower
from eas_exporters.tflite.metadata import label_archive, metadata
from eas_exporters.tflite.precision import dynamic_range, float16_weights, integers
from eas_exporters.tflite.program import Program
from eas_sdk.bank.atomic import write_atomically
from eas_sdk.engine.checks import check_graph
from eas_sdk.engine.protocol import Array
from eas_sdk.export import Layout, Options
from eas_sdk.graph.nodes import Graph


class TFLiteExporter:
    """Writes .tflite files with numpy alone; runs them with LiteRT where it is installed."""

    name = "TFLite"
    precisions = ("float32", "float16", "dynamic", "int8")
    calibrated = ("int8",)
    layouts: tuple[Layout, ...] = ("NHWC",)
    most_images = 1

    def replaces(self, path: Path) -> bool:
        """See `Exporter.replaces`."""
        return path.is_file()

    def write(self, networks: Mapping[str, Graph], path: Path, options: Options) -> None:
        """See `Exporter.write`."""
        write_atomically(path, file_parts(networks, options))

    def run(self, path: Path, signature: str, images: Array, options: Options) -> Array:
        """See `Exporter.run`."""
        interpreter = Interpreter(path, signature=signature)
        if options.input == "uint8":
            images = np.rint(images * 255).astype(np.uint8)
        return interpreter.run(images)


def file_parts(networks: Mapping[str, Graph], options: Options) -> list[bytes | memoryview]:
    """The parts of a .tflite file with one signature for each network.

    Raises:
        InputError: a graph contradicts itself, or a weight is beyond float16.
    """
    programs = {name: program(graph, options) for name, graph in networks.items()}
    labels = next(iter(networks.values())).labels
    notes = metadata(
        name=options.title,
        description=f"{len(labels)} labels, {options.precision}; Elastic Architecture Search",
        licence="\n".join(options.attributions),
        pixels=options.input == "uint8",
        softmax=options.output == "probabilities",
        signatures=len(programs),
    )
    return [*assemble(programs, description=options.title, metadata=notes), label_archive(labels)]


def program(graph: Graph, options: Options) -> Program:
    """The program of one network in the precision that is asked for."""
    check_graph(graph)
    lowered = lower(graph, uint8_input=options.input == "uint8", softmax=options.output == "probabilities")
    match options.precision:
        case "float16":
            return float16_weights(lowered)
        case "dynamic":
            return dynamic_range(lowered)
        case "int8":
            assert options.calibration is not None
            return integers(lowered, calibrate(graph, options.calibration))
        case _:
            return lowered
