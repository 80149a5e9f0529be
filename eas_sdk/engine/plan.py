"""A plan: every numpy call of one network for one batch size, over memory that is laid out once.

A feature map is a matrix of channels x positions, where a position is (image, row, column). In memory it is either
planar (row-major: each channel's positions lie together) or interleaved (column-major: each position's channels lie
together). Matrix products read and write either, so each operation chooses the order that suits it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from eas_sdk.engine.arena import Arena, Lease
from eas_sdk.engine.arrays import Array

ZERO = np.zeros((), np.float32)
ONE = np.ones((), np.float32)

Call = tuple[Callable[..., Any], tuple[Any, ...], Array]


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
        images: C x N x S x S, to be filled before `run`.
        output: channels x positions, filled by `run`.
        calls: numpy functions with their operands and their output, in order.
    """

    images: Array
    output: Array
    calls: Sequence[Call]

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
        images = self._reserve(name, channels, self.batch * size * size, interleaved=False)
        for self._index, step in enumerate(self._steps):
            output = step.kernel.emit(self, [self._tensors[name][1] for name in step.inputs])
            for name in {name for name in step.inputs if name in self._tensors and self._dies(name)}:
                self._arena.give(self._tensors.pop(name)[0])
        return Plan(images.reshape(channels, self.batch, size, size), output, tuple(self._calls))

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
        if not self._dies(step.inputs[0]):
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

    def _dies(self, name: str) -> bool:
        return self._last_use[name] == self._index

    def _reserve(self, name: str, channels: int, positions: int, interleaved: bool) -> Array:
        lease, flat = self._arena.take(channels * positions)
        matrix = flat.reshape(positions, channels).T if interleaved else flat.reshape(channels, positions)
        self._tensors[name] = lease, matrix
        return matrix


def copy(source: Array, out: Array) -> None:
    """np.copyto with the signature of a call."""
    np.copyto(out, source)


def fill(value: Array, out: Array) -> None:
    """Set every element of `out` to a value without axes."""
    out.fill(value)
