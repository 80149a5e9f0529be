"""An LSTM that reads the same input at every step, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

LARGEST_EXPONENT = 700.0
"""Of what float64 can hold."""


@dataclass(frozen=True, eq=False)
class Lstm:
    """Its weights, the four gates side by side: input, forget, cell, output.

    tanh(x) = 2 sigmoid(2 x) - 1: the cell's weights are doubled, so that one sigmoid takes all four gates, and an
    exponential is far cheaper.

    Attributes:
        input: [I, 4H]; hidden: [H, 4H]; bias: [4H].
    """

    input: FloatArray
    hidden: FloatArray
    bias: FloatArray

    @classmethod
    def of(cls, input: FloatArray, hidden: FloatArray, bias: FloatArray) -> Lstm:
        """From weights as torch has them: [4H, I], [4H, H] and [4H]."""
        doubled = np.repeat([1.0, 1.0, 2.0, 1.0], hidden.shape[1])
        return cls(*(np.ascontiguousarray(weights.T * doubled) for weights in (input, hidden, bias)))

    def states(self, x: FloatArray, steps: int) -> FloatArray:
        """[M, steps, H]: its hidden states for inputs [M, I]."""
        size = len(self.hidden)
        from_input = x @ self.input + self.bias
        h = c = np.zeros((len(x), size))
        states = np.empty((len(x), steps, size))
        for step in range(steps):
            gates = h @ self.hidden
            gates += from_input
            i, f, g, o = sigmoid(gates).reshape(len(x), 4, size).transpose(1, 0, 2)
            g *= 2
            g -= 1
            c = f * c
            c += i * g
            h = sigmoid(2 * c)
            h *= 2
            h -= 1
            h *= o
            states[:, step] = h
        return states


def sigmoid(x: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)), in place."""
    np.negative(x, out=x)
    np.minimum(x, LARGEST_EXPONENT, out=x)
    np.exp(x, out=x)
    x += 1
    return np.divide(1, x, out=x)
