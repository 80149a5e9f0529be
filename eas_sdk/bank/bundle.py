"""A bundle: one file of the space, the weight bank, the selector, the labels and where it all came from."""

from __future__ import annotations

import copy
import functools
import os
import reprlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np

from eas_sdk.bank import container, pictures, section
from eas_sdk.bank.pictures import CODED, Pictures
from eas_sdk.bank.shipped import SHIPPED, bundle_file
from eas_sdk.errors import ArchitectureError, BundleError
from eas_sdk.graph.nodes import Conv2d, DepthwiseConv2d, Linear, Node
from eas_sdk.space import registry as spaces
from eas_sdk.space.protocol import Space, size_of
from eas_sdk.task import Superclass

VERSION = 2
"""Version of what a bundle means; the container under it has its own."""

NORMALISATION = 1e6
"""Greatest mean and deviation of the normalisation, and the inverse of the smallest deviation."""

CLASSIFIER, CLASSIFIER_BIAS = (f"bank/classifier.{name}" for name in ("weight", "bias"))


class Source(NamedTuple):
    """Where a bundle was read: the name of a shipped one or an absolute path, and the SHA-256 that the file states."""

    name: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Bundle:
    """What a bundle file says.

    Where it was read from a file, it is pickled as that file's path and digest, and read again by who unpickles it;
    otherwise with all its tensors.

    Attributes:
        name: for people.
        space: what the bank can serve.
        superclasses: the tasks, and their labels in the order of the classifier's rows.
        mean, std: normalisation of RGB in [0, 1].
        selector: configuration of the selector; "kind" names it.
        adapters: groups of input sizes whose networks add changes of low rank to the bank's weights.
        temperatures: of each input size of the space: what the logits of its networks are divided by, so that their
            softmax is a probability to go by; none: 1.
        pictures: what the images that it carries show; None where it carries none.
        router: configuration of the router; None where the bundle has none (see eas_sdk/router/network.py).
        tensors: "bank/<node>.<suffix>", "statistics/<node>.<suffix>", "selector/<name>", and perhaps
            "adapters/<node>.<suffix>", "router/<node>.<suffix>" and "pictures/coded" (docs/bundle-format.md).
        training: recipe and accuracy figures of its own training.
        attributions: whose work the weights were trained on, one text each.
        source: where it was read; None of one that was made, or changed, in memory.
    """

    name: str
    space: Space
    superclasses: tuple[Superclass, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    selector: Mapping[str, Any]
    tensors: Mapping[str, np.ndarray]
    training: Mapping[str, Any]
    attributions: tuple[str, ...]
    router: Mapping[str, Any] | None = None
    adapters: tuple[tuple[int, ...], ...] = ()
    temperatures: tuple[float, ...] = ()
    pictures: Pictures | None = None
    source: Source | None = field(default=None, init=False)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.source is not None:
            return _again, self.source
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.init}
        return functools.partial(Bundle, **values | {"tensors": dict(self.tensors)}), ()

    def __repr__(self) -> str:
        megabytes = sum(tensor.nbytes for tensor in self.tensors.values()) / 1e6
        superclasses = f"{len(self.superclasses)} superclasses, {len(self.labels)} labels"
        return f"<Bundle {self.name!r}: {superclasses}, {megabytes:.1f} MB of tensors>"

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels in the order of the classifier's rows."""
        return tuple(label for superclass in self.superclasses for label in superclass.labels)

    @property
    def input_size(self) -> int:
        """Side of the largest images that its networks take, in pixels."""
        return size_of(self.space, self.space.largest)

    @property
    def statistics_rank(self) -> int:
        """Rank of the linear models of the batch-norm statistics (see `tensor_shapes`)."""
        mix = self.tensors.get("statistics/stem.mix")
        return mix.shape[1] if mix is not None and mix.ndim == 2 else 0

    def weight(self, name: str, outputs: slice | Sequence[int] = slice(None)) -> np.ndarray:
        """The weight of a convolution or of the classifier, [outputs, ...]: as it is stored, or float32 where it is
        stored as 8-bit integers.

        Args:
            name: of the node.
            outputs: which of them.
        """
        index = outputs if isinstance(outputs, slice) else np.asarray(outputs)
        stored, scale = self.tensors[f"bank/{name}.weight"][index], self.tensors.get(f"bank/{name}.scale")
        if scale is None:
            return stored
        each = scale[index].reshape(-1, *(1,) * (stored.ndim - 1)).astype(np.float32)
        scaled: np.ndarray = stored.astype(np.float32) * each
        return scaled

    @property
    def calibration_images(self) -> np.ndarray | None:
        """Training images for the calibration of integer exports: uint8 [N, S, S, 3], N >= 1; None without any.

        S is `input_size` at most; networks bring them to their own sizes.

        Raises:
            BundleError: they are damaged.
        """
        if self.pictures is None or not self.pictures.calibration:
            return None
        return pictures.decode(self.tensors[CODED], self.pictures, range(len(self.pictures.calibration)))

    def proof_images(self, wanted: Sequence[int]) -> np.ndarray:
        """Images that were not trained on, by their place in `pictures.proof`: uint8 [N, S, S, 3]; see above."""
        assert self.pictures is not None
        first = len(self.pictures.calibration)
        return pictures.decode(self.tensors[CODED], self.pictures, [first + place for place in wanted])

    def group(self, prefix: str) -> dict[str, np.ndarray]:
        """The tensors under "<prefix>/", without it."""
        start = prefix + "/"
        return {name[len(start) :]: tensor for name, tensor in self.tensors.items() if name.startswith(start)}

    def metadata(self) -> dict[str, Any]:
        """The JSON section of the file."""
        router = {} if self.router is None else {"router": copy.deepcopy(dict(self.router))}
        optional = {
            "adapters": [list(group) for group in self.adapters],
            "temperatures": list(self.temperatures),
            "pictures": None if self.pictures is None else self.pictures.to_json(),
        }
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
            **router,
            **{name: value for name, value in optional.items() if value},
        }


