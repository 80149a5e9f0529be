"""From ONNX programs to the bytes of an .onnx file, with the package `onnx`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eas_exporters.onnx.packages import require
from eas_exporters.onnx.program import Operator, Program, Value
from eas_sdk._version import __version__

OPSET = 17
IR_VERSION = 8
"""What ONNX 1.12 of 2022 defined together with that opset."""

BATCH = "N"


def assemble(program: Program, *, title: str, metadata: Mapping[str, str], batch: int | None = None) -> bytes:
    """A file that holds one program.

    Args:
        title: name of the model, for people.
        batch: how many images it takes; None: any number.
        metadata: what `metadata_props` says; onnxruntime calls it `custom_metadata_map`.

    Raises:
        MissingDependency: `onnx` is not installed.
    """
    helper = require("onnx.helper")
    from_array = require("onnx.numpy_helper").from_array
    graph = helper.make_graph(
        [_node(helper, operator) for operator in program.operators],
        title or "network",
        [_value(helper, program.input, batch)],
        [_value(helper, program.output, batch)],
        [from_array(data, name) for name, data in program.constants.items()],
    )
    model = helper.make_model(
        graph,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="eas_sdk",
        producer_version=__version__,
        doc_string=title,
    )
    helper.set_model_props(model, metadata)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _node(helper: Any, operator: Operator) -> Any:
    return helper.make_node(
        operator.kind, operator.inputs, [operator.output], name=operator.output, **operator.attributes
    )


def _value(helper: Any, value: Value, batch: int | None) -> Any:
    return helper.make_tensor_value_info(
        value.name, helper.np_dtype_to_tensor_dtype(value.dtype), [batch or BATCH, *value.shape]
    )
