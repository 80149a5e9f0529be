"""What every engine does, whatever runs underneath; an engine that is not installed is skipped with the reason."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from engine.graphs import efficientnet_lite, error, images, make_graph, mobilenet, multibranch, reference

from eas_sdk.engine import ENGINES, load_engine
from eas_sdk.engine.protocol import Engine
from eas_sdk.errors import ImageError, InputError, MissingDependency
from eas_sdk.graph.nodes import INPUT, Conv2d, Graph, Node, Normalize

TOLERANCE = 1e-4


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    try:
        return load_engine(request.param)
    except MissingDependency as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def graph() -> Graph:
    return make_graph(mobilenet(32))


def test_it_prints_nothing(engine: Engine, graph: Graph, capfd: pytest.CaptureFixture[str]) -> None:
    engine.compile(graph, threads=2).run(images(32, 2))
    printed, errors = capfd.readouterr()
    assert printed == ""
    assert [line for line in errors.splitlines() if not line.startswith("INFO: ")] == []  # LiteRT has no way to hush


def test_it_has_the_name_it_is_registered_under(engine: Engine) -> None:
    assert ENGINES[engine.name]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("size", [31, 48])
def test_it_computes_what_the_graph_says(engine: Engine, size: int, count: int) -> None:
    graph = make_graph(mobilenet(size, kernels=(7, 5, 3, 7), strides=(2, 1, 2, 1)))
    batch = images(size, count)
    result = engine.compile(graph).run(batch)
    assert result.dtype == np.float32
    assert error(result, reference(graph, batch)) < TOLERANCE


@pytest.mark.parametrize("size", [24, 33])
def test_it_averages_branches_of_every_kind(engine: Engine, size: int) -> None:
    graph, batch = make_graph(multibranch(size)), images(size, 2)
    assert error(engine.compile(graph).run(batch), reference(graph, batch)) < TOLERANCE


@pytest.mark.parametrize("size", [32, 33, 46, 56])
def test_it_pads_behind_the_map_as_the_graph_says(engine: Engine, size: int) -> None:
    graph, batch = make_graph(efficientnet_lite(size)), images(size, 2)
    assert error(engine.compile(graph).run(batch), reference(graph, batch)) < TOLERANCE


def test_it_runs_graphs_that_end_in_a_feature_map(engine: Engine) -> None:
    nodes = mobilenet(32)[:6]
    graph = make_graph(nodes)
    batch = images(32, 2)
    assert error(engine.compile(graph).run(batch), reference(graph, batch)) < TOLERANCE


def test_images_may_have_any_layout_and_number_of_channels(engine: Engine) -> None:
    nodes: list[Node] = [Normalize("n", (INPUT,), 9, 1), Conv2d("c", ("n",), 9, 1, 4, 3, 2, 0, "relu")]
    graph = make_graph(nodes)
    batch = np.asfortranarray(images(9, 5, channels=1))[::-2]
    assert error(engine.compile(graph).run(batch), reference(graph, batch)) < TOLERANCE


def test_no_images_give_no_logits(engine: Engine, graph: Graph) -> None:
    assert engine.compile(graph).run(images(32, 1)[:0]).shape == (0, len(graph.labels))


def test_batches_of_any_size_follow_each_other(engine: Engine, graph: Graph) -> None:
    program = engine.compile(graph)
    batch = images(32, 40)
    whole = program.run(batch)
    for count in (1, 40, 5):
        assert error(program.run(batch[:count]), whole[:count]) < TOLERANCE


def test_results_are_the_callers_own(engine: Engine, graph: Graph) -> None:
    program = engine.compile(graph)
    first = program.run(images(32, 1))
    kept = first.copy()
    program.run(images(32, 1, seed=1))
    np.testing.assert_array_equal(first, kept)
    first += 1
    np.testing.assert_array_equal(program.run(images(32, 1)), kept)


def test_inputs_stay_as_they_are(engine: Engine, graph: Graph) -> None:
    batch = images(32, 2)
    kept = batch.copy()
    engine.compile(graph).run(batch)
    np.testing.assert_array_equal(batch, kept)


def test_threads_share_a_program(engine: Engine, graph: Graph) -> None:
    program = engine.compile(graph, threads=2)
    batches = [images(32, 2, seed) for seed in range(6)]
    expected = [program.run(batch) for batch in batches]
    found: dict[int, np.ndarray] = {}

    def work(i: int) -> None:
        found[i] = program.run(batches[i])

    workers = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for i, logits in enumerate(expected):
        assert error(found[i], logits) < TOLERANCE


@pytest.mark.parametrize(
    "wrong",
    [
        images(32, 1).astype(np.float64),
        images(31, 1),
        images(32, 1)[0],
        images(32, 1) * 2,
        np.full((1, 32, 32, 3), np.nan, np.float32),
    ],
    ids=["float64", "size", "one image", "range", "nan"],
)
def test_images_that_do_not_fit_are_refused(engine: Engine, graph: Graph, wrong: np.ndarray) -> None:
    with pytest.raises(ImageError):
        engine.compile(graph).run(wrong)


@pytest.mark.parametrize("threads", [0, -1, 1.5, True])
def test_threads_are_checked(engine: Engine, graph: Graph, threads: object) -> None:
    with pytest.raises(InputError, match="threads"):
        engine.compile(graph, threads=threads)  # type: ignore[arg-type]


def test_a_graph_that_contradicts_itself_is_refused(engine: Engine, graph: Graph) -> None:
    with pytest.raises(InputError):
        engine.compile(Graph(graph.nodes, {}, graph.labels))
