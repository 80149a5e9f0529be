"""The precisions of a TFLite program: float32 in; the same with smaller weights, or with integer arithmetic, out.

What XNNPACK takes in one partition decides the forms: depthwise and fully connected layers of the weight-only
precisions read int8 constants through DEQUANTIZE (done once, when the file is loaded), and a hard swish between
integers goes through float (it becomes a table of 256 entries).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import InputError
from exporters.calibration import Ranges
from exporters.tflite.program import Operator, Program, Quantization, Tensor, compact

Precision = Literal["float32", "float16", "dynamic", "int8"]

LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")

LARGEST_BIAS = 2.0**30
"""Of an int32 bias: leaves room for what is added to it."""


def float16_weights(program: Program) -> Program:
    """Weights in float16, read through DEQUANTIZE; arithmetic in float32.

    Raises:
        InputError: a weight is beyond float16.
    """

    def shrink(rewriter: _Rewriter, operator: Operator, weight: Tensor) -> int:
        assert weight.data is not None
        with np.errstate(over="ignore"):
            data = weight.data.astype(np.float16)
        if not np.isfinite(data).all():
            most = float(np.abs(weight.data).max())
            raise InputError(f"float16 weights lie within ±65504; {weight.name!r} has {most:g}: use float32")
        return rewriter.dequantized(weight, rewriter.program.constant(weight.name, data))

    return _Rewriter(program).run(shrink)


def dynamic_range(program: Program) -> Program:
    """Weights in int8 with a scale for each channel; convolutions quantize their input as they run."""

    def shrink(rewriter: _Rewriter, operator: Operator, weight: Tensor) -> int:
        assert weight.data is not None
        axis = _channel_axis(operator)
        scale = _weight_scale(weight.data, axis)
        stored = rewriter.program.constant(weight.name, *_stored(weight.data, scale, axis))
        return stored if operator.kind == "CONV_2D" else rewriter.dequantized(weight, stored)

    return _Rewriter(program).run(shrink)


def integers(program: Program, ranges: Ranges) -> Program:
    """int8 weights and activations; float32 where an image comes in and logits go out."""
    return _Integers(program, ranges).run()


def activation_quantization(low: float, high: float) -> Quantization:
    """int8 over a range, which is widened to include 0, so that zero is exact."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32(max((high - low) / 255, 1e-9))
    zero_point = int(np.clip(round(-128 - low / float(scale)), -128, 127))
    return Quantization(np.array([scale]), np.array([zero_point], np.int64))


class _Rewriter:
    """Copies a program, with other weights."""

    def __init__(self, source: Program) -> None:
        self.source = source
        self.program = Program(list(source.tensors), [], list(source.inputs), list(source.outputs))

    def run(self, shrink: Callable[[_Rewriter, Operator, Tensor], int]) -> Program:
        """`shrink` adds the new constant (and what reads it) and returns the tensor that replaces the weight."""
        for operator in self.source.operators:
            if operator.kind in LAYERS:
                data, weight, bias = operator.inputs
                made = shrink(self, operator, self.source.tensors[weight])
                operator = replace(operator, inputs=(data, made, bias))
            self.program.operators.append(operator)
        return compact(self.program)

    def dequantized(self, weight: Tensor, stored: int) -> int:
        made = self.program.tensor("", weight.shape)
        return self.program.add("DEQUANTIZE", [stored], made)


