"""The engine "auto": what it picks, and what it remembers."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from engine.graphs import images, make_graph, mobilenet

import eas_sdk
from eas_sdk.engine import ENGINES, auto, load_engine
from eas_sdk.engine.auto import AutoEngine, cache_file, family
from eas_sdk.engine.numpy_engine import NumpyEngine, NumpyProgram
from eas_sdk.errors import MissingDependency
from eas_sdk.graph.memory import memory_bytes
from eas_sdk.graph.nodes import Graph


class Slow(NumpyProgram):
    def run(self, images: np.ndarray) -> np.ndarray:
        time.sleep(0.02)
        return super().run(images)


class Counted:
    """The numpy engine under a name; counts how often it was compiled."""

    def __init__(self, name: str, program: type[NumpyProgram] = NumpyProgram) -> None:
        self.name, self.program, self.compiled = name, program, 0

    def compile(self, graph: Graph, *, threads: int = 1) -> NumpyProgram:
        self.compiled += 1
        return self.program(graph, threads)


def missing() -> NumpyEngine:
    raise MissingDependency("not installed")


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> Graph:
    """A network of which nothing is remembered yet."""
    monkeypatch.setattr(auto, "_chosen", {})
    return make_graph(mobilenet(16))


def test_the_fastest_is_picked_measured_once_and_remembered(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, fast = Counted("slow", Slow), Counted("fast")
    engine = AutoEngine({"slow": lambda: slow, "gone": missing, "fast": lambda: fast})
    assert type(engine.compile(graph)) is NumpyProgram
    assert (slow.compiled, fast.compiled) == (1, 1)
    assert json.loads(cache_file().read_text()) == {family(graph, 1): "fast"}
    engine.compile(graph)
    monkeypatch.setattr(auto, "_chosen", {})  # another process
    engine.compile(make_graph(mobilenet(16), seed=5))
    assert (slow.compiled, fast.compiled) == (1, 3)


def test_a_model_says_which_engine_was_chosen() -> None:
    model = eas_sdk.load("emoji").specialize("birds", "4M", engine="auto")
    assert model.engine in ENGINES.keys() - {"auto"}
    image = np.zeros((1, model.input_size, model.input_size, 3), np.float32)
    np.testing.assert_array_equal(model.program.run(image), load_engine(model.engine).compile(model.graph).run(image))
    assert model.memory_bytes <= memory_bytes(model.graph.nodes, "auto")
    routed = eas_sdk.load("emoji").specialize("auto", "40%", engine="auto")
    assert routed.router.engine in ENGINES.keys() - {"auto"}


def test_other_sizes_threads_and_magnitudes_are_measured_for_themselves(graph: Graph) -> None:
    keys = {family(graph, 1), family(graph, 2)}
    keys.add(family(make_graph(mobilenet(17)), 1))
    keys.add(family(make_graph(mobilenet(16, width=32)), 1))
    assert len(keys) == 4
    assert family(make_graph(mobilenet(16, classes=6)), 1) in keys


def test_an_engine_that_is_gone_is_replaced(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    only = Counted("only")
    AutoEngine({"only": lambda: only}).compile(graph)
    monkeypatch.setattr(auto, "_chosen", {})
    other = Counted("other")
    AutoEngine({"only": missing, "other": lambda: other}).compile(graph)
    assert other.compiled == 1
    assert json.loads(cache_file().read_text()) == {family(graph, 1): "other"}


@pytest.mark.parametrize("kept", [b"", b"{", b"[]", b'{"a": 1}', b"\xff"])
def test_a_damaged_memory_is_measured_afresh(graph: Graph, kept: bytes) -> None:
    cache_file().parent.mkdir(parents=True, exist_ok=True)
    cache_file().write_bytes(kept)
    fast = Counted("fast")
    AutoEngine({"fast": lambda: fast}).compile(graph)
    assert json.loads(cache_file().read_text())[family(graph, 1)] == "fast"


def test_a_folder_that_cannot_be_written_is_no_error(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    monkeypatch.setenv("EAS_CACHE_DIR", str(blocked / "inside"))
    fast = Counted("fast")
    assert AutoEngine({"fast": lambda: fast}).compile(graph).run(images(16, 1)).shape == (1, 5)


def test_auto_is_one_of_the_installed_engines(graph: Graph) -> None:
    load_engine("auto").compile(graph)
    assert json.loads(cache_file().read_text())[family(graph, 1)] in ("numpy", "litert", "onnxruntime", "coreml")
