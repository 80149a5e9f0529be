"""From a graph to the operators of a float32 ONNX program.

Images come in as N x H x W x C, as everywhere in this project, or as N x C x H x W, the only layout of ONNX, which maps
have inside. Hard sigmoid and hard swish are made of products, sums and Clip: phones' runtimes lack their operators, and
OpenCV computes them wrongly behind a convolution.
"""

from __future__ import annotations

import numpy as np

from eas_exporters.onnx.program import FLOAT, Held, Program, Value
from eas_sdk.engine.protocol import Array
from eas_sdk.export import Layout
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


def lower(graph: Graph, *, uint8_input: bool, softmax: bool, layout: Layout = "NHWC", whole: bool = False) -> Program:
    """The program of a checked graph for a batch of any size.

    Args:
        uint8_input: whether the input holds pixels of 0 to 255; else float32 in [0, 1].
        softmax: whether the output holds probabilities; else logits.
        layout: of the input.
        whole: whether hard sigmoid and hard swish are operators, which onnxruntime alone is good at.
    """
    return _Lowering(graph, uint8_input, softmax, layout, whole).run()


class _Lowering:
    def __init__(self, graph: Graph, uint8_input: bool, softmax: bool, layout: Layout, whole: bool) -> None:
        first, last = graph.nodes[0], graph.nodes[-1]
        assert isinstance(first, Normalize)
        self.graph, self.uint8_input, self.softmax = graph, uint8_input, softmax
        self.layout, self.whole = layout, whole
        dtype = np.dtype(np.uint8) if uint8_input else np.dtype(np.float32)
        side, channels = first.size, first.channels
        image = Value(IMAGE, (side, side, channels) if layout == "NHWC" else (channels, side, side), dtype)
        output = Value(PROBABILITIES if softmax else LOGITS, output_shape(last), np.dtype(np.float32))
        self.program = Program(image, output, names={IMAGE, LOGITS, PROBABILITIES})
        self.made = {first.inputs[0]: IMAGE}
        self.shared: dict[float, str] = {}

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
        made = image
        if self.layout == "NHWC":
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
        program, weight, bias = self.program, self._weight(node), None
        if isinstance(node, DepthwiseConv2d):
            weight, groups = weight.transpose(2, 0, 1)[:, np.newaxis], node.channels
        else:
            weight, groups = weight.transpose(0, 3, 1, 2), 1
        if isinstance(node, DepthwiseConv2d) or node.bias != "none":
            bias = self._bias(node)
        gate = node.activation == "hard_sigmoid" and not self.whole
        if gate:  # the convolution makes x / 6 + 1 / 2, of which the gate is what lies between 0 and 1
            weight, bias = weight / np.float32(6), (0 if bias is None else bias / np.float32(6)) + np.float32(0.5)
            bias = np.broadcast_to(bias, len(weight)).astype(np.float32)
        operands = [source, program.constant(f"{node.name}.weight", np.ascontiguousarray(weight))]
        if bias is not None:
            operands.append(program.constant(f"{node.name}.bias", bias))
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
                return program.add("Clip", [linear, self._number(0), self._number(6)], self._tensor(node))
            case "hard_swish":
                program.held[linear] = Held(node.name, linear=True)
                return self._hard_swish(node, linear)
            case "hard_sigmoid" if gate:
                return program.add("Clip", [linear, self._number(0), self._number(1)], self._tensor(node))
            case "hard_sigmoid":
                return program.add("HardSigmoid", [linear], self._tensor(node), alpha=1 / 6, beta=0.5)

    def _hard_swish(self, node: Node, linear: str) -> str:
        program = self.program
        if self.whole:
            return program.add("HardSwish", [linear], self._tensor(node))
        names = [program.name(f"{node.name}.{part}") for part in ("sixth", "shifted", "gate")]
        made = program.add("Mul", [linear, self._number(1 / 6)], names[0])
        made = program.add("Add", [made, self._number(0.5)], names[1])
        made = program.add("Clip", [made, self._number(0), self._number(1)], names[2])
        return program.add("Mul", [linear, made], self._tensor(node))

    def _number(self, value: float) -> str:
        """A constant that operators share."""
        if value not in self.shared:
            self.shared[value] = self.program.constant(f"number.{value:.3g}", np.array(value, np.float32))
        return self.shared[value]

    def _tensor(self, node: Node) -> str:
        """A name for the result of a node."""
        name = self.program.name(node.name)
        self.program.held[name] = Held(node.name)
        return name

    def _weight(self, node: Node) -> Array:
        return self.graph.weights[f"{node.name}.weight"]

    def _bias(self, node: Node) -> Array:
        return self.graph.weights[f"{node.name}.bias"]
