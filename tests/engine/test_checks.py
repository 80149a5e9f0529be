"""Graphs, images and settings that an engine must refuse, each with a message that says why."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from engine.graphs import images, make_graph, mobilenet

from eas_sdk.engine import load_engine
from eas_sdk.errors import ImageError, InputError
from eas_sdk.graph.nodes import INPUT, Add, Conv2d, DepthwiseConv2d, GlobalMean, Graph, Linear, Mean, Node, Normalize

NORMALIZE = Normalize("normalize", (INPUT,), 8, 3)
CONV = Conv2d("conv", ("normalize",), 8, 3, 4, 3, 1, 1, "relu")


def compile_nodes(*nodes: Node) -> None:
    load_engine("numpy").compile(make_graph(nodes))


@pytest.mark.parametrize(
    ("batch", "rule"),
    [
        (images(16)[0], "shape"),
        (images(15), "shape"),
        (images(16, channels=4), "shape"),
        (images(16).transpose(0, 3, 1, 2), "shape"),
        (images(16).astype(np.float64), "float32"),
        ((255 * images(16)).astype(np.uint8), "float32"),
        (images(16).tolist(), "float32"),
        (None, "float32"),
        (images(16) * 255, r"\[0, 1\]"),
        (images(16) - np.float32(0.5), r"\[0, 1\]"),
        (np.full((1, 16, 16, 3), np.nan, np.float32), r"\[0, 1\]"),
        (np.full((1, 16, 16, 3), np.inf, np.float32), r"\[0, 1\]"),
    ],
)
def test_images_that_are_refused(batch: Any, rule: str) -> None:
    program = load_engine("numpy").compile(make_graph(mobilenet(16)))
    with pytest.raises(ImageError, match=rule):
        program.run(batch)


def test_one_nan_is_found() -> None:
    batch = images(16, 3)
    batch[1, 7, 5, 2] = np.nan
    with pytest.raises(ImageError, match="nan"):
        load_engine("numpy").compile(make_graph(mobilenet(16))).run(batch)


def test_black_and_white_images_are_taken() -> None:
    program = load_engine("numpy").compile(make_graph(mobilenet(16)))
    assert np.isfinite(program.run(np.zeros((1, 16, 16, 3), np.float32))).all()
    assert np.isfinite(program.run(np.ones((1, 16, 16, 3), np.float32))).all()


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", None, True])
def test_threads_that_are_refused(threads: Any) -> None:
    with pytest.raises(InputError, match="threads must be an integer of at least 1"):
        load_engine("numpy").compile(make_graph(mobilenet(16)), threads=threads)


def test_an_empty_graph_is_refused() -> None:
    with pytest.raises(InputError, match="starts with Normalize"):
        load_engine("numpy").compile(Graph((), {}, ()))


@pytest.mark.parametrize(
    ("nodes", "rule"),
    [
        ((dataclasses.replace(CONV, inputs=(INPUT,)),), "starts with Normalize"),
        ((NORMALIZE, dataclasses.replace(NORMALIZE, inputs=("normalize",))), "'normalize' twice"),
        ((dataclasses.replace(NORMALIZE, name=INPUT),), "'image' twice"),
        ((NORMALIZE, dataclasses.replace(CONV, inputs=(INPUT,))), "'conv' reads"),
        ((dataclasses.replace(NORMALIZE, inputs=("other",)),), "'normalize' reads"),
        ((NORMALIZE, dataclasses.replace(CONV, inputs=("later",))), "made before it"),
        ((NORMALIZE, dataclasses.replace(CONV, inputs=("conv",))), "made before it"),
        ((NORMALIZE, dataclasses.replace(CONV, inputs=("normalize", "normalize"))), "must read 1 tensors"),
        ((NORMALIZE, Add("add", ("normalize",), 8, 3)), "must read 2 tensors"),  # type: ignore[arg-type]
        ((NORMALIZE, dataclasses.replace(CONV, size=9)), r"\(9, 9, 3\), got \(8, 8, 3\)"),
        ((NORMALIZE, dataclasses.replace(CONV, in_channels=2)), r"\(8, 8, 2\), got \(8, 8, 3\)"),
        ((NORMALIZE, Linear("linear", ("normalize",), 3, 2)), r"\(1, 1, 3\), got \(8, 8, 3\)"),
        ((NORMALIZE, dataclasses.replace(CONV, stride=0)), "stride >= 1"),
        ((NORMALIZE, dataclasses.replace(CONV, padding=3)), r"padding \+ trailing < what the kernel spans"),
        ((NORMALIZE, dataclasses.replace(CONV, trailing=2)), r"padding \+ trailing < what the kernel spans"),
        ((NORMALIZE, dataclasses.replace(CONV, kernel=1, padding=0, trailing=1)), r"padding \+ trailing <"),
        ((NORMALIZE, DepthwiseConv2d("d", ("normalize",), 8, 3, 3, 1, 5, "relu", 2)), r"trailing < what the kernel"),
        ((NORMALIZE, DepthwiseConv2d("d", ("normalize",), 8, 3, 3, 1, 2, "relu", 2, 3)), r"trailing < what the kernel"),
        ((NORMALIZE, dataclasses.replace(CONV, trailing=-1)), "an integer of at least 0, got -1"),
        ((NORMALIZE, dataclasses.replace(CONV, trailing=0.5)), r"an integer of at least 0, got 0\.5"),
        ((NORMALIZE, dataclasses.replace(CONV, trailing=None)), "an integer of at least 0, got None"),
        ((NORMALIZE, dataclasses.replace(CONV, trailing=True)), "an integer of at least 0, got True"),
        ((NORMALIZE, DepthwiseConv2d("d", ("normalize",), 8, 3, 3, 1, 1, "relu", 0)), "dilation >= 1"),
        ((NORMALIZE, DepthwiseConv2d("d", ("normalize",), 8, 3, 3, 1, 0, "relu", 4)), "window that fits"),
        ((NORMALIZE, dataclasses.replace(CONV, along="depth")), "'depth'"),
        ((NORMALIZE, dataclasses.replace(CONV, along="height", padding=0)), "pads half"),
        ((NORMALIZE, dataclasses.replace(CONV, along="width", kernel=4, padding=2)), "pads half"),
        ((NORMALIZE, dataclasses.replace(CONV, along="width", trailing=1)), "pads half"),
        ((NORMALIZE, Mean("mean", ("normalize",), 8, 3)), "two maps or more"),
        ((NORMALIZE, dataclasses.replace(CONV, padding=-1)), "padding >= 0"),
        ((NORMALIZE, dataclasses.replace(CONV, kernel=13)), "window that fits"),
        ((NORMALIZE, dataclasses.replace(CONV, activation="swish")), "'swish'"),
        ((NORMALIZE, DepthwiseConv2d("d", ("normalize",), 8, 3, 11, 1, 1, "relu")), "window that fits"),
        ((Normalize("normalize", (INPUT,), 8, 0),), "at least 1"),
        ((Normalize("normalize", (INPUT,), 0, 3), GlobalMean("mean", ("normalize",), 0, 3)), "at least 1"),
    ],
)
def test_graphs_that_are_refused(nodes: tuple[Node, ...], rule: str) -> None:
    weights = make_graph([NORMALIZE, CONV]).weights
    with pytest.raises(InputError, match=rule):
        load_engine("numpy").compile(Graph(nodes, weights, ("a", "b", "c", "d")))


@pytest.mark.parametrize(
    ("weight", "rule"),
    [
        (None, "got none"),
        (np.zeros((4, 3, 3, 3)), "float64"),
        (np.zeros((4, 3, 3, 2), np.float32), r"shape \(4, 3, 3, 2\)"),
        (np.zeros((3, 3, 3, 4), np.float32).T, "not C-contiguous"),
    ],
)
def test_weights_that_are_refused(weight: np.ndarray | None, rule: str) -> None:
    graph = make_graph([NORMALIZE, CONV])
    weights = {name: value for name, value in graph.weights.items() if name != "conv.weight"}
    if weight is not None:
        weights["conv.weight"] = weight
    with pytest.raises(InputError, match=rule) as caught:
        load_engine("numpy").compile(dataclasses.replace(graph, weights=weights))
    assert "conv.weight" in str(caught.value)


def test_labels_must_match_the_outputs() -> None:
    graph = make_graph([NORMALIZE, CONV])
    with pytest.raises(InputError, match=r"\(4\), got 1 labels"):
        load_engine("numpy").compile(dataclasses.replace(graph, labels=("only",)))


def test_an_unknown_engine_is_refused_with_the_closest_name() -> None:
    with pytest.raises(InputError, match="'nunpy'; did you mean 'numpy'"):
        load_engine("nunpy")