def load(given: str | os.PathLike[str] | None = None) -> Bundle:
    """Read a shipped bundle by its name, the first by default, or a file by its path; see `read`."""
    name = SHIPPED[0] if given is None else os.fspath(given)
    with bundle_file(name) as file:
        return read(file, shipped=name if name in SHIPPED else None)


def read(path: str | os.PathLike[str], *, shipped: str | None = None) -> Bundle:
    """Map a bundle file and check that it is whole and consistent.

    Args:
        shipped: the name that finds it again, in place of its path.

    Raises:
        BundleError: it is not; FileNotFoundError: there is no such file.
    """
    # Where the package is a zip, a shipped file is deleted after this, which Windows refuses while it is mapped.
    contained = container.read(path, copy=shipped is not None and os.name == "nt")
    try:
        bundle = _decode(contained.metadata.get("eas"), contained.tensors)
        check(bundle)
    except (BundleError, ArchitectureError) as error:
        raise BundleError(f"{os.fspath(path)!r}: {error}") from error
    object.__setattr__(bundle, "source", Source(shipped or os.path.abspath(path), contained.sha256))
    return bundle


@functools.lru_cache(maxsize=2)  # workers are given one model after the other of the same bundle
def _again(name: str, sha256: str) -> Bundle:
    """The bundle that was pickled.

    Raises:
        BundleError: the file holds another one now, or see `read`; FileNotFoundError: it is gone.
    """
    bundle = load(name)
    if bundle.source != (name, sha256):
        raise BundleError(f"{name!r} must hold the bundle that was pickled, of SHA-256 {sha256}; it holds another one")
    return bundle


def _decode(data: object, tensors: Mapping[str, np.ndarray]) -> Bundle:
    """The bundle of a section "eas"; inverse of `Bundle.metadata`."""
    version = data.get("version") if isinstance(data, dict) else None
    if version != VERSION:
        raise BundleError(
            f"this release reads bundles whose section 'eas' is of version {VERSION}; got {reprlib.repr(version)}: "
            "make the bundle again with `eas train`, or load it with the release that made it"
        )
    return Bundle(
        name=section.text("name", section.get(data, "name", str)),
        space=spaces.from_json(section.get(data, "space", dict)),
        superclasses=tuple(
            Superclass(section.text("name", section.get(item, "name", str)), section.texts(item, "labels"))
            for item in section.get(data, "superclasses", list)
        ),
        mean=section.triple(data, "mean"),
        std=section.triple(data, "std"),
        selector=section.get(data, "selector", dict),
        tensors=tensors,
        training=section.get(data, "training", dict),
        attributions=section.texts(data, "attributions"),
        router=section.get(data, "router", dict) if isinstance(data, dict) and "router" in data else None,
        adapters=section.sizes(data) if isinstance(data, dict) and "adapters" in data else (),
        temperatures=section.temperatures(data) if isinstance(data, dict) and "temperatures" in data else (),
        pictures=pictures.from_json(data["pictures"]) if isinstance(data, dict) and "pictures" in data else None,
    )


