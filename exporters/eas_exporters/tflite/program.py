"""A TFLite model as data: tensors and operators, before they become bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

Kind = Literal[
    "ADD",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "DEQUANTIZE",
    "FULLY_CONNECTED",
    "HARD_SWISH",
    "MEAN",
    "MUL",
    "PAD",
    "QUANTIZE",
    "SOFTMAX",
]
Fused = Literal["none", "relu", "relu6"]


@dataclass(frozen=True, eq=False)
class Quantization:
    """real = scale * (stored - zero_point), for the whole tensor or for each index along `axis`.

    Attributes:
        scale: float32 [1] or [channels]; zero_point: int64 of the same length.
    """

    scale: npt.NDArray[np.float32]
    zero_point: npt.NDArray[np.int64]
    axis: int = 0


@dataclass(frozen=True)
class Held:
    """Which values of the graph a tensor holds: those of a node, before or after its activation, times a factor.

    Attributes:
        added: nodes whose values are added to those.
    """

    node: str
    linear: bool = False
    factor: float = 1.0
    added: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor: a constant where it has data, else made by an operator or given as an input.

    What only passes from one operator to the next may have the name "".
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    data: npt.NDArray[np.generic] | None = None
    quantization: Quantization | None = None
    held: Held | None = None


@dataclass(frozen=True)
class Operator:
    """One operator; tensors are named by their position in the program.

    Attributes:
        inputs: data, weights, bias for convolutions and fully connected layers.
        same: padding SAME instead of VALID.
        dilation: vertical and horizontal distance of a depthwise convolution's taps.
        exact: whether its weights stay float32 in every precision.
    """

    kind: Kind
    inputs: tuple[int, ...]
    output: int
    fused: Fused = "none"
    stride: int = 1
    same: bool = False
    dilation: tuple[int, int] = (1, 1)
    exact: bool = False


@dataclass(eq=False)
class Program:
    """One subgraph in the making.

    Attributes:
        logits: position of the logits.
    """

    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    logits: int = -1

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: npt.DTypeLike = np.float32,
        quantization: Quantization | None = None,
        held: Held | None = None,
    ) -> int:
        """A new tensor without data; its position."""
        self.tensors.append(Tensor(name, tuple(shape), np.dtype(dtype), None, quantization, held))
        return len(self.tensors) - 1

    def constant(self, name: str, data: npt.NDArray[np.generic], quantization: Quantization | None = None) -> int:
        """A new constant; its position."""
        self.tensors.append(Tensor(name, data.shape, data.dtype, data, quantization))
        return len(self.tensors) - 1

    def add(
        self,
        kind: Kind,
        inputs: Sequence[int],
        output: int,
        *,
        fused: Fused = "none",
        stride: int = 1,
        same: bool = False,
        dilation: tuple[int, int] = (1, 1),
        exact: bool = False,
    ) -> int:
        """A new operator that makes the tensor `output`; returns `output`."""
        self.operators.append(Operator(kind, tuple(inputs), output, fused, stride, same, dilation, exact))
        return output


def compact(program: Program) -> Program:
    """The same program without the tensors that nothing reads or makes."""
    used = {*program.inputs, *program.outputs}
    for operator in program.operators:
        used.update(operator.inputs, [operator.output])
    kept = sorted(used)
    place = {old: new for new, old in enumerate(kept)}
    operators = [
        replace(o, inputs=tuple(place[i] for i in o.inputs), output=place[o.output]) for o in program.operators
    ]
    return Program(
        [program.tensors[i] for i in kept],
        operators,
        [place[i] for i in program.inputs],
        [place[i] for i in program.outputs],
    )
