"""Whole networks, batches, chunks and threads."""

from __future__ import annotations

import math
import threading
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from engine.graphs import (
    TOLERANCE,
    efficientnet_lite,
    error,
    images,
    make_graph,
    mobilenet,
    reference,
    torch_reference,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from eas_sdk.engine import load_engine
from eas_sdk.engine import numpy_engine as module
from eas_sdk.engine.numpy_kernels import blocks, planar
from eas_sdk.graph.cost import output_shape
from eas_sdk.graph.nodes import Node

KERNELS = st.lists(st.sampled_from((3, 5, 7)), min_size=4, max_size=4)
STRIDES = st.lists(st.sampled_from((1, 2)), min_size=4, max_size=4)


@settings(max_examples=30)
@given(st.integers(8, 70), st.integers(1, 12), KERNELS, STRIDES, st.integers(1, 3), st.integers(0, 99))
def test_random_networks(size: int, width: int, kernels: list[int], strides: list[int], batch: int, seed: int) -> None:
    graph = make_graph(mobilenet(size, width=width, kernels=kernels, strides=strides), seed)
    inputs = images(size, batch, seed)
    result = load_engine("numpy").compile(graph).run(inputs)
    assert error(result, reference(graph, inputs)) < TOLERANCE


@pytest.mark.parametrize("size", [33, 64])
@pytest.mark.parametrize("network", [mobilenet, efficientnet_lite])
def test_networks_against_torch(network: Callable[[int], list[Node]], size: int) -> None:
    pytest.importorskip("torch")
    graph = make_graph(network(size))
    inputs = images(size, 3)
    result = load_engine("numpy").compile(graph).run(inputs)
    assert error(result, torch_reference(graph, inputs)) < TOLERANCE


@pytest.mark.parametrize(
    "nodes",
    [
        mobilenet(70, width=7, kernels=(3, 5, 7, 5), strides=(1, 2, 1, 2)),
        efficientnet_lite(140, units=((3, 1, 7, 1, 2), (5, 3, 7, 1, 1), (5, 3, 9, 2, 2), (3, 6, 9, 1, 2))),
    ],
    ids=["zeros around", "zeros behind"],
)
def test_small_blocks_change_nothing(nodes: list[Node], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 5000)
    monkeypatch.setattr(planar, "COPIES_BYTES", 60_000)
    monkeypatch.setattr(planar, "EXPANDED_BYTES", 30_000)
    monkeypatch.setattr(planar, "EXPANDED_CHANNELS", 2)
    graph = make_graph(nodes)
    inputs = images(graph.input_size, 2)
    program = load_engine("numpy").compile(graph)
    expected = reference(graph, inputs)
    for _ in range(2):
        assert error(program.run(inputs), expected) < TOLERANCE


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("together", [1, 2, 4, 100])
def test_a_batch_equals_its_images_one_by_one(together: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = make_graph(mobilenet(32))
    largest = 16 * 16 * 24
    monkeypatch.setattr(module, "TOGETHER_VALUES", together * largest)
    program = load_engine("numpy").compile(graph, threads=threads)
    batch = images(32, 7)
    one_by_one = np.concatenate([program.run(image[np.newaxis]) for image in batch])
    assert error(program.run(batch), one_by_one) < TOLERANCE


def test_results_are_new_arrays_and_images_stay_as_they_are() -> None:
    graph = make_graph(mobilenet(16))
    program = load_engine("numpy").compile(graph)
    first, second = images(16, 2, seed=1), images(16, 2, seed=2)
    kept = first.copy()
    result = program.run(first)
    before = result.copy()
    assert not np.array_equal(program.run(second), before)
    np.testing.assert_array_equal(result, before)
    np.testing.assert_array_equal(program.run(first), before)
    np.testing.assert_array_equal(first, kept)


def test_any_memory_layout_of_the_images() -> None:
    graph = make_graph(mobilenet(16))
    program = load_engine("numpy").compile(graph)
    batch = images(16, 4)
    views = [np.asfortranarray(batch), batch.transpose(0, 3, 1, 2).copy().transpose(0, 2, 3, 1)]
    read_only = batch.copy()
    read_only.flags.writeable = False
    for view in [*views, read_only]:
        np.testing.assert_array_equal(program.run(view), program.run(batch))
    np.testing.assert_array_equal(program.run(batch[::-2]), program.run(batch[::-2].copy()))


def test_an_empty_batch() -> None:
    program = load_engine("numpy").compile(make_graph(mobilenet(16, classes=5)))
    result = program.run(images(16, 0))
    assert result.shape == (0, 5)
    assert result.dtype == np.float32


def test_threads_that_share_a_program() -> None:
    graph = make_graph(mobilenet(32))
    program = load_engine("numpy").compile(graph)
    batches = [images(32, 1 + i % 3, seed=i) for i in range(6)]
    expected = [reference(graph, batch) for batch in batches]
    errors: list[float] = []
    barrier = threading.Barrier(len(batches))

    def work(index: int) -> None:
        barrier.wait()
        errors.extend(error(program.run(batches[index]), expected[index]) for _ in range(20))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(batches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 20 * len(batches)
    assert max(errors) < TOLERANCE


def test_a_run_leaves_the_settings_of_numpy_alone() -> None:
    before = np.setbufsize(4096)
    try:
        load_engine("numpy").compile(make_graph(mobilenet(16))).run(images(16))
        assert np.getbufsize() == 4096
    finally:
        np.setbufsize(before)


def test_memory_does_not_grow_with_the_batch() -> None:
    graph = make_graph(mobilenet(32))
    peaks = []
    for count in (500, 2000):
        batch = images(32, count)
        tracemalloc.start()
        try:
            load_engine("numpy").compile(graph).run(batch)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_memory_of_dead_tensors_is_used_again() -> None:
    nodes = mobilenet(224, width=16, kernels=(5,) * 8, strides=(1,) * 8)
    graph = make_graph(nodes)
    tracemalloc.start()
    try:
        load_engine("numpy").compile(graph).run(images(224))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < sum(4 * math.prod(output_shape(node)) for node in nodes) / 3