class _Integers:
    def __init__(self, source: Program, ranges: Ranges) -> None:
        self.source, self.ranges = source, ranges
        self.program = Program(list(source.tensors), [], list(source.inputs), list(source.outputs))
        self.stored: dict[int, int] = {}  # float tensor of the source -> int8 tensor that stands for it

    def run(self) -> Program:
        for operator in self.source.operators:
            self._rewrite(operator)
        return compact(self.program)

    def _rewrite(self, operator: Operator) -> None:
        program = self.program
        held = self.source.tensors[operator.output].held
        if held is None or operator.kind == "SOFTMAX":  # what surrounds the network stays float
            program.operators.append(replace(operator, inputs=tuple(self._real(i) for i in operator.inputs)))
            return
        if operator.kind == "HARD_SWISH":
            real = program.tensor("", self.source.tensors[operator.output].shape)
            program.add("HARD_SWISH", [self._real(operator.inputs[0])], real)
            program.add("QUANTIZE", [real], self._int8(operator.output))
            return
        if all(i not in self.stored for i in operator.inputs):  # the normalised image
            program.operators.append(operator)
            program.add("QUANTIZE", [operator.output], self._int8(operator.output))
            return
        if operator.output == self.source.logits:
            self._finish(operator)
            return
        if operator.kind in LAYERS:
            inputs = self._layer_inputs(operator)
        else:
            inputs = tuple(self.stored.get(i, i) for i in operator.inputs)
        if operator.kind == "PAD":
            source = program.tensors[inputs[0]]
            shape = self.source.tensors[operator.output].shape
            out = program.tensor("", shape, np.int8, source.quantization)
            self.stored[operator.output] = out
        else:
            if operator.kind == "MUL":  # with a constant, if not with a gate
                inputs = tuple(self._constant(i) for i in inputs)
            out = self._int8(operator.output)
        program.operators.append(replace(operator, inputs=inputs, output=out))

    def _finish(self, operator: Operator) -> None:
        """What makes the logits computes in float: their range on other images is not known, and cutting it off would
        make the most certain labels equal. A layer's weights are int8 all the same."""
        program = self.program
        inputs = [self._real(i) for i in operator.inputs]
        if operator.kind in LAYERS:
            weight = self.source.tensors[operator.inputs[1]]
            assert weight.data is not None
            axis = _channel_axis(operator)
            stored = program.constant(weight.name, *_stored(weight.data, _weight_scale(weight.data, axis), axis))
            inputs[1] = program.add("DEQUANTIZE", [stored], program.tensor("", weight.shape))
        program.operators.append(replace(operator, inputs=tuple(inputs)))

    def _int8(self, position: int) -> int:
        """The int8 tensor that stands for a float tensor of the source."""
        tensor = self.source.tensors[position]
        assert tensor.held is not None
        low, high = self.ranges[tensor.held.node, tensor.held.linear]
        quantization = activation_quantization(low * tensor.held.factor, high * tensor.held.factor)
        made = self.program.tensor(tensor.name, tensor.shape, np.int8, quantization)
        self.stored[position] = made
        return made

    def _real(self, position: int) -> int:
        """The float tensor, made from its int8 form where that is what there is."""
        if position not in self.stored:
            return position
        tensor = self.source.tensors[position]
        made = self.program.tensor("", tensor.shape)
        return self.program.add("DEQUANTIZE", [self.stored[position]], made)

    def _constant(self, position: int) -> int:
        tensor = self.program.tensors[position]
        if tensor.data is None or tensor.dtype != np.float32:
            return position
        quantization = activation_quantization(float(tensor.data.min()), float(tensor.data.max()))
        q = np.rint(tensor.data / quantization.scale[0]) + quantization.zero_point[0]
        return self.program.constant(tensor.name, q.clip(-128, 127).astype(np.int8), quantization)

    def _layer_inputs(self, operator: Operator) -> tuple[int, ...]:
        program = self.program
        data, weight, bias = operator.inputs
        source = program.tensors[self.stored[data]].quantization
        assert source is not None
        values, offsets = self.source.tensors[weight].data, self.source.tensors[bias].data
        assert values is not None
        assert offsets is not None
        axis = _channel_axis(operator)
        # An int32 bias counts in input scale times weight scale; a channel of tiny weights must leave room for it.
        least = np.abs(offsets) / (float(source.scale[0]) * LARGEST_BIAS)
        scale = np.maximum(_weight_scale(values, axis), least).astype(np.float32)
        bias_scale = (source.scale * scale).astype(np.float32)
        counted = np.rint(offsets / bias_scale.astype(np.float64)).astype(np.int32)
        zeros = np.zeros(len(scale), np.int64)
        return (
            self.stored[data],
            program.constant(self.source.tensors[weight].name, *_stored(values, scale, axis)),
            program.constant(self.source.tensors[bias].name, counted, Quantization(bias_scale, zeros)),
        )


def _channel_axis(operator: Operator) -> int:
    """The axis of a layer's weights that counts output channels."""
    return 3 if operator.kind == "DEPTHWISE_CONV_2D" else 0


def _weight_scale(weight: npt.NDArray[np.generic], axis: int) -> npt.NDArray[np.float32]:
    """[channels]: the scale that stores each channel's greatest magnitude as 127."""
    others = tuple(i for i in range(weight.ndim) if i != axis)
    most: npt.NDArray[np.float32] = np.abs(weight.astype(np.float32)).max(others)
    scale: npt.NDArray[np.float32] = np.maximum(most / np.float32(127), np.float32(1e-9))
    return scale


def _stored(
    weight: npt.NDArray[np.generic], scale: npt.NDArray[np.float32], axis: int
) -> tuple[npt.NDArray[np.int8], Quantization]:
    """Symmetric int8 weights and how to read them."""
    shape = [1] * weight.ndim
    shape[axis] = -1
    q = np.rint(weight.astype(np.float32) / scale.reshape(shape)).clip(-127, 127).astype(np.int8)
    return q, Quantization(scale, np.zeros(len(scale), np.int64), axis)
