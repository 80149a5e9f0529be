"""Runs saved Core ML packages without Core ML: reads the MIL program back and evaluates it operator by operator.

Results are rounded to the type that the program declares for them, so that a float16 program computes in float16
between operators. Sums inside an operator are float32, as processors with float16 arithmetic mostly have it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from eas_exporters.coreml.library import coremltools
from eas_exporters.coreml.package import WEIGHTS, read_model

TYPES = {"fp32": torch.float32, "fp16": torch.float16}


def load(package: Path) -> tuple[Any, Any]:
    """(specification, MIL program) of a package."""
    with coremltools() as ct:
        spec = read_model(ct, package)
        milproto = ct.converters.mil.frontend.milproto.load
        return spec, milproto.load(spec, spec.specificationVersion, str(package / WEIGHTS))


def run(program: Any, images: np.ndarray, function: str = "main") -> dict[str, np.ndarray]:
    """Outputs by name for images as the program takes them, N x the input's shape without its leading 1."""
    each = [_one(program.functions[function], image[np.newaxis]) for image in images]
    return {name: np.concatenate([outputs[name] for outputs in each]) for name in each[0]}


def weights(program: Any, function: str = "main") -> dict[str, np.ndarray]:
    """The weights of convolutions and fully connected layers as they are used, by operator name."""
    tensors = {name: torch.zeros(1) for name in program.functions[function].inputs}
    found = {}
    for operator in program.functions[function].operations:
        if operator.op_type.startswith("const"):
            tensors[operator.outputs[0].name] = _CONSTANTS[operator.op_type](_values(operator))
        elif operator.op_type in ("conv", "linear"):
            found[operator.name] = np.asarray(tensors[operator.inputs["weight"].name])
    return found


def kinds(program: Any, function: str = "main") -> list[str]:
    """The operator types of a function, in order."""
    return [operator.op_type for operator in program.functions[function].operations]


def _one(function: Any, image: np.ndarray) -> dict[str, np.ndarray]:
    (name,) = function.inputs
    tensors: dict[str, Any] = {name: torch.from_numpy(np.ascontiguousarray(image, np.float32))}
    for operator in function.operations:
        kind = operator.op_type
        if kind.startswith("const"):
            tensors[operator.outputs[0].name] = _CONSTANTS[kind](_values(operator))
            continue
        values = {key: tensors[var.name] for key, var in operator.inputs.items()}
        if kind == "classify":
            _, probabilities = operator.outputs
            tensors[probabilities.name] = values["probabilities"]
            continue
        made = _OPERATORS[kind](values)
        (output,) = operator.outputs
        declared = TYPES[output.dtype.__name__] if hasattr(output.dtype, "__name__") else torch.float32
        assert tuple(made.shape) == tuple(output.shape), (operator.name, made.shape, output.shape)
        tensors[output.name] = made.to(declared).float()
    results = {var.name: tensors[var.name] for var in function.outputs if var.name in tensors}
    return {key: value.numpy() for key, value in results.items()}


def _values(operator: Any) -> dict[str, Any]:
    return {key: var.val for key, var in operator.inputs.items()} | {"val": operator.outputs[0].val}


def _constant(values: dict[str, Any]) -> Any:
    value = values["val"]
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind == "f":
        return torch.from_numpy(np.atleast_1d(value.astype(np.float32))).reshape(value.shape)
    return value


def _affine(values: dict[str, Any]) -> torch.Tensor:
    """constexpr_affine_dequantize (iOS16)."""
    data = values["quantized_data"].astype(np.float32)
    shape = [1] * data.ndim
    shape[int(values["axis"])] = -1
    scale = np.asarray(values["scale"], np.float32)
    zero = np.asarray(values["zero_point"], np.float32)
    both = [part.reshape(shape) if part.ndim else part for part in (zero, scale)]
    return _rounded((data - both[0]) * both[1], values["scale"].dtype)


def _blockwise(values: dict[str, Any]) -> torch.Tensor:
    """constexpr_blockwise_shift_scale (iOS18); blocks are whole axes here."""
    assert values.get("offset") is None
    data, scale = values["data"].astype(np.float32), values["scale"]
    return _rounded(data * scale.astype(np.float32), scale.dtype)


def _table(values: dict[str, Any]) -> torch.Tensor:
    """constexpr_lut_to_dense: places packed into bytes, least significant bit first (iOS16), or as they are (iOS18)."""
    table, places = values["lut"].reshape(-1), values["indices"]
    if "shape" in values:
        bits, shape = int(np.log2(table.size)), values["shape"]
        loose = np.unpackbits(places, bitorder="little")[: int(np.prod(shape)) * bits].reshape(-1, bits)
        places = (loose * (1 << np.arange(bits))).sum(1).reshape(shape)
    return _rounded(table.astype(np.float32)[places.astype(np.int64)], table.dtype)


def _rounded(array: np.ndarray, dtype: np.dtype) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array).astype(dtype).astype(np.float32))


def _conv(v: dict[str, Any]) -> torch.Tensor:
    assert v["pad_type"] == "custom"
    top, bottom, left, right = v["pad"]
    dilation = tuple(map(int, v["dilations"]))
    padded = functional.pad(v["x"], (left, right, top, bottom))
    return functional.conv2d(padded, v["weight"], v["bias"], tuple(v["strides"]), 0, dilation, int(v["groups"]))


_CONSTANTS = {
    "const": _constant,
    "constexpr_affine_dequantize": _affine,
    "constexpr_blockwise_shift_scale": _blockwise,
    "constexpr_lut_to_dense": _table,
}
_OPERATORS = {
    "add": lambda v: v["x"] + v["y"],
    "cast": lambda v: v["x"],
    "conv": _conv,
    "identity": lambda v: v["x"],
    "linear": lambda v: functional.linear(v["x"], v["weight"], v["bias"]),
    "mul": lambda v: v["x"] * v["y"],
    "reduce_mean": lambda v: v["x"].mean(tuple(map(int, v["axes"])), keepdim=bool(v["keep_dims"])),
    "relu": lambda v: v["x"].relu(),
    "relu6": lambda v: v["x"].clamp(0, 6),
    "sigmoid_hard": lambda v: (v["x"] * v["alpha"] + v["beta"]).clamp(0, 1),
    "softmax": lambda v: v["x"].softmax(int(v["axis"])),
    "squeeze": lambda v: v["x"].squeeze(tuple(map(int, v["axes"]))),
    "transpose": lambda v: v["x"].permute(*map(int, v["perm"])),
}
