"""Slicing: from the bank and an architecture to a network with float32 weights, batch-norm folded in.

Channels are prefixes, kernels are centre crops, the classifier keeps the task's rows alone. Weights that need
no arithmetic may be views of the bank.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from eas_sdk.bank.bundle import CLASSIFIER_BIAS, Bundle
from eas_sdk.graph.nodes import Conv2d, DepthwiseConv2d, Graph, Normalize
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.protocol import size_of

FloatArray = npt.NDArray[np.float32]


def cut(bundle: Bundle, architecture: Architecture, classes: Sequence[int]) -> Graph:
    """The sub-network of `architecture` that tells `classes` (rows of the classifier) apart.

    Raises:
        ArchitectureError: the bank cannot serve the architecture.
    """
    weight = _float32(bundle.weight("classifier", classes))
    bias = _float32(bundle.tensors[CLASSIFIER_BIAS][np.asarray(classes)])
    if bundle.temperatures:
        space = bundle.space
        temperature = np.float32(bundle.temperatures[space.input_sizes.index(size_of(space, architecture))])
        weight, bias = weight / temperature, bias / temperature
    labels = bundle.labels
    return with_head(bundle, architecture, weight, bias, tuple(labels[c] for c in classes))


def with_head(
    bundle: Bundle, architecture: Architecture, weight: FloatArray, bias: FloatArray, labels: tuple[str, ...]
) -> Graph:
    """The sub-network of `architecture` before a classifier of its own.

    Args:
        weight, bias: [labels, features] and [labels].

    Raises:
        ArchitectureError: the bank cannot serve the architecture.
    """
    nodes = bundle.space.structure(architecture, len(labels))
    features = bundle.space.features_of(bundle.space.encode([architecture]))[0].astype(np.float32)
    size = size_of(bundle.space, architecture)
    group = next((g for g, sizes in enumerate(bundle.adapters) if size in sizes), None)
    weights: dict[str, FloatArray] = {"classifier.weight": weight, "classifier.bias": bias}
    for node in nodes:
        match node:
            case Normalize():
                weight = (1 / np.asarray(bundle.std)).astype(np.float32)
                bias = (-np.asarray(bundle.mean) / np.asarray(bundle.std)).astype(np.float32)
            case Conv2d():
                stored = bundle.weight(node.name, slice(node.out_channels))[..., : node.in_channels]
                if node.bias == "none":
                    weight, bias = _float32(stored), np.zeros(node.out_channels, np.float32)
                elif node.bias == "own":
                    weight = _float32(stored)
                    bias = _float32(bundle.tensors[f"bank/{node.name}.bias"][: node.out_channels])
                else:
                    if group is not None:
                        stored = stored + _change(bundle, node.name, group, node.out_channels, node.in_channels)
                    scale, bias = _batch_norm(bundle, node.name, features, node.out_channels)
                    weight = np.multiply(stored, scale[:, None, None, None], dtype=np.float32)
            case DepthwiseConv2d():
                full = bundle.tensors[f"bank/{node.name}.weight"]
                crop = (full.shape[0] - node.kernel) // 2
                stored = full[crop : crop + node.kernel, crop : crop + node.kernel, : node.channels]
                if group is not None:
                    change = _change(bundle, node.name, group, node.channels)
                    stored = stored + np.moveaxis(change, 0, -1)[crop : crop + node.kernel, crop : crop + node.kernel]
                scale, bias = _batch_norm(bundle, node.name, features, node.channels)
                weight = np.multiply(stored, scale, dtype=np.float32)
            case _:
                continue
        weights[f"{node.name}.weight"] = weight
        weights[f"{node.name}.bias"] = bias
    return Graph(nodes, weights, labels)


def _change(bundle: Bundle, name: str, group: int, outputs: int, inputs: int | None = None) -> FloatArray:
    """What networks of a group of input sizes add to a node's weight: [outputs, k, k, inputs], or without inputs."""
    up = _float32(bundle.tensors[f"adapters/{name}.up"][group, :outputs])
    down = bundle.tensors[f"adapters/{name}.down"][group]
    down = _float32(down if inputs is None else down[..., :inputs])
    change: FloatArray = (up @ down.reshape(len(down), -1)).reshape(outputs, *down.shape[1:])
    return change


def _batch_norm(bundle: Bundle, name: str, features: FloatArray, channels: int) -> tuple[FloatArray, FloatArray]:
    """A node's batch-norm as scale and shift, with the statistics that the architecture's features predict."""
    mix, basis, offset = (bundle.tensors[f"statistics/{name}.{suffix}"] for suffix in ("mix", "basis", "offset"))
    predicted = np.tensordot(features @ mix, basis[:, :, :channels], 1) + offset[:, :channels]
    gamma, beta = (bundle.tensors[f"bank/{name}.{suffix}"][:channels] for suffix in ("gamma", "beta"))
    mean, log_variance = predicted.astype(np.float32)
    # No variance is negative, whatever the model says of a network unlike those that it was fitted to.
    least = np.float32(math.log(bundle.space.epsilon))
    scale = gamma * np.exp(-0.5 * np.maximum(log_variance, least))
    return _float32(scale), _float32(beta - mean * scale)


def _float32(array: npt.NDArray[np.floating]) -> FloatArray:
    return np.ascontiguousarray(array, np.float32)
