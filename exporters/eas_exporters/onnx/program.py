"""An ONNX model as data: operators and constants, before they become bytes. Tensors go by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Kind = Literal[
    "Add",
    "Cast",
    "Clip",
    "Conv",
    "DequantizeLinear",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "HardSigmoid",
    "HardSwish",
    "Mul",
    "QuantizeLinear",
    "Relu",
    "Softmax",
    "Transpose",
]
Attributes: TypeAlias = "Mapping[str, int | float | tuple[int, ...]]"
Constant: TypeAlias = "npt.NDArray[np.generic]"

FLOAT = 1
"""float32 among the data types of ONNX."""


@dataclass(frozen=True)
class Held:
    """Which values of the graph a tensor holds: those of a node, before or after its activation."""

    node: str
    linear: bool = False


@dataclass(frozen=True)
class Value:
    """What goes in or comes out.

    Attributes:
        shape: of one image; the batch comes before it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]


@dataclass(frozen=True)
class Operator:
    """One operator.

    Attributes:
        inputs: data, weights and, where there is one, bias for convolutions and fully connected layers.
    """

    kind: Kind
    inputs: tuple[str, ...]
    output: str
    attributes: Attributes


@dataclass(eq=False)
class Program:
    """One network in the making.

    Attributes:
        held: what tensors hold that integer arithmetic stores in 8 bits.
    """

    input: Value
    output: Value
    operators: list[Operator] = field(default_factory=list)
    constants: dict[str, Constant] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def name(self, wanted: str) -> str:
        """A name for a new tensor: `wanted`, with a mark behind it where that is taken."""
        while not wanted or wanted in self.names:  # "" means none
            wanted += "_"
        self.names.add(wanted)
        return wanted

    def constant(self, name: str, data: Constant) -> str:
        """A new constant; its name."""
        name = self.name(name)
        self.constants[name] = data
        return name

    def add(self, kind: Kind, inputs: Sequence[str], output: str, **attributes: int | float | tuple[int, ...]) -> str:
        """A new operator that makes the tensor `output`; returns `output`."""
        self.operators.append(Operator(kind, tuple(inputs), output, attributes))
        return output
