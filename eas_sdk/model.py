"""A specialised network, ready to predict."""

from __future__ import annotations

import numbers
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eas_sdk.bank.bundle import Bundle
from eas_sdk.bank.slicing import cut
from eas_sdk.budget import format_madds
from eas_sdk.engine.checks import check_answers
from eas_sdk.engine.forked import compile_graph
from eas_sdk.engine.numpy_engine import NumpyEngine, NumpyProgram
from eas_sdk.engine.protocol import Program
from eas_sdk.errors import InputError
from eas_sdk.expected import expected_accuracy
from eas_sdk.export import SIGNATURE, Export, InputKind, Layout, OutputKind, export
from eas_sdk.graph.cost import Cost, cost
from eas_sdk.graph.memory import memory_bytes
from eas_sdk.graph.nodes import Graph
from eas_sdk.images import Images, as_float_batch
from eas_sdk.space.architecture import Architecture
from eas_sdk.task import Task, shown_classes


@dataclass(frozen=True)
class Prediction:
    """What a network says of one image.

    Attributes:
        top: (label, probability) pairs, most probable first; none where a router knows the image to show nothing that
            any network could name.
        superclass: the one that a router picked; empty where there was no router, or it knows none.
    """

    top: tuple[tuple[str, float], ...]
    superclass: str = ""

    @property
    def label(self) -> str:
        """The most probable label; empty where there is none."""
        return self.top[0][0] if self.top else ""

    @property
    def probability(self) -> float:
        """Its probability."""
        return self.top[0][1] if self.top else 0.0


@dataclass(frozen=True, eq=False)
class Model:
    """One sub-network, cut out of a bank for one task, compiled by one engine. Threads may share it.

    It is pickled as what it was made from, a bundle by its path (see `Bundle`), and made again by who unpickles it.

    Attributes:
        task: what it tells apart.
        architecture: its blocks.
        cost: multiply-adds, parameters, peak activation bytes.
        graph: its nodes and float32 weights.
        bundle: what it was cut out of.
        program: the network as an engine runs it.
        engine: that engine's name; of "auto" the one that it chose.
        threads: most threads for one prediction.
        latency_ms: time of one image, as the latency table predicts it that the budget was met by; None without one.
    """

    task: Task
    architecture: Architecture
    cost: Cost
    graph: Graph
    bundle: Bundle
    program: Program
    engine: str = "numpy"
    latency_ms: float | None = None
    threads: int = 1

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        task: Task,
        architecture: Architecture,
        engine: str = "numpy",
        threads: int = 1,
        latency_ms: float | None = None,
    ) -> Model:
        """The network of an architecture.

        Raises:
            ArchitectureError: the bank cannot serve it.
            InputError, MissingDependency: of the engine.
        """
        graph = cut(bundle, architecture, task.classes)
        name, program = compile_graph(graph, engine, threads)
        return cls(task, architecture, cost(graph.nodes), graph, bundle, program, name, latency_ms, threads)

    def __reduce__(self) -> tuple[Any, ...]:
        return Model.of, (self.bundle, self.task, self.architecture, self.engine, self.threads, self.latency_ms)

    def __repr__(self) -> str:
        cost = f"{format_madds(self.madds)} multiply-adds"
        return f"<Model {self.task.name!r}: {len(self.labels)} labels, {cost}, {self.input_size} px, {self.engine}>"

    @property
    def labels(self) -> tuple[str, ...]:
        """One name a logit."""
        return self.graph.labels

    @property
    def classes(self) -> frozenset[int]:
        """Classes of the bundle that its images show."""
        return shown_classes(self.task, self.bundle.superclasses)

    @property
    def madds(self) -> int:
        """Multiply-adds of one image; never above the budget it was made for."""
        return self.cost.madds

    @property
    def parameters(self) -> int:
        """Trained parameters."""
        return self.cost.parameters

    @property
    def memory_bytes(self) -> int:
        """Peak memory of a prediction, weights included, as predicted for the engine."""
        return memory_bytes(self.graph.nodes, self.engine)

    @property
    def expected_accuracy(self) -> float | None:
        """How often its most probable label is right, from 0 to 1, on images that show one of its labels, as the
        bundle's own training measured it; None where that says nothing of the task. Where a published network labelled
        its images (`bundle.training["answers_of"]`), it is how often the two agree."""
        return expected_accuracy(self.bundle, self.task, self.madds)

    @property
    def input_size(self) -> int:
        """Side of the square images that it computes with, in pixels; it brings others to that size itself."""
        return self.graph.input_size

    def logits(self, images: Images) -> npt.NDArray[np.float32]:
        """Logits of a batch.

        Args:
            images: N x H x W x 3, or a list of images H x W x 3 that may differ in size; RGB, uint8 or floating point
                in [0, 1]. Their central squares are brought to `input_size` (see `eas_sdk.images`).

        Returns:
            float32 N x len(labels).

        Raises:
            ImageError: another shape, dtype or range, or NaN.
        """
        return self.program.run(as_float_batch(images, self.input_size))

    def reference(self, images: Images) -> npt.NDArray[np.float32]:
        """What the numpy engine, which defines correct, makes of `images`; see `logits`."""
        program = self.program
        if not isinstance(program, NumpyProgram):
            program = NumpyEngine().compile(self.graph)
        return program.run(as_float_batch(images, self.input_size))

    def export(
        self,
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
        """Write the network to a file that phones run, and prove it; see `eas_sdk.export.export`.

        Several networks in one file: `eas_sdk.export.export({"low": small, "high": large}, path)`.
        """
        return export(
            {SIGNATURE: self},
            path,
            precision=precision,
            input=input,
            output=output,
            calibration=calibration,
            layout=layout,
            batch=batch,
            keep=keep,
        )

    def predict(self, images: Images, top_k: int = 3) -> list[Prediction]:
        """Labels with probabilities, one `Prediction` an image.

        Args:
            images: see `logits`.
            top_k: how many pairs; cut to between one and the number of labels.

        Raises:
            ImageError: see `logits`; InputError: top_k is no integer.
            BundleError: an answer is not finite: the bundle's weights overflow.
        """
        return self.named(self.logits(images), top_k)

    def named(self, logits: npt.NDArray[np.floating], top_k: int = 3) -> list[Prediction]:
        """What logits [N, labels] of this network say; see `predict`."""
        check_answers(logits)
        logits = logits.astype(np.float64)
        probabilities = np.exp(logits - logits.max(1, keepdims=True))
        probabilities /= probabilities.sum(1, keepdims=True)
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, : at_least_one(top_k)]
        return [
            Prediction(tuple((self.labels[c], float(row[c])) for c in best))
            for row, best in zip(probabilities, order, strict=True)
        ]


def at_least_one(top_k: object) -> int:
    """How many labels are asked for.

    Raises:
        InputError: it is no integer.
    """
    if not isinstance(top_k, numbers.Integral) or isinstance(top_k, bool):
        raise InputError(f"top_k is an integer, 1 or more; got {top_k!r} of type {type(top_k).__name__}")
    return max(int(top_k), 1)
