"""From a graph to a MIL program, Core ML's intermediate language (opset iOS16 or later).

MIL is NCHW. Its padding is given side by side, four numbers; its sigmoid_hard makes hard sigmoid and hard swish.
Pixels of 0 to 255 become 0 to 1 inside the constants of Normalize, so that a scale for each channel costs no
operator more than one for all. The program's type is the type of its weights: a float16 program casts the image
once, and the logits back to float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import InputError
from eas_sdk.graph.nodes import (
    INPUT,
    Activation,
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
"""Names of the program's output."""

OUTPUTS = (LOGITS, PROBABILITIES, "classLabel", "classLabel_probs")
"""Names that no other operator may have; the last two are coremltools' for what comes of the probabilities."""


def lower(ct: Any, graph: Graph, *, target: Any, half: bool, pixels: bool, softmax: bool) -> Any:
    """The MIL program of a checked graph for one image.

    Args:
        ct: coremltools.
        target: the oldest system that is to run it, a member of `ct.target`.
        half: whether weights and arithmetic are float16; else float32.
        pixels: whether the input is [1, 3, S, S] in 0 to 255, for an image; else [1, S, S, 3] in 0 to 1.
        softmax: whether the output holds probabilities; else logits. float32 either way.

    Raises:
        InputError: a weight is beyond float16.
    """
    builder = ct.converters.mil.Builder
    lowering = _Lowering(builder, graph, np.dtype(np.float16 if half else np.float32))
    specification = builder.TensorSpec(shape=input_shape(graph, pixels=pixels))
    program = builder.program(input_specs=[specification], opset_version=target)
    return program(lambda image: lowering.run(image, pixels, softmax))


def input_shape(graph: Graph, *, pixels: bool) -> tuple[int, int, int, int]:
    """[1, C, S, S] for an image, [1, S, S, C] otherwise."""
    first = graph.nodes[0]
    assert isinstance(first, Normalize)
    return (1, first.channels, first.size, first.size) if pixels else (1, first.size, first.size, first.channels)


def operator_name(node: Node) -> str:
    """Name of the operator that makes a node's tensor: the node's, where that means nothing else."""
    return f"{node.name}.tensor" if node.name in OUTPUTS else node.name


def convolution_name(node: Conv2d | DepthwiseConv2d) -> str:
    """Name of the operator that does a convolution, before its activation."""
    return operator_name(node) if node.activation == "none" else f"{node.name}.linear"


