"""Slicing: from the bank and an architecture to a network with float32 weights, batch-norm folded in.

Channels are prefixes, kernels are centre crops, the classifier keeps the task's rows alone. Weights that need
no arithmetic may be views of the bank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from eas_sdk.bank.bundle import EPSILON, Bundle
from eas_sdk.graph.nodes import Conv2d, DepthwiseConv2d, Graph, Linear, Normalize
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.structure import structure

FloatArray = npt.NDArray[np.float32]


def cut(bundle: Bundle, architecture: Architecture, classes: Sequence[int]) -> Graph:
    """The sub-network of `architecture` that tells `classes` (rows of the classifier) apart.

    Raises:
        ArchitectureError: the bank cannot serve the architecture.
    """
    nodes = structure(bundle.space, architecture, len(classes))
    blocks = {f"unit{u}.block{b}": block for u, unit in enumerate(architecture.units) for b, block in enumerate(unit)}
    weights: dict[str, FloatArray] = {}
    for node in nodes:
        weight: FloatArray
        bias: FloatArray
        match node:
            case Normalize():
                weight = (1 / np.asarray(bundle.std)).astype(np.float32)
                bias = (-np.asarray(bundle.mean) / np.asarray(bundle.std)).astype(np.float32)
            case Conv2d():
                stored = bundle.tensors[f"bank/{node.name}.weight"][: node.out_channels, ..., : node.in_channels]
                if not node.has_bias:
                    weight, bias = _float32(stored), np.zeros(node.out_channels, np.float32)
                elif node.name.endswith((".squeeze", ".excite")):
                    weight = _float32(stored)
                    bias = _float32(bundle.tensors[f"bank/{node.name}.bias"][: node.out_channels])
                else:
                    scale, bias = _statistics(bundle, node.name, blocks, node.out_channels)
                    weight = np.multiply(stored, scale[:, None, None, None], dtype=np.float32)
            case DepthwiseConv2d():
                full = bundle.tensors[f"bank/{node.name}.weight"]
                crop = (full.shape[0] - node.kernel) // 2
                stored = full[crop : crop + node.kernel, crop : crop + node.kernel, : node.channels]
                scale, bias = _statistics(bundle, node.name, blocks, node.channels)
                weight = np.multiply(stored, scale, dtype=np.float32)
            case Linear():
                rows = np.asarray(classes)
                weight = _float32(bundle.tensors["bank/classifier.weight"][rows])
                bias = _float32(bundle.tensors["bank/classifier.bias"][rows])
            case _:
                continue
        weights[f"{node.name}.weight"] = weight
        weights[f"{node.name}.bias"] = bias
    labels = bundle.labels
    return Graph(nodes, weights, tuple(labels[c] for c in classes))


def _statistics(bundle: Bundle, name: str, blocks: Mapping[str, Block], channels: int) -> tuple[FloatArray, FloatArray]:
    """A node's batch-norm as scale and shift, with the statistics of its block's local configuration."""
    mean, variance = (bundle.tensors[f"statistics/{name}.{suffix}"] for suffix in ("mean", "variance"))
    if mean.ndim > 1:
        block = blocks[name.rpartition(".")[0]]
        keys = (bundle.space.kernels.index(block.kernel), bundle.space.expansions.index(block.expansion))
        row = keys[: mean.ndim - 1]
        mean, variance = mean[row], variance[row]
    gamma, beta = (bundle.tensors[f"bank/{name}.{suffix}"] for suffix in ("gamma", "beta"))
    # float32 before any sum: numpy 1 would add EPSILON to float16 statistics in float16.
    gamma, beta, mean, variance = (_float32(array[:channels]) for array in (gamma, beta, mean, variance))
    scale = gamma / np.sqrt(variance + np.float32(EPSILON))
    return scale, beta - mean * scale


def _float32(array: npt.NDArray[np.floating]) -> FloatArray:
    return np.ascontiguousarray(array, np.float32)
