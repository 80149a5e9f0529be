"""A bundle: one file that holds the space, the weight bank, the selector, the labels and where it all came from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from eas_sdk.bank import container
from eas_sdk.errors import ArchitectureError, BundleError
from eas_sdk.graph.nodes import Conv2d, DepthwiseConv2d, Linear, Node
from eas_sdk.space.elastic import ElasticSpace
from eas_sdk.space.structure import structure
from eas_sdk.task import Superclass

EPSILON = 1e-5
"""Added to every variance of a batch-norm."""

VERSION = 1
"""Version of what a bundle means; the container under it has its own."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """What a bundle file says.

    Attributes:
        name: for people.
        space: what the bank can serve.
        superclasses: the tasks, and their labels in the order of the classifier's rows.
        mean, std: normalisation of RGB in [0, 1].
        selector: configuration of the selector; "kind" names it.
        tensors: "bank/<node>.<suffix>", "statistics/<node>.<suffix>" and "selector/<name>" (docs/bundle-format.md).
        training: recipe and accuracy figures of its own training.
        attributions: whose work the weights were trained on, one text each.
    """

    name: str
    space: ElasticSpace
    superclasses: tuple[Superclass, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    selector: Mapping[str, Any]
    tensors: Mapping[str, np.ndarray]
    training: Mapping[str, Any]
    attributions: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels in the order of the classifier's rows."""
        return tuple(label for superclass in self.superclasses for label in superclass.labels)

    def group(self, prefix: str) -> dict[str, np.ndarray]:
        """The tensors under "<prefix>/", without it."""
        start = prefix + "/"
        return {name[len(start) :]: tensor for name, tensor in self.tensors.items() if name.startswith(start)}

    def metadata(self) -> dict[str, Any]:
        """The JSON section of the file."""
        return {
            "version": VERSION,
            "name": self.name,
            "space": self.space.to_json(),
            "superclasses": [{"name": s.name, "labels": list(s.labels)} for s in self.superclasses],
            "mean": list(self.mean),
            "std": list(self.std),
            "selector": dict(self.selector),
            "training": dict(self.training),
            "attributions": list(self.attributions),
        }


def read(path: str | os.PathLike[str]) -> Bundle:
    """Map a bundle file and check that it is whole and consistent.

    Raises:
        BundleError: it is not; FileNotFoundError: there is no such file.
    """
    contained = container.read(path)
    data = contained.metadata.get("eas")
    if not isinstance(data, dict) or data.get("version") != VERSION:
        got = data.get("version") if isinstance(data, dict) else None
        raise BundleError(f"{os.fspath(path)} must hold a section 'eas' of version {VERSION}; got {got!r}")
    try:
        bundle = Bundle(
            name=_text(data["name"]),
            space=ElasticSpace.from_json(data["space"]),
            superclasses=tuple(
                Superclass(_text(s["name"]), tuple(_text(label) for label in s["labels"]))
                for s in data["superclasses"]
            ),
            mean=_triple(data["mean"]),
            std=_triple(data["std"]),
            selector=dict(data["selector"]),
            tensors=contained.tensors,
            training=dict(data["training"]),
            attributions=tuple(_text(a) for a in data["attributions"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, BundleError) and not isinstance(error, ArchitectureError):
            raise
        raise BundleError(f"{os.fspath(path)}: the section 'eas' is malformed: {error!r}") from error
    check(bundle)
    return bundle


def check(bundle: Bundle) -> None:
    """Check labels and the shapes of all bank and statistics tensors.

    Raises:
        BundleError: a label appears twice, a superclass is empty, a tensor is missing or of a wrong shape.
    """
    names = [s.name for s in bundle.superclasses]
    if not names or len(set(names)) != len(names) or len(set(bundle.labels)) != len(bundle.labels):
        raise BundleError("a bundle has at least one superclass, and names no superclass or label twice")
    if not all(s.labels for s in bundle.superclasses):
        raise BundleError("every superclass of a bundle has at least one label")
    if min(bundle.std) <= 0:
        raise BundleError(f"the standard deviations of the normalisation are positive; got {bundle.std}")
    for node in structure(bundle.space, bundle.space.largest, len(bundle.labels)):
        for name, shape in tensor_shapes(bundle.space, node).items():
            tensor = bundle.tensors.get(name)
            if tensor is None or tensor.shape != shape or tensor.dtype.kind != "f":
                got = "nothing" if tensor is None else f"{tensor.dtype} {tensor.shape}"
                raise BundleError(
                    f"the bundle's tensor {name!r} is floating point of shape {shape}; got {got}"
                )


def tensor_shapes(space: ElasticSpace, node: Node) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors that a node of the largest network needs.

    Batch-norm keeps its trained gamma and beta in the bank, and its mean and variance as statistics: one row for each
    local configuration that changes them, depthwise [kernels, C], projection [kernels, expansions, C], all others [C].
    """
    bank, statistics = f"bank/{node.name}", f"statistics/{node.name}"
    match node:
        case Conv2d():
            shapes: dict[str, tuple[int, ...]] = {
                f"{bank}.weight": (node.out_channels, node.kernel, node.kernel, node.in_channels)
            }
            if node.name.endswith((".squeeze", ".excite")):
                return shapes | {f"{bank}.bias": (node.out_channels,)}
            channels = node.out_channels
        case DepthwiseConv2d():
            shapes = {f"{bank}.weight": (node.kernel, node.kernel, node.channels)}
            channels = node.channels
        case Linear():
            return {
                f"{bank}.weight": (node.out_features, node.in_features),
                f"{bank}.bias": (node.out_features,),
            }
        case _:
            return {}
    if isinstance(node, Conv2d) and not node.has_bias:
        return shapes
    rows = statistics_rows(space, node.name) + (channels,)
    shapes |= {f"{bank}.gamma": (channels,), f"{bank}.beta": (channels,)}
    return shapes | {f"{statistics}.mean": rows, f"{statistics}.variance": rows}


def statistics_rows(space: ElasticSpace, name: str) -> tuple[int, ...]:
    """Leading shape of a node's statistics: which local choices select a row."""
    if name.startswith("unit") and name.endswith(".depthwise"):
        return (len(space.kernels),)
    if name.startswith("unit") and name.endswith(".project"):
        return (len(space.kernels), len(space.expansions))
    return ()


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"a name is a non-empty text; got {value!r}")
    return value


def _triple(value: object) -> tuple[float, float, float]:
    if not isinstance(value, list) or len(value) != 3:
        raise TypeError(f"normalisation has one number for each of R, G, B; got {value!r}")
    r, g, b = (float(v) for v in value)
    if not np.isfinite([r, g, b]).all():
        raise TypeError(f"normalisation is finite; got {value!r}")
    return r, g, b
