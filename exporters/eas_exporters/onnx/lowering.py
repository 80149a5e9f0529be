"""From a graph to the operators of a float32 ONNX program.

Images come in as N x H x W x C, as everywhere in this project; inside, maps are N x C x H x W, the only layout of ONNX.
"""

from __future__ import annotations

import numpy as np

from eas_exporters.onnx.program import FLOAT, Held, Program, Value
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

IMAGE, LOGITS, PROBABILITIES = "image", "logits", "probabilities"


def lower(graph: Graph, *, uint8_input: bool, softmax: bool) -> Program:
    """The program of a checked graph for a batch of any size.

    Args:
        uint8_input: whether the input holds pixels of 0 to 255; else float32 in [0, 1].
        softmax: whether the output holds probabilities; else logits.
    """
    return _Lowering(graph, uint8_input, softmax).run()


class _Lowering:
    def __init__(self, graph: Graph, uint8_input: bool, softmax: bool) -> None:
        first, last = graph.nodes[0], graph.nodes[-1]
        assert isinstance(first, Normalize)
        self.graph, self.uint8_input, self.softmax = graph, uint8_input, softmax
        dtype = np.dtype(np.uint8) if uint8_input else np.dtype(np.float32)
        image = Value(IMAGE, (first.size, first.size, first.channels), dtype)
        output = Value(PROBABILITIES if softmax else LOGITS, output_shape(last), np.dtype(np.float32))
        self.program = Program(image, output, names={IMAGE, LOGITS, PROBABILITIES})
        self.made = {first.inputs[0]: IMAGE}
        self.bounds: tuple[str, ...] = ()

    def run(self) -> Program:
        program = self.program
        for node in self.graph.nodes:
            self.made[node.name] = self._lower(node, [self.made[name] for name in node.inputs])
        if not isinstance(self.graph.nodes[-1], Linear):
            program.add("Transpose", [self.made[self.graph.nodes[-1].name]], LOGITS, perm=(0, 2, 3, 1))
        if self.softmax:
            program.add("Softmax", [LOGITS], PROBABILITIES, axis=-1)
        return program

    def _lower(self, node: Node, inputs: list[str]) -> str:
        program = self.program
        match node:
            case Normalize():
                return self._normalize(node, inputs[0])
            case Conv2d() | DepthwiseConv2d():
                return self._convolution(node, inputs[0])
            case GlobalMean():
                return program.add("GlobalAveragePool", inputs, self._tensor(node))
            case Multiply():
                return program.add("Mul", inputs, self._tensor(node))
            case Add():
                return program.add("Add", inputs, self._tensor(node))
            case Mean():
                return self._mean(node, inputs)
            case Linear():
                flat = program.add("Flatten", inputs, program.name(f"{node.name}.flat"), axis=1)
                weight = program.constant(f"{node.name}.weight", self._weight(node))
                bias = program.constant(f"{node.name}.bias", self._bias(node))
                return program.add("Gemm", [flat, weight, bias], LOGITS, transB=1)

    def _normalize(self, node: Normalize, image: str) -> str:
        program, scale = self.program, self._weight(node)
        made = program.add("Transpose", [image], program.name(f"{node.name}.planes"), perm=(0, 3, 1, 2))
        if self.uint8_input:
            made = program.add("Cast", [made], program.name(f"{node.name}.pixels"), to=FLOAT)
            scale = scale / np.float32(255)
        weight = program.constant(f"{node.name}.weight", scale.reshape(-1, 1, 1))
        bias = program.constant(f"{node.name}.bias", self._bias(node).reshape(-1, 1, 1))
        made = program.add("Mul", [made, weight], program.name(f"{node.name}.scaled"))
        return program.add("Add", [made, bias], self._tensor(node))

    def _mean(self, node: Mean, inputs: list[str]) -> str:
        """A chain of additions and one product: integer kernels know these."""
        program, total = self.program, inputs[0]
        for i, other in enumerate(inputs[1:], 1):
            name = program.name(f"{node.name}.sum{i}")
            total = program.add("Add", [total, other], name)
        share = program.constant(f"{node.name}.share", np.array(1 / len(inputs), np.float32))
        return program.add("Mul", [total, share], self._tensor(node))

    def _convolution(self, node: Conv2d | DepthwiseConv2d, source: str) -> str:
        program, weight = self.program, self._weight(node)
        if isinstance(node, DepthwiseConv2d):
            weight, groups = weight.transpose(2, 0, 1)[:, np.newaxis], node.channels
        else:
            weight, groups = weight.transpose(0, 3, 1, 2), 1
        operands = [source, program.constant(f"{node.name}.weight", np.ascontiguousarray(weight))]
        if isinstance(node, DepthwiseConv2d) or node.bias != "none":
            operands.append(program.constant(f"{node.name}.bias", self._bias(node)))
        if node.activation == "none":
            linear = self._tensor(node)
        else:
            linear = program.name(f"{node.name}.linear")
        window, dilation = (node.window, 1) if isinstance(node, Conv2d) else ((node.kernel,) * 2, node.dilation)
        spread = {"dilations": (dilation,) * 2} if dilation > 1 else {}
        (above, below), (left, right) = node.pads
        pads, strides = (above, left, below, right), (node.stride,) * 2
        program.add("Conv", operands, linear, kernel_shape=window, strides=strides, pads=pads, group=groups, **spread)
        match node.activation:
            case "none":
                return linear
            case "relu":
                return program.add("Relu", [linear], self._tensor(node))
            case "relu6":
                return program.add("Clip", [linear, *self._bounds()], self._tensor(node))
            case "hard_swish":
                program.held[linear] = Held(node.name, linear=True)
                return program.add("HardSwish", [linear], self._tensor(node))
            case "hard_sigmoid":
                program.held[linear] = Held(node.name, linear=True)
                return program.add("HardSigmoid", [linear], self._tensor(node), alpha=1 / 6, beta=0.5)

    def _bounds(self) -> tuple[str, ...]:
        """The constants 0 and 6, which all relu6 share."""
        if not self.bounds:
            self.bounds = tuple(self.program.constant(f"clip.{end}", np.array(end, np.float32)) for end in (0, 6))
        return self.bounds

    def _tensor(self, node: Node) -> str:
        """A name for the result of a node."""
        name = self.program.name(node.name)
        self.program.held[name] = Held(node.name)
        return name

    def _weight(self, node: Node) -> Array:
        return self.graph.weights[f"{node.name}.weight"]

    def _bias(self, node: Node) -> Array:
        return self.graph.weights[f"{node.name}.bias"]