def check(bundle: Bundle) -> None:
    """Check labels, normalisation, pictures, and all bank and statistics tensors.

    Raises:
        BundleError: a label appears twice, a superclass is empty, a deviation is not positive, a tensor is
            missing, of a wrong shape or not finite; pictures do not fit.
    """
    if not bundle.superclasses:
        raise BundleError("a bundle has at least one superclass; got none")
    for what, names in (("superclass", [s.name for s in bundle.superclasses]), ("label", bundle.labels)):
        if len(set(names)) != len(names):
            twice = next(name for name, count in Counter(names).items() if count > 1)
            raise BundleError(f"a bundle names no {what} twice; got {reprlib.repr(twice)}")
    for superclass in bundle.superclasses:
        if not superclass.labels:
            raise BundleError(f"a superclass has at least one label; {reprlib.repr(superclass.name)} has none")
    if not all(-NORMALISATION <= v <= NORMALISATION for v in bundle.mean):
        raise BundleError(f"mean lies between -{NORMALISATION:g} and {NORMALISATION:g}; got {bundle.mean}")
    if not all(1 / NORMALISATION <= v <= NORMALISATION for v in bundle.std):
        raise BundleError(f"std lies between {1 / NORMALISATION:g} and {NORMALISATION:g}; got {bundle.std}")
    if len(bundle.temperatures) not in (0, len(bundle.space.input_sizes)):
        raise BundleError(
            f"'temperatures' has a number for each input size, {list(bundle.space.input_sizes)}; "
            f"got {len(bundle.temperatures)}"
        )
    for node in bundle.space.bank(len(bundle.labels)):
        for name, shape in tensor_shapes(bundle.space, node, bundle.statistics_rank).items():
            if name == f"bank/{node.name}.weight" and scale_shape(bundle, node):
                _check_integers(bundle, node.name, shape)
            else:
                check_tensor(f"the bundle's tensor {name!r}", bundle.tensors.get(name), shape)
        for name, shape in adapter_shapes(bundle, node).items():
            check_tensor(f"the bundle's tensor {name!r}", bundle.tensors.get(name), shape)
    if bundle.pictures is not None:
        pictures.check(bundle.pictures, bundle.tensors.get(CODED), len(bundle.labels), bundle.input_size)


def _check_integers(bundle: Bundle, name: str, shape: tuple[int, ...]) -> None:
    """A node's weight of 8-bit integers, and the scale of each output.

    Raises:
        BundleError: another dtype or shape, or a scale that is not finite.
    """
    weight, scale = f"bank/{name}.weight", f"bank/{name}.scale"
    check_tensor(f"the bundle's tensor {scale!r}", bundle.tensors[scale], shape[:1])
    found = bundle.tensors.get(weight)
    if found is None or found.dtype != np.int8 or found.shape != shape:
        got = "nothing" if found is None else f"{found.dtype} {found.shape}"
        raise BundleError(
            f"the bundle's tensor {weight!r} is int8 of shape {shape} where {scale!r} scales its rows; got {got}"
        )


def check_tensor(what: str, tensor: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor that is there, of floating point, of this shape and finite.

    Raises:
        BundleError: it is not; `what` names it.
    """
    if tensor is None or tensor.shape != shape or tensor.dtype.kind != "f":
        got = "nothing" if tensor is None else f"{tensor.dtype} {tensor.shape}"
        raise BundleError(f"{what} is floating point of shape {shape}; got {got}")
    if not np.isfinite(tensor).all():
        raise BundleError(f"{what} is finite; it is not")
    return tensor


def tensor_shapes(space: Space, node: Node, rank: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors that a node of the largest network needs.

    Batch-norm keeps its trained gamma and beta in the bank. Its statistics are a linear function of the architecture's
    effective gates, of rank `rank`: (mean, log(variance + epsilon)) = offset + (gates @ mix) @ basis.
    """
    bank, statistics = f"bank/{node.name}", f"statistics/{node.name}"
    match node:
        case Conv2d():
            shapes: dict[str, tuple[int, ...]] = {f"{bank}.weight": (node.out_channels, *node.window, node.in_channels)}
            if node.bias == "own":
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
    if isinstance(node, Conv2d) and node.bias == "none":
        return shapes
    shapes |= {f"{bank}.gamma": (channels,), f"{bank}.beta": (channels,)}
    return shapes | {
        f"{statistics}.mix": (space.features, rank),
        f"{statistics}.basis": (rank, 2, channels),
        f"{statistics}.offset": (2, channels),
    }


def scale_shape(bundle: Bundle, node: Node) -> dict[str, tuple[int, ...]]:
    """Name and shape of the scales of a node's weight, where it is of 8-bit integers: one for each output."""
    name = f"bank/{node.name}.scale"
    match node:
        case Conv2d() if name in bundle.tensors:
            return {name: (node.out_channels,)}
        case Linear() if name in bundle.tensors:
            return {name: (node.out_features,)}
    return {}


def adapter_shapes(bundle: Bundle, node: Node) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the changes that a node of the largest network has; none where the bundle has none.

    A network whose input size is in group g adds up[g] @ down[g], of rank r, to the node's weight.
    """
    match node:
        case Conv2d(bias="norm"):
            outputs = node.out_channels
            inputs: tuple[int, ...] = (*node.window, node.in_channels)
        case DepthwiseConv2d():
            outputs, inputs = node.channels, (node.kernel, node.kernel)
        case _:
            return {}
    if not bundle.adapters:
        return {}
    groups, up = len(bundle.adapters), bundle.tensors.get(f"adapters/{node.name}.up")
    rank = up.shape[-1] if up is not None and up.ndim == 3 else 1
    return {f"adapters/{node.name}.up": (groups, outputs, rank), f"adapters/{node.name}.down": (groups, rank, *inputs)}
