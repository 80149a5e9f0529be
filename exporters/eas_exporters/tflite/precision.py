"""The precisions of a TFLite program: float32 in; the same with smaller weights, or with integer arithmetic, out.

What XNNPACK takes in one partition, and what it is fast at, decides the forms. Depthwise and fully connected layers of
the weight-only precisions read int8 constants through DEQUANTIZE (done once, when the file is loaded). A hard swish
between integers goes through float (it becomes a table of 256 entries). In an int8 file four things compute in float:
the input's normalisation, a stem with a hard swish behind it (integer kernels waste most of their width on three
channels; where the activation is fused, integers take no longer), depthwise kernels in parts (see `window.py`), and
the logits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np

from eas_exporters import quantization
from eas_exporters.calibration import Ranges
from eas_exporters.quantization import Constant, Scale
from eas_exporters.tflite.program import Operator, Program, Quantization, compact

Precision = Literal["float32", "float16", "dynamic", "int8"]

LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def float16_weights(program: Program) -> Program:
    """Weights and biases in float16, read through DEQUANTIZE; arithmetic in float32.

    Both, in every layer: XNNPACK before LiteRT 2.2 takes layers of one kind of constants only, and some runtimes refuse
    the others, or compute them wrongly.

    Raises:
        InputError: a weight is beyond float16.
    """

    def halved(rewriter: _Rewriter, position: int) -> int:
        constant = rewriter.source.tensors[position]
        assert constant.data is not None
        half = quantization.float16(constant.name, constant.data)
        return rewriter.dequantized(position, rewriter.program.constant(constant.name, half))

    def shrink(rewriter: _Rewriter, operator: Operator) -> tuple[int, ...]:
        data, weight, bias = operator.inputs
        return data, halved(rewriter, weight), halved(rewriter, bias)

    return _Rewriter(program).run(shrink)


def dynamic_range(program: Program) -> Program:
    """Weights in int8 with a scale for each channel; convolutions quantize their input as they run."""

    def shrink(rewriter: _Rewriter, operator: Operator) -> tuple[int, ...]:
        data, weight, bias = operator.inputs
        constant, axis = rewriter.source.tensors[weight], _channel_axis(operator)
        assert constant.data is not None
        scale = quantization.channel_scale(constant.data, axis)
        stored = rewriter.program.constant(constant.name, *_stored(constant.data, scale, axis))
        return data, stored if operator.kind == "CONV_2D" else rewriter.dequantized(weight, stored), bias

    return _Rewriter(program).run(shrink)


def integers(program: Program, ranges: Ranges) -> Program:
    """int8 weights and activations; float32 where an image comes in and logits go out."""
    return _Integers(program, ranges).run()


def activation_quantization(low: float, high: float) -> Quantization:
    """int8 over a range, which is widened to include 0, so that zero is exact."""
    scale, zero_point = quantization.affine(low, high, -128)
    return Quantization(np.array([scale]), np.array([zero_point], np.int64))


class _Rewriter:
    """Copies a program, with other weights."""

    def __init__(self, source: Program) -> None:
        self.source = source
        self.program = Program(list(source.tensors), [], list(source.inputs), list(source.outputs))

    def run(self, shrink: Callable[[_Rewriter, Operator], tuple[int, ...]]) -> Program:
        """`shrink` adds new constants (and what reads them) and returns what a layer reads instead."""
        for operator in self.source.operators:
            if operator.kind in LAYERS and not operator.exact:
                operator = replace(operator, inputs=shrink(self, operator))
            self.program.operators.append(operator)
        return compact(self.program)

    def dequantized(self, constant: int, stored: int) -> int:
        """What stands for a constant of the source, made of its stored form."""
        made = self.program.tensor("", self.source.tensors[constant].shape)
        return self.program.add("DEQUANTIZE", [stored], made)


class _Integers:
    def __init__(self, source: Program, ranges: Ranges) -> None:
        self.source, self.ranges = source, ranges
        self.program = Program(list(source.tensors), [], list(source.inputs), list(source.outputs))
        self.stored: dict[int, int] = {}  # float tensor of the source -> int8 tensor that stands for it
        self.real: dict[int, int] = {}  # the same -> what that int8 tensor is in float
        self.early = _early(source)

    def run(self) -> Program:
        for operator in self.source.operators:
            self._rewrite(operator)
        return compact(self.program)

    def _rewrite(self, operator: Operator) -> None:
        program = self.program
        held = self.source.tensors[operator.output].held
        if held is None or operator.output in self.early or operator.output == self.source.logits:
            program.operators.append(self._in_float(operator))
            return
        if operator.kind == "HARD_SWISH" or all(i not in self.stored for i in operator.inputs):
            program.operators.append(self._in_float(operator))
            program.add("QUANTIZE", [operator.output], self._int8(operator.output))
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

    def _in_float(self, operator: Operator) -> Operator:
        """The operator between float tensors; a layer's weights are int8 all the same."""
        program = self.program
        inputs = [self._real(i) for i in operator.inputs]
        if operator.kind in LAYERS and not operator.exact:
            weight = self.source.tensors[operator.inputs[1]]
            assert weight.data is not None
            axis = _channel_axis(operator)
            scale = quantization.channel_scale(weight.data, axis)
            stored = program.constant(weight.name, *_stored(weight.data, scale, axis))
            inputs[1] = program.add("DEQUANTIZE", [stored], program.tensor("", weight.shape))
        return replace(operator, inputs=tuple(inputs))

    def _int8(self, position: int) -> int:
        """The int8 tensor that stands for a float tensor of the source."""
        tensor = self.source.tensors[position]
        assert tensor.held is not None
        low, high = self.ranges[tensor.held.node, tensor.held.linear]
        for node in tensor.held.added:
            low, high = low + self.ranges[node, False][0], high + self.ranges[node, False][1]
        over = activation_quantization(low * tensor.held.factor, high * tensor.held.factor)
        made = self.program.tensor(tensor.name, tensor.shape, np.int8, over)
        self.stored[position] = made
        return made

    def _real(self, position: int) -> int:
        """The float tensor, made from its int8 form where that is what there is."""
        if position not in self.stored:
            return position
        if position not in self.real:
            made = self.program.tensor("", self.source.tensors[position].shape)
            self.real[position] = self.program.add("DEQUANTIZE", [self.stored[position]], made)
        return self.real[position]

    def _constant(self, position: int) -> int:
        tensor = self.program.tensors[position]
        if tensor.data is None or tensor.dtype != np.float32:
            return position
        over = activation_quantization(float(tensor.data.min()), float(tensor.data.max()))
        counts = np.rint(tensor.data / over.scale[0]) + over.zero_point[0]
        return self.program.constant(tensor.name, counts.clip(-128, 127).astype(np.int8), over)

    def _layer_inputs(self, operator: Operator) -> tuple[int, ...]:
        program = self.program
        data, weight, bias = operator.inputs
        source = program.tensors[self.stored[data]].quantization
        assert source is not None
        values, offsets = self.source.tensors[weight].data, self.source.tensors[bias].data
        assert values is not None
        assert offsets is not None
        axis = _channel_axis(operator)
        step = source.scale[0]
        scale = quantization.room_for_bias(quantization.channel_scale(values, axis), offsets, float(step))
        counts, product = quantization.int32_bias(offsets, step, scale)
        return (
            self.stored[data],
            program.constant(self.source.tensors[weight].name, *_stored(values, scale, axis)),
            program.constant(
                self.source.tensors[bias].name, counts, Quantization(product, np.zeros(len(product), np.int64))
            ),
        )


def _early(program: Program) -> set[int]:
    """The tensors up to the linear result of the stem, the first convolution after the image's normalisation."""
    found: set[int] = set()
    for operator in program.operators:
        found.add(operator.output)
        if operator.kind == "CONV_2D" and not operator.exact:
            break
    if not any(o.kind == "HARD_SWISH" and o.inputs[0] == operator.output for o in program.operators):
        found.discard(operator.output)
    return found


def _channel_axis(operator: Operator) -> int:
    """The axis of a layer's weights that counts output channels."""
    return 3 if operator.kind == "DEPTHWISE_CONV_2D" else 0


def _stored(weight: Constant, scale: Scale, axis: int) -> tuple[Constant, Quantization]:
    """Symmetric int8 weights and how to read them."""
    over = Quantization(scale, np.zeros(len(scale), np.int64), axis)
    return quantization.int8(weight, scale, axis), over
