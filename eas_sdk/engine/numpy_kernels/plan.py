"""A plan: every numpy call of a network for one batch size, over memory that is laid out once.

A feature map is a matrix of channels x positions, a position being (image, row, column). In memory it is either planar
(row-major: the positions of a channel lie together) or interleaved (column-major: the channels of a position lie
together). Matrix products read and write both, so each kernel chooses the order that suits it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from eas_sdk.engine.numpy_kernels.arena import Arena, Lease
from eas_sdk.engine.protocol import Array

Call = tuple[Callable[..., Any], tuple[Any, ...], Array]

ZERO = np.zeros((), np.float32)
ONE = np.ones((), np.float32)


class Kernel(Protocol):
    """One operation with its packed weights."""

    def emit(self, plan: Builder, inputs: Sequence[Array]) -> Array:
        """Add the calls that compute the operation to `plan`; returns the matrix that will hold the result."""
        ...


@dataclass(frozen=True)
class Step:
    """A kernel, the tensors that it reads and the tensor that it makes."""

    kernel: Kernel
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Plan:
    """The calls of a network for batches of one size.

    Attributes:
        images: C x N x S x S, to be filled before each `run`, which overwrites it.
        output: channels x positions, filled by `run`.
        calls: functions with their operands and their output, in order.
        memory_bytes: what the plan has reserved.
    """

    images: Array
    output: Array
    calls: tuple[Call, ...]
    memory_bytes: int

    def run(self) -> None:
        """Compute `output` from `images`."""
        for function, operands, out in self.calls:
            function(*operands, out=out)


class Builder:
    """Collects the calls of a plan and hands out its memory, which is used again once a tensor is dead."""

    def __init__(self, batch: int, steps: Sequence[Step]) -> None:
        self.batch = batch
        self._steps = steps
        self._last_use = {name: i for i, step in enumerate(steps) for name in step.inputs}
        self._calls: list[Call] = []
        self._arena = Arena()
        self._tensors: dict[str, tuple[Lease, Array]] = {}
        self._index = 0

    def build(self, name: str, channels: int, size: int) -> Plan:
        """The whole plan, for input tensor `name` of `channels` x (batch, size, size)."""
        output = images = self._reserve(name, channels, self.batch * size * size, interleaved=False)
        for index, step in enumerate(self._steps):
            self._index = index
            output = step.kernel.emit(self, [self._tensors[name][1] for name in step.inputs])
            for name in [name for name in self._tensors if self._last_use.get(name) == self._index]:
                self._arena.give(self._tensors.pop(name)[0])
        shape = (channels, self.batch, size, size)
        return Plan(images.reshape(shape), output, tuple(self._calls), self._arena.size_bytes)

    def call(self, function: Callable[..., Any], *operands: Any, out: Array) -> None:
        """Add one call."""
        self._calls.append((function, operands, out))

    def result(self, channels: int, positions: int, *, interleaved: bool = False) -> Array:
        """The matrix for the current step's output."""
        return self._reserve(self._steps[self._index].output, channels, positions, interleaved)

    def result_over_first_input(self) -> Array:
        """The matrix for the current step's output, shaped as its first input, and in its place if it dies here."""
        step = self._steps[self._index]
        lease, source = self._tensors[step.inputs[0]]
        if self._last_use[step.inputs[0]] != self._index:
            return self.result(*source.shape, interleaved=not source.flags.c_contiguous)
        del self._tensors[step.inputs[0]]
        self._tensors[step.output] = lease, source
        return source

    @contextmanager
    def scratch(self, count: int) -> Iterator[Array]:
        """An uninitialised flat array for the calls added inside the `with`."""
        lease, flat = self._arena.take(count)
        yield flat
        self._arena.give(lease)

    def _reserve(self, name: str, channels: int, positions: int, interleaved: bool) -> Array:
        lease, flat = self._arena.take(channels * positions)
        matrix = flat.reshape(positions, channels).T if interleaved else flat.reshape(channels, positions)
        self._tensors[name] = lease, matrix
        return matrix


def copy(source: Array, out: Array) -> None:
    """Copy `source` into `out`, broadcasting."""
    np.copyto(out, source)


def strided(flat: Array, start: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """A view into the contiguous `flat`, with start and strides counted in elements.

    numpy checks that it stays inside `flat`, and makes it in a sixth of the time of as_strided.
    """
    view: Array = np.ndarray(shape, np.float32, flat.data, 4 * start, tuple(4 * stride for stride in strides))
    return view
