"""From a graph to the operators of a float32 TFLite program.

A hard sigmoid is a convolution with 3 added to its bias and RELU6 fused, which makes six times the gate; the sixth
goes into the weights of whatever convolution reads the product.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from eas_exporters.tflite.program import Fused, Held, Program, Quantization
from eas_exporters.tflite.window import convolve
from eas_sdk.engine.protocol import Array
from eas_sdk.graph.cost import output_shape
from eas_sdk.graph.nodes import (
    Add,
    Conv2d,
    DepthwiseConv2d,
    GlobalMean,
    Graph,
    Linear,
    Mean,
    Multiply,
    Node,
    Normalize,
)

LOGITS, PROBABILITIES = "logits", "probabilities"
"""Names of the output."""

UINT8 = Quantization(np.array([1 / 255], np.float32), np.array([0], np.int64))
"""How the pixels of a uint8 input are read: 0 to 255 as 0 to 1."""


def lower(graph: Graph, *, uint8_input: bool, softmax: bool) -> Program:
    """The program of a checked graph for one image.

    Args:
        uint8_input: whether the input holds pixels of 0 to 255; else float32 in [0, 1].
        softmax: whether the output holds probabilities; else logits.
    """
    return _Lowering(graph).run(uint8_input, softmax)


class _Lowering:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.program = Program()
        self.made: dict[str, int] = {}
        readers: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for name in node.inputs:
                readers.setdefault(name, []).append(node)
        self.sixfold = _sixfold(graph, readers)

    def run(self, uint8_input: bool, softmax: bool) -> Program:
        program, first = self.program, self.graph.nodes[0]
        shape = (1, *self.graph.input_shape)
        if uint8_input:
            image = program.tensor("image", shape, np.uint8, UINT8)
            real = program.add("DEQUANTIZE", [image], program.tensor("", shape))
        else:
            image = real = program.tensor("image", shape)
        program.inputs.append(image)
        self.made[first.inputs[0]] = real
        for node in self.graph.nodes:
            self.made[node.name] = self._lower(node, [self.made[name] for name in node.inputs])
        output = self.made[self.graph.nodes[-1].name]
        program.logits = output
        if softmax:
            made = program.tensor(PROBABILITIES, program.tensors[output].shape)
            output = program.add("SOFTMAX", [output], made)
        else:
            program.tensors[output] = replace(program.tensors[output], name=LOGITS)
        program.outputs.append(output)
        return program

    def _lower(self, node: Node, inputs: list[int]) -> int:
        program = self.program
        shape = (1, *output_shape(node))
        match node:
            case Normalize():
                return self._normalize(node, inputs[0], shape)
            case Conv2d() | DepthwiseConv2d():
                return self._convolution(node, inputs[0], shape)
            case GlobalMean():
                axes = program.constant(f"{node.name}.axes", np.array([1, 2], np.int32))
                return program.add("MEAN", [*inputs, axes], self._tensor(node, shape))
            case Multiply():
                factor = 6.0 if node.name in self.sixfold else 1.0
                return program.add("MUL", inputs, self._tensor(node, shape, factor=factor))
            case Add():
                return program.add("ADD", inputs, self._tensor(node, shape))
            case Mean():
                return self._mean(node, inputs, shape)
            case Linear():
                weight = program.constant(f"{node.name}.weight", self._weight(node))
                bias = program.constant(f"{node.name}.bias", self._bias(node))
                return program.add("FULLY_CONNECTED", [*inputs, weight, bias], self._tensor(node, shape))

    def _normalize(self, node: Normalize, source: int, shape: tuple[int, ...]) -> int:
        """A convolution of one pixel: XNNPACK multiplies and adds slowly where channels are so few."""
        program = self.program
        diagonal = np.diag(self._weight(node)).reshape(node.channels, 1, 1, node.channels)
        weight = program.constant(f"{node.name}.weight", np.ascontiguousarray(diagonal))
        bias = program.constant(f"{node.name}.bias", self._bias(node))
        return program.add("CONV_2D", [source, weight, bias], self._tensor(node, shape), exact=True)

    def _mean(self, node: Mean, inputs: list[int], shape: tuple[int, ...]) -> int:
        """A chain of additions and one product, all of which XNNPACK knows in integers too."""
        program, total = self.program, inputs[0]
        for i, other in enumerate(inputs[1:], 1):
            if i < len(inputs) - 1:
                held = Held(node.inputs[0], added=node.inputs[1 : i + 1])
            else:
                held = Held(node.name, factor=len(inputs))
            total = program.add("ADD", [total, other], program.tensor(f"{node.name}.sum{i}", shape, held=held))
        share = program.constant(f"{node.name}.share", np.array([1 / len(inputs)], np.float32))
        return program.add("MUL", [total, share], self._tensor(node, shape))

    def _convolution(self, node: Conv2d | DepthwiseConv2d, source: int, shape: tuple[int, ...]) -> int:
        program = self.program
        weight, bias = self._weight(node), self._bias(node)
        if node.inputs[0] in self.sixfold:
            weight = weight / np.float32(6)
        fused: Fused = "none"
        if node.activation in ("relu", "relu6"):
            fused = node.activation
        elif node.activation == "hard_sigmoid":
            bias, fused = bias + np.float32(3), "relu6"
        if node.activation == "hard_swish":
            out = self._tensor(node, shape, linear=True)
        else:
            out = self._tensor(node, shape, factor=6.0 if node.activation == "hard_sigmoid" else 1.0)
        convolve(program, node, source, weight, bias, out, fused)
        if node.activation == "hard_swish":
            out = program.add("HARD_SWISH", [out], self._tensor(node, shape))
        elif node.activation == "hard_sigmoid" and not self._is_sixfold(node):
            sixth = program.constant(f"{node.name}.sixth", np.array([1 / 6], np.float32))
            out = program.add("MUL", [out, sixth], self._tensor(node, shape))
        return out

    def _tensor(self, node: Node, shape: tuple[int, ...], *, linear: bool = False, factor: float = 1.0) -> int:
        name = node.name + (".linear" if linear else "") + (".sixfold" if factor == 6 else "")
        return self.program.tensor(name, shape, held=Held(node.name, linear, factor))

    def _is_sixfold(self, node: Node) -> bool:
        products = [n for n in self.graph.nodes if isinstance(n, Multiply) and n.inputs[1] == node.name]
        return bool(products) and all(product.name in self.sixfold for product in products)

    def _weight(self, node: Node) -> Array:
        return self.graph.weights[f"{node.name}.weight"]

    def _bias(self, node: Node) -> Array:
        if isinstance(node, Conv2d) and node.bias == "none":
            return np.zeros(node.out_channels, np.float32)
        bias: npt.NDArray[np.float32] = self.graph.weights[f"{node.name}.bias"]
        return bias


def _sixfold(graph: Graph, readers: dict[str, list[Node]]) -> set[str]:
    """Products with a hard sigmoid that hold six times their value: those that only convolutions read."""
    found: set[str] = set()
    for node in graph.nodes:
        if not (isinstance(node, Conv2d) and node.activation == "hard_sigmoid"):
            continue
        products = readers.get(node.name, [])
        linear = all(
            isinstance(product, Multiply)
            and product.inputs[1] == node.name
            and product.inputs[0] != node.name
            and readers.get(product.name)
            and all(isinstance(reader, Conv2d | DepthwiseConv2d) for reader in readers[product.name])
            for product in products
        )
        if products and linear:
            found.update(product.name for product in products)
    return found