class _Lowering:
    def __init__(self, builder: Any, graph: Graph, dtype: np.dtype[np.floating]) -> None:
        self.builder, self.graph, self.dtype = builder, graph, dtype
        self.made: dict[str, Any] = {}
        self.shared: dict[str, Any] = {}

    def run(self, image: Any, pixels: bool, softmax: bool) -> Any:
        builder = self.builder
        if self.dtype == np.float16:
            image = builder.cast(x=image, dtype="fp16")
        if not pixels:
            image = builder.transpose(x=image, perm=[0, 3, 1, 2])
        self.made[INPUT] = image
        for node in self.graph.nodes:
            self.made[node.name] = self._lower(node, [self.made[name] for name in node.inputs], pixels)
        output = self.made[self.graph.nodes[-1].name]
        if output.rank == 4:
            output = builder.transpose(x=output, perm=[0, 2, 3, 1])
        if softmax:
            output = builder.softmax(x=output, axis=-1)
        name = PROBABILITIES if softmax else LOGITS
        if self.dtype == np.float16:
            return builder.cast(x=output, dtype="fp32", name=name)
        return builder.identity(x=output, name=name)

    def _lower(self, node: Node, inputs: list[Any], pixels: bool) -> Any:
        builder, x = self.builder, inputs[0]
        match node:
            case Normalize():
                # First added to, then multiplied: of the other order coremltools makes a batch-norm, divided by the
                # root of 1 + 1e-5, whose mean is float32 in a float16 program; its optimizer then refuses the package.
                scale = self.graph.weights[f"{node.name}.weight"] / np.float32(255 if pixels else 1)
                offset = self.graph.weights[f"{node.name}.bias"] / scale
                made = builder.add(x=x, y=self._constant(node, offset.reshape(1, -1, 1, 1)))
                return builder.mul(x=made, y=self._constant(node, scale.reshape(1, -1, 1, 1)), name=operator_name(node))
            case Conv2d():
                weight = self.graph.weights[f"{node.name}.weight"].transpose(0, 3, 1, 2)
                return self._convolution(node, x, weight, 1)
            case DepthwiseConv2d():
                weight = self.graph.weights[f"{node.name}.weight"].transpose(2, 0, 1)[:, np.newaxis]
                return self._convolution(node, x, weight, node.channels)
            case GlobalMean():
                axes, keep = self._parameter("axes", [2, 3]), self._parameter("keep", True)
                return builder.reduce_mean(x=x, axes=axes, keep_dims=keep, name=operator_name(node))
            case Multiply():
                return builder.mul(x=x, y=inputs[1], name=operator_name(node))
            case Add():
                return builder.add(x=x, y=inputs[1], name=operator_name(node))
            case Mean():
                for other in inputs[1:]:
                    x = builder.add(x=x, y=other)
                share = self._parameter("share", self.dtype.type(1 / len(inputs)))
                return builder.mul(x=x, y=share, name=operator_name(node))
            case Linear():
                flat = builder.squeeze(x=x, axes=[2, 3])
                weight = self._constant(node, self.graph.weights[f"{node.name}.weight"])
                return builder.linear(x=flat, weight=weight, bias=self._bias(node), name=operator_name(node))

    def _convolution(self, node: Conv2d | DepthwiseConv2d, x: Any, weight: npt.NDArray[np.float32], groups: int) -> Any:
        dilation = node.dilation if isinstance(node, DepthwiseConv2d) else 1
        (above, below), (left, right) = node.pads
        made = self.builder.conv(
            x=x,
            weight=self._constant(node, weight),
            bias=self._bias(node),
            strides=self._parameter("stride", [node.stride] * 2),
            pad_type=self._parameter("padding", "custom"),
            pad=self._parameter("padding", [above, below, left, right]),
            dilations=self._parameter("dilation", [dilation] * 2),
            groups=self._parameter("groups", groups),
            name=convolution_name(node),
        )
        return self._activated(made, node.activation, operator_name(node))

    def _activated(self, x: Any, activation: Activation, name: str) -> Any:
        match activation:
            case "none":
                return x
            case "relu":
                return self.builder.relu(x=x, name=name)
            case "relu6":
                return self.builder.relu6(x=x, name=name)
            case "hard_sigmoid":
                return self.builder.sigmoid_hard(x=x, **self._hard(), name=name)
            case "hard_swish":
                return self.builder.mul(x=x, y=self.builder.sigmoid_hard(x=x, **self._hard()), name=name)

    def _hard(self) -> dict[str, Any]:
        """x / 6 + 1 / 2, cut to 0 and 1, is a hard sigmoid."""
        number = self.dtype.type
        return {"alpha": self._parameter("slope", number(1 / 6)), "beta": self._parameter("offset", number(0.5))}

    def _parameter(self, name: str, value: Any) -> Any:
        """A constant that operators share; one for each of them would be most of a small package's bytes."""
        key = f"{name} {value!r}"
        if key not in self.shared:
            self.shared[key] = self.builder.const(val=value, name=f"{name}_{len(self.shared)}")
        return self.shared[key]

    def _bias(self, node: Node) -> npt.NDArray[np.floating]:
        if isinstance(node, Conv2d) and node.bias == "none":
            return np.zeros(node.out_channels, self.dtype)
        return self._constant(node, self.graph.weights[f"{node.name}.bias"])

    def _constant(self, node: Node, values: npt.NDArray[np.float32]) -> npt.NDArray[np.floating]:
        """Contiguous, in the program's type."""
        with np.errstate(over="ignore"):
            stored: npt.NDArray[np.floating] = np.ascontiguousarray(values, self.dtype)
        if not np.isfinite(stored).all():
            most = float(np.abs(values).max())
            raise InputError(f"float16 weights lie within ±65504; node {node.name!r} has {most:g}: use float32")
        return stored
