"""The bridge from torch to the bank: a trained supernet, its statistics and its selector become a bundle."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from eas_sdk.bank.bundle import Bundle, tensor_shapes
from eas_sdk.bank.container_writer import write
from eas_sdk.graph.nodes import Conv2d, DepthwiseConv2d
from eas_sdk.selector.protocol import Request
from eas_sdk.selector.registry import load_selector
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.choices import choices_of_gates, decode, encode, gates_of_choices, madds_table
from eas_sdk.space.structure import structure
from eas_sdk.task import Superclass
from eas_train.generator.model import ArchitectureGenerator
from eas_train.generator.predictor import Predictor
from eas_train.statistics.table import StatisticsTable
from eas_train.supernet.model import Supernet
from eas_train.supernet.norm import EPSILON


def assemble(
    name: str,
    net: Supernet,
    statistics: StatisticsTable,
    generator: ArchitectureGenerator,
    predictor: Predictor,
    superclasses: Sequence[Superclass],
    *,
    samples: int,
    training: Mapping[str, Any],
    attributions: Sequence[str],
) -> Bundle:
    """A whole bundle in float32, nothing left out."""
    tensors: dict[str, np.ndarray] = {}
    for node in structure(net.space, net.space.largest, net.classes):
        for tensor in tensor_shapes(net.space, node):
            group, _, rest = tensor.partition("/")
            suffix = rest.rpartition(".")[2]
            if group == "statistics":
                tensors[tensor] = _folded(net, statistics, node.name)[suffix]
                continue
            value = net.tensor(rest).detach().float().cpu().numpy()
            match node:
                case Conv2d() if suffix == "weight":
                    value = value.transpose(0, 2, 3, 1)
                case DepthwiseConv2d():
                    value = value[:, 0].transpose(1, 2, 0)
                case _:
                    pass
            tensors[tensor] = np.ascontiguousarray(value)
    for key, weight in generator.export().items():
        tensors[f"selector/{key}"] = weight.numpy()
    tensors["selector/predictor"] = predictor.weights.astype(np.float32)
    config = {"kind": "generator", "budgets": generator.budgets.tolist(), "samples": samples}
    mean, std = (tuple(float(v) for v in buffer.flatten()) for buffer in (net.mean, net.std))
    return Bundle(
        name, net.space, tuple(superclasses), mean, std, config, tensors, dict(training), tuple(attributions)
    )


def _folded(net: Supernet, statistics: StatisticsTable, name: str) -> dict[str, np.ndarray]:
    """Batch-norm as scale and shift, one row a local configuration."""
    rows = statistics.rows[name].double()
    mean, variance = rows[..., 0, :], rows[..., 1, :]
    scale = net.tensor(f"{name}.gamma").detach().double() * torch.rsqrt(variance + EPSILON)
    shift = net.tensor(f"{name}.beta").detach().double() - mean * scale
    return {key: value.float().cpu().contiguous().numpy() for key, value in (("scale", scale), ("shift", shift))}


def half(bundle: Bundle) -> Bundle:
    """The same with the bank's weights in float16; statistics and selector stay float32."""
    tensors = {
        name: tensor.astype(np.float16) if name.startswith("bank/") else tensor
        for name, tensor in bundle.tensors.items()
    }
    return dataclasses.replace(bundle, tensors=tensors)


def selectable(bundle: Bundle, budgets: int) -> Architecture:
    """The smallest bound on everything that any superclass selects on a dense grid of budgets."""
    selector = load_selector(bundle)
    space = bundle.space
    table = madds_table(space)
    gates = gates_of_choices(space, encode(space, [space.smallest]))[0]
    ends = encode(space, [space.smallest, space.largest])
    for t, superclass in enumerate(bundle.superclasses):
        low, high = table.total(space, ends, len(superclass.labels)).tolist()
        grid = np.linspace(low, high, budgets).astype(int).tolist()
        picked = selector.select([Request(t, len(superclass.labels), madds) for madds in grid])
        gates = gates | gates_of_choices(space, encode(space, picked)).any(0)
    return decode(space, choices_of_gates(space, gates))


def prune(bundle: Bundle, largest: Architecture) -> Bundle:
    """The bundle without what lies beyond `largest`; its space is narrowed likewise, whatever a request's seed."""
    space = dataclasses.replace(bundle.space, largest=largest)
    tensors = {name: tensor for name, tensor in bundle.tensors.items() if name.startswith("selector/")}
    for node in structure(space, largest, len(bundle.labels)):
        for name, shape in tensor_shapes(space, node).items():
            full = bundle.tensors[name]
            if isinstance(node, DepthwiseConv2d) and name.startswith("bank/"):
                crop = (full.shape[0] - node.kernel) // 2
                full = full[crop : crop + node.kernel, crop : crop + node.kernel]
            tensors[name] = np.ascontiguousarray(full[tuple(slice(n) for n in shape)])
    return dataclasses.replace(bundle, space=space, tensors=tensors)


def save(bundle: Bundle, path: str | os.PathLike[str]) -> int:
    """Write a bundle file atomically; its size in bytes."""
    return write(path, bundle.tensors, {"eas": bundle.metadata()})
