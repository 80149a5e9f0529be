"""From TFLite programs to the bytes of a .tflite file (schema version 3, identifier TFL3).

Slots are those of TensorFlow Lite's schema.fbs. Constants with equal bytes are one buffer, over all signatures; within
one network only small ones are equal. Every tensor of a subgraph has a name of its own: readers other than LiteRT find
tensors by it.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from eas_exporters.tflite.flatbuffer import Blob, Scalar, Table, Value, serialize
from eas_exporters.tflite.program import Kind, Operator, Program, Tensor

CODES: Mapping[Kind, int] = {
    "ADD": 0,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 4,
    "DEQUANTIZE": 6,
    "FULLY_CONNECTED": 9,
    "MUL": 18,
    "SOFTMAX": 25,
    "PAD": 34,
    "MEAN": 40,
    "QUANTIZE": 114,
    "HARD_SWISH": 117,
}
TYPES = {
    np.dtype(np.float32): 0,
    np.dtype(np.float16): 1,
    np.dtype(np.int32): 2,
    np.dtype(np.uint8): 3,
    np.dtype(np.int8): 9,
}
SMALL_BYTES = 4096

FUSED = {"none": 0, "relu": 1, "relu6": 3}

RUNTIMES: Mapping[tuple[Kind, int], tuple[int, ...]] = {
    ("ADD", 2): (1, 14, 0),
    ("CONV_2D", 3): (1, 14, 0),
    ("CONV_2D", 5): (2, 4, 0),
    ("DEPTHWISE_CONV_2D", 2): (1, 12, 0),
    ("DEPTHWISE_CONV_2D", 3): (1, 14, 0),
    ("DEQUANTIZE", 2): (1, 14, 0),
    ("DEQUANTIZE", 3): (1, 15, 0),
    ("DEQUANTIZE", 5): (2, 7, 0),
    ("FULLY_CONNECTED", 4): (1, 14, 0),
    ("HARD_SWISH", 1): (1, 15, 0),
    ("MEAN", 1): (1, 6, 0),
    ("MEAN", 2): (1, 14, 0),
    ("MUL", 2): (1, 14, 0),
    ("PAD", 2): (1, 14, 0),
    ("QUANTIZE", 1): (1, 14, 0),
}
"""The first TensorFlow Lite that knows a version of an operator, where it is later than 1.5.0."""


def assemble(
    signatures: Mapping[str, Program], *, description: str, metadata: bytes | None = None
) -> list[bytes | memoryview]:
    """The parts of a file with one subgraph and one signature for each program.

    Args:
        signatures: signature name -> program; the first one is what a plain interpreter runs.
        metadata: a TFLITE_METADATA flatbuffer.
    """
    buffers = _Buffers(compared_bytes=SMALL_BYTES if len(signatures) == 1 else sys.maxsize)
    codes: dict[tuple[Kind, int], int] = {}
    subgraphs = [_subgraph(name, program, buffers, codes) for name, program in signatures.items()]
    runtime = max((RUNTIMES.get(code, (1, 5, 0)) for code in codes), default=(1, 5, 0))
    version = ".".join(map(str, runtime)).encode().ljust(16, b"\0")
    notes: list[Table | str] = [_metadata("min_runtime_version", buffers.add(np.frombuffer(version, np.uint8)))]
    if metadata is not None:
        notes.append(_metadata("TFLITE_METADATA", buffers.add(np.frombuffer(metadata, np.uint8))))
    model: Table = {
        0: Scalar("I", 3),
        1: [_operator_code(kind, version) for kind, version in codes],
        2: subgraphs,
        3: description,
        4: buffers.tables,
        6: notes,
        7: [_signature(name, i, program) for i, (name, program) in enumerate(signatures.items())],
    }
    return serialize(model, b"TFL3")


class _Buffers:
    """The file's buffers; the first is empty, as the format demands."""

    def __init__(self, compared_bytes: int) -> None:
        """Arrays up to `compared_bytes` are compared with those before: hashing takes longer than all the rest."""
        self.tables: list[Table | str] = [{}]
        self._compared_bytes = compared_bytes
        self._known: dict[tuple[int, bytes], int] = {}

    def add(self, data: npt.NDArray[np.generic]) -> int:
        content = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
        if content.size > self._compared_bytes:
            self.tables.append({0: Blob(content)})
            return len(self.tables) - 1
        key = content.size, hashlib.blake2b(content.data, digest_size=16).digest()
        if key not in self._known:
            self._known[key] = len(self.tables)
            self.tables.append({0: Blob(content)})
        return self._known[key]


def _metadata(name: str, buffer: int) -> Table:
    return {0: name, 1: Scalar("I", buffer)}


