"""The precisions of an ONNX program: float32 in; the same with float16 weights, or with integer arithmetic, out.

Integer arithmetic is written as operators between DequantizeLinear and QuantizeLinear, which runtimes fuse into integer
kernels. Where they have none, for hard swish, they compute in float between the two. Activations are uint8: with int8
ones, onnxruntime leaves a part of the operators in float on x86-64. Weights have a little more than seven bits: see
`quantization.paired_scale`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from eas_exporters import quantization
from eas_exporters.calibration import Ranges
from eas_exporters.onnx.program import FLOAT, Constant, Operator, Program
from eas_exporters.quantization import Scale

LAYERS = ("Conv", "Gemm")


def float16_weights(program: Program) -> Program:
    """Weights in float16, read through Cast (done once, when the file is loaded); arithmetic in float32.

    Raises:
        InputError: a weight is beyond float16.
    """
    made = _empty(program)
    for operator in program.operators:
        if operator.kind in LAYERS:
            data, weight, *bias = operator.inputs
            made.constants[weight] = quantization.float16(weight, program.constants[weight])
            real = made.add("Cast", [weight], made.name(f"{weight}.float"), to=FLOAT)
            operator = replace(operator, inputs=(data, real, *bias))
        made.operators.append(operator)
    return made


def integers(program: Program, ranges: Ranges) -> Program:
    """int8 weights, a scale for each channel; uint8 activations; float32 where images come in and logits go out."""
    return _Integers(program, ranges).run()


@dataclass(frozen=True)
class _Stored:
    """The uint8 form of a tensor: its name, those of its scale and zero point, and the scale itself."""

    name: str
    scale: str
    zero_point: str
    step: np.float32


class _Integers:
    def __init__(self, source: Program, ranges: Ranges) -> None:
        self.source, self.ranges = source, ranges
        self.program = _empty(source)
        self.stored: dict[str, _Stored] = {}  # by tensor of the source
        self.real: dict[str, str] = {}  # tensor of the source -> what its uint8 form is in float
        self.shared: dict[tuple[str, int, int], str] = {}  # zero points

    def run(self) -> Program:
        for operator in self.source.operators:
            self._rewrite(operator)
        # onnxruntime before 1.19 lays other values where the output of an operator was that nothing reads.
        read, kept = {self.program.output.name}, []
        for operator in reversed(self.program.operators):
            if operator.output in read:
                read.update(operator.inputs)
                kept.append(operator)
        self.program.operators = kept[::-1]
        self.program.constants = {name: data for name, data in self.program.constants.items() if name in read}
        return self.program

    def _rewrite(self, operator: Operator) -> None:
        program, data, output = self.program, operator.inputs[0], operator.output
        if operator.kind in ("Relu", "Clip") and output in self.source.held:
            # The least uint8 stands for 0, the greatest for what was seen behind the activation: storing cuts the rest.
            self._store(data, output)
            return
        if operator.kind == "Flatten":
            flat = program.add(
                "Flatten", [self.stored[data].name], program.name(f"{output}.uint8"), **operator.attributes
            )
            self._note(output, replace(self.stored[data], name=flat))
            return
        if operator.kind in LAYERS:
            inputs = (self.real[data], *self._layer(operator))
        else:
            inputs = tuple(self.real.get(name, name) for name in operator.inputs)
        program.operators.append(replace(operator, inputs=inputs))
        if output in self.source.held:
            self._store(output, output)

    def _store(self, made: str, tensor: str) -> None:
        """Store what is `made` as the uint8 form of a tensor of the source."""
        program, held = self.program, self.source.held[tensor]
        low, high = self.ranges[held.node, held.linear]
        step, zero_point = quantization.affine(low, high, 0)
        scale = program.constant(f"{tensor}.scale", np.array(step))
        zero = self._zero_point(np.array(zero_point, np.uint8))
        stored = _Stored(program.name(f"{tensor}.uint8"), scale, zero, step)
        program.add("QuantizeLinear", [made, stored.scale, stored.zero_point], stored.name)
        self._note(tensor, stored)

    def _note(self, tensor: str, stored: _Stored) -> None:
        """Note the uint8 form of a tensor of the source, and make it float again for what reads it."""
        real = self.program.name(f"{tensor}.float")
        self.program.add("DequantizeLinear", [stored.name, stored.scale, stored.zero_point], real)
        self.stored[tensor], self.real[tensor] = stored, real

    def _layer(self, operator: Operator) -> list[str]:
        """The weights and bias of a layer, stored as integers and read through DequantizeLinear."""
        program, (data, weight, *bias) = self.program, operator.inputs
        values, step = program.constants[weight], self.stored[data].step
        scale = quantization.paired_scale(values, 0)
        if bias:
            scale = quantization.room_for_bias(scale, program.constants[bias[0]], float(step))
        inputs = [self._read(weight, quantization.int8(values, scale, 0), scale)]
        if bias:
            inputs.append(self._read(bias[0], *quantization.int32_bias(program.constants[bias[0]], step, scale)))
        return inputs

    def _read(self, name: str, counts: Constant, scale: Scale) -> str:
        """Store a constant as integers that have a scale for each channel, with zero for zero."""
        program = self.program
        program.constants[name] = counts
        scales = program.constant(f"{name}.scale", scale)
        # ONNX allows to leave zeros out, but onnxruntime then puts one for all channels, which it refuses itself.
        zeros = np.zeros(len(scale), counts.dtype)
        if counts.dtype == np.int8:  # onnxruntime may turn weights into uint8, each with its own zeros
            zero_points = program.constant(f"{name}.zero", zeros)
        else:
            zero_points = self._zero_point(zeros)
        return program.add("DequantizeLinear", [name, scales, zero_points], program.name(f"{name}.float"), axis=0)

    def _zero_point(self, value: Constant) -> str:
        """The constant that holds a zero point, or those of all channels; equal ones are one."""
        key = value.dtype.name, value.size, int(value.flat[0])
        if key not in self.shared:
            self.shared[key] = self.program.constant(f"zero.{value.flat[0]}x{value.size}", value)
        return self.shared[key]


def _empty(source: Program) -> Program:
    """A program with the constants of another, and no operators yet."""
    return Program(source.input, source.output, constants=dict(source.constants), names=set(source.names))
