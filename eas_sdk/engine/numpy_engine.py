"""The numpy engine: the reference that defines a correct result.

Results of a batch and of its images one by one agree to within float32 rounding (1e-5 of the largest logit), not bit
for bit: the BLAS may sum in another order for another shape.

Threads: numpy has no per-call control of its BLAS, which takes its number of threads from the environment
(OMP_NUM_THREADS, OPENBLAS_NUM_THREADS, ...) when numpy is first imported. `threads` adds to that: a batch is split over
that many Python threads, since numpy releases the lock during its calls. Use it with a BLAS of one thread. One image
is never split.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from eas_sdk.engine.arrays import Array
from eas_sdk.engine.checks import check_graph, check_images, check_threads
from eas_sdk.engine.lowering import lower
from eas_sdk.engine.plan import Builder, Plan
from eas_sdk.graph.cost import output_shape
from eas_sdk.graph.nodes import INPUT, Graph, Normalize

CHUNK_VALUES = 256 * 1024
"""Images are run together while the largest tensor of all of them holds at most so many values (1 MB)."""


class NumpyEngine:
    """Runs graphs with numpy alone."""

    name = "numpy"

    def compile(self, graph: Graph, *, threads: int = 1) -> NumpyProgram:
        """Check `graph`, pack its weights and choose a kernel for each node.

        Raises:
            InputError: the graph contradicts itself or its weights, or `threads` is below 1.
        """
        check_threads(threads)
        check_graph(graph)
        return NumpyProgram(graph, threads)


class NumpyProgram:
    """A compiled graph.

    Every call borrows a plan (its calls and its memory) and returns it, so calls from several threads never share one.
    Idle plans are kept for the batch size of the last call only, at most `threads` of them.
    """

    def __init__(self, graph: Graph, threads: int) -> None:
        first = graph.nodes[0]
        assert isinstance(first, Normalize)
        self._size, self._channels = first.size, first.channels
        self._output_shape = output_shape(graph.nodes[-1])
        self._steps = lower(graph)
        self._threads = threads
        largest = max(int(np.prod(output_shape(node))) for node in graph.nodes)
        self._most_together = max(1, CHUNK_VALUES // largest)
        self._lock = threading.Lock()
        self._idle: list[Plan] = []

    def run(self, images: Array) -> Array:
        """Logits [N, classes] of float32 images [N, S, S, 3] in [0, 1]; see `Program.run`.

        Raises:
            ImageError: another shape or dtype, or values outside [0, 1].
        """
        check_images(images, self._size, self._channels)
        total = len(images)
        out = np.empty((total, *self._output_shape), np.float32)
        if total == 0:
            return out
        chunks = max(-(-total // self._most_together), min(self._threads, total))
        together = -(-total // chunks)
        # Chunks of one size, so that one plan serves all: the last may repeat images of the one before.
        starts = [min(start, total - together) for start in range(0, total, together)]

        def run_chunk(start: int) -> None:
            with self._borrow(together) as plan:
                np.copyto(plan.images, images[start : start + together].transpose(3, 0, 1, 2))
                old = np.setbufsize(128)
                plan.run()
                np.setbufsize(old)
                chunk = out[start : start + together]
                np.copyto(chunk, plan.output.T.reshape(chunk.shape))

        if self._threads == 1 or len(starts) == 1:
            for start in starts:
                run_chunk(start)
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                list(pool.map(run_chunk, starts))
        return out

    @contextmanager
    def _borrow(self, batch: int) -> Iterator[Plan]:
        with self._lock:
            self._idle = [plan for plan in self._idle if plan.images.shape[1] == batch]
            plan = self._idle.pop() if self._idle else None
        if plan is None:
            plan = Builder(batch, self._steps).build(INPUT, self._channels, self._size)
        yield plan
        with self._lock:
            if len(self._idle) < self._threads:
                self._idle.append(plan)