def _operator_code(kind: Kind, version: int) -> Table:
    code = CODES[kind]
    return {0: Scalar("b", min(code, 127)), 2: Scalar("i", version), 3: Scalar("i", code)}


def _signature(name: str, index: int, program: Program) -> Table:
    return {
        0: [{0: program.tensors[i].name, 1: Scalar("I", i)} for i in program.inputs],
        1: [{0: program.tensors[i].name, 1: Scalar("I", i)} for i in program.outputs],
        2: name,
        4: Scalar("I", index),
    }


def _subgraph(name: str, program: Program, buffers: _Buffers, codes: dict[tuple[Kind, int], int]) -> Table:
    operators: list[Table | str] = []
    for operator in program.operators:
        code = operator.kind, _version(operator, program)
        index = codes.setdefault(code, len(codes))
        kind, options = _options(operator)
        operators.append(
            {
                0: Scalar("I", index),
                1: np.array(operator.inputs, np.int32),
                2: np.array([operator.output], np.int32),
                3: Scalar("B", kind),
                4: options,
            }
        )
    return {
        0: [_tensor(tensor, own, buffers) for tensor, own in zip(program.tensors, _names(program), strict=True)],
        1: np.array(program.inputs, np.int32),
        2: np.array(program.outputs, np.int32),
        3: operators,
        4: name,
    }


def _names(program: Program) -> list[str]:
    """A name for each tensor: its own, unless another has it, or else that of what made it, and how."""
    made: dict[int, str] = {}
    taken: set[str] = set()

    def name(position: int, otherwise: str) -> None:
        if position in made:
            return
        wanted = program.tensors[position].name
        wanted = wanted if wanted and wanted not in taken else otherwise
        count = 0
        while (own := f"{wanted}.{count}" if count else wanted) in taken:
            count += 1
        taken.add(own)
        made[position] = own

    for position in (*program.inputs, *program.outputs):
        name(position, "tensor")
    for operator in program.operators:
        for position in operator.inputs:
            name(position, program.tensors[position].name or "tensor")
        name(operator.output, f"{made[operator.inputs[0]]}.{operator.kind.lower()}")
    return [made[position] for position in range(len(program.tensors))]


def _tensor(tensor: Tensor, name: str, buffers: _Buffers) -> Table:
    quantization: Value | None = None
    if tensor.quantization is not None:
        q = tensor.quantization
        quantization = {2: q.scale, 3: q.zero_point, 6: Scalar("i", q.axis)}
    return {
        0: np.array(tensor.shape, np.int32),
        1: Scalar("b", TYPES[tensor.dtype]),
        2: Scalar("I", 0 if tensor.data is None else buffers.add(tensor.data)),
        3: name,
        4: quantization,
    }


def _options(operator: Operator) -> tuple[int, Table]:
    """The member of the schema's union BuiltinOptions and its table. Defaults of the schema are not good ones."""
    padding, fused = Scalar("b", 0 if operator.same else 1), Scalar("b", FUSED[operator.fused])
    stride, one = Scalar("i", operator.stride), Scalar("i", 1)
    match operator.kind:
        case "CONV_2D":
            return 1, {0: padding, 1: stride, 2: stride, 3: fused, 4: one, 5: one}
        case "DEPTHWISE_CONV_2D":
            down, across = (Scalar("i", distance) for distance in operator.dilation)
            return 2, {0: padding, 1: stride, 2: stride, 3: one, 4: fused, 5: across, 6: down}
        case "FULLY_CONNECTED":
            return 8, {0: fused}
        case "SOFTMAX":
            return 9, {0: Scalar("f", 1.0)}
        case "ADD":
            return 11, {0: fused}
        case "MUL":
            return 21, {0: fused}
        case "PAD":
            return 22, {}
        case "MEAN":
            return 27, {0: Scalar("?", True)}
        case "DEQUANTIZE":
            return 38, {}
        case "QUANTIZE":
            return 89, {}
        case "HARD_SWISH":
            return 91, {}


def _version(operator: Operator, program: Program) -> int:
    """The operator's version, by the types of what it reads."""
    read = [program.tensors[i] for i in operator.inputs]
    integer = read[0].dtype == np.int8
    match operator.kind:
        case "CONV_2D":
            return 3 if integer else 5 if read[1].dtype == np.int8 else 1
        case "DEPTHWISE_CONV_2D":
            return 3 if integer else 2 if max(operator.dilation) > 1 else 1
        case "FULLY_CONNECTED":
            return 4 if integer else 1
        case "ADD" | "MUL" | "MEAN" | "PAD":
            return 2 if integer else 1
        case "DEQUANTIZE":
            per_channel = read[0].quantization is not None and read[0].quantization.scale.size > 1
            return 3 if read[0].dtype == np.float16 else 5 if per_channel else 2
        case _:
            return 1
