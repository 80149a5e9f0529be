"""The numpy engine: the reference that defines a correct result.

Tolerance: the logits of a batch and of its images one by one agree to 1e-5 of the largest logit, not bit for bit: the
BLAS may sum in another order for another shape.

Threads: numpy cannot set the threads of its BLAS, which reads them from the environment (OMP_NUM_THREADS,
OPENBLAS_NUM_THREADS, MKL_NUM_THREADS ...) when it is loaded. `threads` comes on top of that: a batch is split over so
many Python threads, which run at the same time because numpy releases the lock in its loops. So either leave `threads`
at 1, or give the BLAS one thread. A single image is never split.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import numpy as np

from eas_sdk.engine.checks import check_graph, check_images, check_threads
from eas_sdk.engine.numpy_kernels.lowering import lower
from eas_sdk.engine.numpy_kernels.plan import Builder, Plan
from eas_sdk.engine.protocol import Array
from eas_sdk.graph.cost import output_shape
from eas_sdk.graph.nodes import INPUT, Graph

TOGETHER_VALUES = 512 * 1024
"""Images are run together while the largest tensor of all of them holds no more values: enough to spread the cost of
the calls over several small images, too few to leave the cache."""

BUFFER_VALUES = 128
"""numpy's buffer size while a plan runs. With the usual 8192, operations that broadcast copy their operands into the
buffer whenever their inner loop is shorter than it, and take twice the time."""


class NumpyEngine:
    """Runs graphs with numpy alone."""

    name = "numpy"

    def compile(self, graph: Graph, *, threads: int = 1) -> NumpyProgram:
        """Check `graph`, choose a kernel for each node and pack its weights.

        Large weights are not copied: they must stay as they are while the program is in use.

        Raises:
            InputError: the graph contradicts itself or its weights, or `threads` is below 1.
        """
        check_threads(threads)
        check_graph(graph)
        return NumpyProgram(graph, threads)


class NumpyProgram:
    """A compiled graph.

    Each call borrows a plan, that is numpy calls and their memory, and returns it afterwards: calls from several
    threads never share one. Plans stay for the batch size that ran last, as many as ran at the same time.
    """

    def __init__(self, graph: Graph, threads: int) -> None:
        self._input_shape = graph.input_shape
        self._output_shape = output_shape(graph.nodes[-1])
        self._steps = lower(graph)
        self._threads = threads
        largest = max(math.prod(output_shape(node)) for node in graph.nodes)
        self._most_together = max(1, TOGETHER_VALUES // largest)
        self._idle: tuple[int, deque[Plan]] = 0, deque()  # of one batch size; deques need no lock

    def __repr__(self) -> str:
        return f"<NumpyProgram: {self._input_shape[0]} px, {self._output_shape[-1]} labels, {self._threads} threads>"

    def run(self, images: Array) -> Array:
        """Logits [N, classes] of float32 images [N, S, S, 3] in [0, 1]; see `Program.run`.

        Raises:
            ImageError: another type, shape or dtype, or values outside [0, 1].
        """
        check_images(images, self._input_shape)
        total = len(images)
        out = np.empty((total, *self._output_shape), np.float32)
        if total == 0:
            return out
        chunks = max(-(-total // self._most_together), min(self._threads, total))
        together = -(-total // chunks)
        # All chunks have one size, so that one plan fits all: the last may repeat images of the one before it.
        starts = [min(start, total - together) for start in range(0, total, together)]

        def run_chunk(start: int) -> None:
            chunk = slice(start, start + together)
            with self._borrow(together) as plan, buffer_size():
                np.copyto(plan.images, images[chunk].transpose(3, 0, 1, 2))
                plan.run()
                out[chunk] = plan.output.T.reshape(out[chunk].shape)

        if self._threads == 1 or len(starts) == 1:
            for start in starts:
                run_chunk(start)
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                list(pool.map(run_chunk, starts))
        return out

    def prepare(self, batch: int, at_once: int) -> None:
        """Lay out the memory of so many runs at the same time, each of `batch` images: else the first of them do so."""
        with ExitStack() as stack:
            for _ in range(at_once):
                stack.enter_context(self._borrow(min(batch, self._most_together)))

    @contextmanager
    def _borrow(self, batch: int) -> Iterator[Plan]:
        size, idle = self._idle
        if size != batch:
            self._idle = _, idle = batch, deque()
        try:
            plan = idle.pop()
        except IndexError:
            plan = Builder(batch, self._steps).build(INPUT, self._input_shape[2], self._input_shape[0])
        yield plan
        idle.append(plan)


@contextmanager
def buffer_size(values: int = BUFFER_VALUES) -> Iterator[None]:
    """numpy's buffer size, for this thread."""
    before = np.setbufsize(values)
    try:
        yield
    finally:
        np.setbufsize(before)
