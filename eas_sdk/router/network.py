"""The router of a bundle: which superclass an image shows, or none of them.

Its classifier has a row for each superclass, and perhaps one more for what belongs to none; its input may be of another
size than the networks'. The bundle's section "router" holds the "threshold", a probability, and says what is before the
classifier:

- "architecture", a member of the bank: the tensors "router/classifier.weight" and ".bias" are all that is the router's
  own;
- "space", a search space with one member: the tensors "router/<node>.weight" and ".bias" hold that member, with
  batch-norm folded in.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from eas_sdk.bank.bundle import Bundle, check_tensor
from eas_sdk.bank.slicing import with_head
from eas_sdk.budget import format_madds
from eas_sdk.engine.checks import check_answers, weight_shapes
from eas_sdk.engine.forked import compile_graph
from eas_sdk.engine.protocol import Program
from eas_sdk.errors import ArchitectureError, BundleError
from eas_sdk.graph.cost import Cost, cost
from eas_sdk.graph.nodes import Graph, Node, Normalize
from eas_sdk.images import Images, as_float_batch
from eas_sdk.processes import PickledByFields
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.space import ElasticSpace

FloatArray = npt.NDArray[np.float64]

NONE = "none of these"
"""Label of the row for what belongs to no superclass."""


@dataclass(frozen=True)
class Route:
    """What a router says of one image, or of several that show one scene.

    Attributes:
        top: (superclass, probability), most probable first; they sum to 1 with the probability of none of them.
        known: whether the first is probable enough to go by.
    """

    top: tuple[tuple[str, float], ...]
    known: bool

    @property
    def superclass(self) -> str | None:
        """The superclass to go by; None where the image shows none of them."""
        return self.top[0][0] if self.known else None

    @property
    def probability(self) -> float:
        """That of the most probable superclass."""
        return self.top[0][1]


@dataclass(frozen=True, eq=False)
class Router(PickledByFields):
    """The router's network, which every engine and exporter takes.

    Attributes:
        superclasses: in the bundle's order.
        threshold: an image whose most probable superclass has a smaller probability shows none of them.
        nodes: of its graph.
        make: makes the graph, when it is first asked for.
    """

    superclasses: tuple[str, ...]
    threshold: float
    nodes: tuple[Node, ...]
    make: Callable[[], Graph]

    def __repr__(self) -> str:
        madds = format_madds(self.cost.madds)
        return f"<Router: {len(self.superclasses)} superclasses, {madds} multiply-adds, threshold {self.threshold:.2f}>"

    @cached_property
    def graph(self) -> Graph:
        """Labelled with the superclasses, and `NONE` where it has a row for that."""
        return self.make()

    @cached_property
    def cost(self) -> Cost:
        """Multiply-adds, parameters, peak activation bytes."""
        return cost(self.nodes)

    def compile(self, engine: str = "numpy", threads: int = 1) -> CompiledRouter:
        """The router as an engine runs it."""
        name, program = compile_graph(self.graph, engine, threads)
        return CompiledRouter(self, program, name, threads)

    def route(self, probabilities: FloatArray) -> Route:
        """The route of probabilities [superclasses]."""
        order = np.argsort(-probabilities, kind="stable")
        top = tuple((self.superclasses[t], float(probabilities[t])) for t in order)
        return Route(top, top[0][1] >= self.threshold)


@dataclass(frozen=True, eq=False)
class CompiledRouter:
    """A router that runs. Threads may share it."""

    router: Router
    program: Program
    engine: str
    threads: int = 1

    def __reduce__(self) -> tuple[Any, ...]:
        return self.router.compile, (self.engine, self.threads)

    def __repr__(self) -> str:
        return f"<CompiledRouter: {len(self.router.superclasses)} superclasses, {self.engine}>"

    def log_probabilities(self, images: Images) -> FloatArray:
        """[N, rows]: of the superclasses, and of none of them where the router has a row for it.

        Args:
            images: of any size, as `Model.logits` takes them.

        Raises:
            ImageError: another shape, dtype or range, or NaN.
            BundleError: an answer is not finite.
        """
        logits = self.program.run(as_float_batch(images, self.router.graph.input_size))
        check_answers(logits)
        return log_softmax(logits.astype(np.float64))

    def routes(self, images: Images) -> list[Route]:
        """One route an image; see `log_probabilities`."""
        count = len(self.router.superclasses)
        return [self.router.route(row[:count]) for row in np.exp(self.log_probabilities(images))]

    def scene(self, frames: Images) -> Route:
        """One route for frames that show the same: their log probabilities are averaged.

        Raises:
            ImageError: see `log_probabilities`.
        """
        mean = log_softmax(self.log_probabilities(frames).mean(0, keepdims=True))[0]
        return self.router.route(np.exp(mean)[: len(self.router.superclasses)])


def log_softmax(logits: FloatArray) -> FloatArray:
    """Logarithms of the probabilities of logits [N, rows]."""
    shifted = logits - logits.max(1, keepdims=True)
    made: FloatArray = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return made


def load_router(bundle: Bundle) -> Router | None:
    """The router of a bundle; None where it has none.

    Raises:
        BundleError: its section or tensors are malformed; the message names what.
    """
    config = bundle.router
    if config is None:
        return None
    threshold = config.get("threshold")
    if not isinstance(threshold, (int, float)) or isinstance(threshold, bool) or not 0 <= threshold <= 1:
        raise BundleError(f"a router's 'threshold' is a number from 0 to 1; got {reprlib.repr(threshold)}")
    superclasses = tuple(superclass.name for superclass in bundle.superclasses)
    tensors = bundle.group("router")
    bias = tensors.get("classifier.bias")
    rows = len(bias) if bias is not None and bias.ndim == 1 else 0
    if rows not in (len(superclasses), len(superclasses) + 1):
        raise BundleError(
            f"a router's classifier has {len(superclasses)} rows, one a superclass, and perhaps one more for what "
            f"belongs to none; got {rows}"
        )
    labels = (*superclasses, NONE)[:rows]
    nodes, make = (_member if "architecture" in config else _own)(bundle, config, tensors, labels)
    return Router(superclasses, float(threshold), nodes, make)


Made = tuple[tuple[Node, ...], Callable[[], Graph]]


def _member(
    bundle: Bundle, config: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[np.generic]], labels: tuple[str, ...]
) -> Made:
    """Nodes and graph of a router that is a member of the bank with a classifier of its own."""
    text = config["architecture"]
    if not isinstance(text, str):
        raise BundleError(f"a router's 'architecture' is text, such as '64px k3e1 | k3e6'; got {reprlib.repr(text)}")
    try:
        architecture = Architecture.parse(text)
        nodes = bundle.space.structure(architecture, len(labels))
    except ArchitectureError as error:
        raise BundleError(f"a router's 'architecture': {error}") from error
    shapes = weight_shapes(nodes[-1])
    found = [check_tensor(f"the tensor 'router/{name}'", tensors.get(name), shape) for name, shape in shapes.items()]
    weight, bias = (np.ascontiguousarray(tensor, np.float32) for tensor in found)
    return nodes, partial(with_head, bundle, architecture, weight, bias, labels)


def _own(
    bundle: Bundle, config: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[np.generic]], labels: tuple[str, ...]
) -> Made:
    """Nodes and graph of a router whose network is its own."""
    try:
        space = ElasticSpace.from_json(config.get("space"))
    except (ArchitectureError, BundleError) as error:
        raise BundleError(f"a router's 'space': {error}") from error
    nodes = space.structure(space.largest, len(labels))
    for node in nodes:
        if not isinstance(node, Normalize):
            for name, shape in weight_shapes(node).items():
                check_tensor(f"the tensor 'router/{name}'", tensors.get(name), shape)
    return nodes, partial(_own_graph, bundle, nodes, labels)


def _own_graph(bundle: Bundle, nodes: tuple[Node, ...], labels: tuple[str, ...]) -> Graph:
    weights: dict[str, npt.NDArray[np.float32]] = {
        "normalize.weight": (1 / np.asarray(bundle.std)).astype(np.float32),
        "normalize.bias": (-np.asarray(bundle.mean) / np.asarray(bundle.std)).astype(np.float32),
    }
    names = [name for node in nodes if not isinstance(node, Normalize) for name in weight_shapes(node)]
    weights |= {name: np.ascontiguousarray(bundle.tensors[f"router/{name}"], np.float32) for name in names}
    return Graph(nodes, weights, labels)
