"""The supernet: one set of weights, and a functional forward for any architecture of its space.

There is no active sub-network: `forward(images, architecture, norm)` walks the nodes of that architecture and
takes the prefix of the channels and the centre of the kernels. How batch-norm normalises is passed in as well
(see norm.py).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eas_sdk.errors import TrainingError
from eas_sdk.graph.nodes import (
    INPUT,
    Activation,
    Add,
    Conv2d,
    DepthwiseConv2d,
    GlobalMean,
    Linear,
    Mean,
    Multiply,
    Node,
    Normalize,
)
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.protocol import Space
from eas_train.supernet.adapters import Adapters
from eas_train.supernet.depthwise import depthwise_conv2d
from eas_train.supernet.learned import LearnedStatistics
from eas_train.supernet.norm import BatchStatistics, Known, Norm


@functools.lru_cache(maxsize=4096)
def _nodes(space: Space, architecture: Architecture, classes: int, input_size: int | None) -> tuple[Node, ...]:
    return space.structure(architecture, classes, input_size=input_size)


@functools.lru_cache(maxsize=4096)
def _done(nodes: tuple[Node, ...]) -> tuple[tuple[str, ...], ...]:
    """What no node after each needs, the input of the last one aside: memory does not hold all maps at once."""
    last = {name: i for i, node in enumerate(nodes[:-1]) for name in node.inputs}
    last.pop(nodes[-1].inputs[0], None)
    return tuple(tuple(name for name, at in last.items() if at == i) for i in range(len(nodes)))


class Supernet(nn.Module):
    """All weights of a space.

    Parameters are named after the nodes of the network description: "<node>.weight" (convolutions
    O x I x k x k, depthwise C x 1 x k x k, classifier classes x features), "<node>.bias"
    (squeeze-and-excitation, classifier), "<node>.gamma" and "<node>.beta" (batch-norm). `learned` are statistics that
    are trained along with them, `adapters` changes of weights for some input sizes, or None.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        space: Space,
        classes: int,
        *,
        mean: tuple[float, float, float] = (0.5, 0.5, 0.5),
        std: tuple[float, float, float] = (0.5, 0.5, 0.5),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.space = space
        self.classes = classes
        self.dropout = dropout
        self.learned: LearnedStatistics | None = None
        self.adapters: Adapters | None = None
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        self.tensors = nn.ParameterDict()
        for node in space.bank(classes):
            for suffix, value in _initial(node).items():
                self.tensors[_key(f"{node.name}.{suffix}")] = nn.Parameter(value)
            if isinstance(node, Add):
                # A residual block starts as the identity (Goyal et al. 2017, section 5.1).
                nn.init.zeros_(self.tensor(f"{node.inputs[0]}.gamma"))

    @property
    def elastic(self) -> ElasticSpace:
        """Its space.

        Raises:
            TrainingError: the space is of another form.
        """
        if not isinstance(self.space, ElasticSpace):
            raise TrainingError(
                "generators, routers and the sorting of channels need a supernet of an elastic space; "
                f"this one's is a {type(self.space).__name__}"
            )
        return self.space

    def tensor(self, name: str) -> Tensor:
        """The full parameter named "<node>.<suffix>"."""
        tensor: Tensor = self.tensors[_key(name)]
        return tensor

    def has(self, name: str) -> bool:
        """Whether there is a parameter named "<node>.<suffix>"."""
        return _key(name) in self.tensors

    def nodes(self, architecture: Architecture, input_size: int | None = None) -> tuple[Node, ...]:
        """The nodes that `forward` walks for `architecture`, for images of its own size or of another."""
        return _nodes(self.space, architecture, self.classes, input_size)

    def forward(self, images: Tensor, architecture: Architecture, norm: Norm | None = None) -> Tensor:
        """Logits of one sub-network.

        Args:
            images: N x 3 x S x S in [0, 1]; S need not be the architecture's size.
            architecture: a member of the space.
            norm: how to normalise; by default as in training: with the statistics of this batch, or with learned ones.

        Returns:
            N x classes.
        """
        return self.answer(images, architecture, norm)[0]

    def answer(
        self,
        images: Tensor,
        architecture: Architecture,
        norm: Norm | None = None,
        look: Callable[[Node, list[Tensor]], None] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Logits, as `forward`, and the features N x F that the classifier sees.

        Args:
            look: sees every node and its inputs.
        """
        if norm is None:
            norm = BatchStatistics(self.space.epsilon) if self.learned is None else self.learned.norm(architecture)
        group = None if self.adapters is None else self.adapters.group(architecture)
        nodes = self.nodes(architecture, images.shape[-1])
        made: dict[str, Tensor] = {INPUT: images}
        for node, done in zip(nodes, _done(nodes), strict=True):
            inputs = [made[name] for name in node.inputs]
            if look is not None:
                look(node, inputs)
            made[node.name] = self.evaluate(node, inputs, norm, group)
            del inputs
            for name in done:
                del made[name]
        return made[nodes[-1].name], made[nodes[-1].inputs[0]].flatten(1)

    def evaluate(self, node: Node, inputs: list[Tensor], norm: Norm, group: int | None = None) -> Tensor:
        """The output of one node of `nodes`.

        Args:
            group: of `adapters`.
        """
        x = inputs[0]
        match node:
            case Normalize():
                return (x - self.mean) / self.std
            case Conv2d():
                weight = self.tensor(f"{node.name}.weight")[: node.out_channels, : node.in_channels]
                weight = self._adapted(node.name, weight, group)
                bias = self._prefix(f"{node.name}.bias", node.out_channels)
                weight, bias, after = self._folded(node.name, weight, bias, norm)
                return activate(after(convolve(node, x, weight, bias)), node.activation)
            case DepthwiseConv2d():
                full = self.tensor(f"{node.name}.weight")
                crop = (full.shape[-1] - node.kernel) // 2
                weight = full[: node.channels, :, crop : crop + node.kernel, crop : crop + node.kernel]
                weight = self._adapted(node.name, weight, group)
                weight, bias, after = self._folded(node.name, weight, None, norm)
                y = depthwise_conv2d(x, weight, bias, node.stride, node.dilation, pads=node.pads[0])
                return activate(after(y), node.activation)
            case GlobalMean():
                return x.mean((2, 3), keepdim=True)
            case Multiply():
                return x * inputs[1]
            case Add():
                return x + inputs[1]
            case Mean():
                return torch.stack(inputs).mean(0)
            case Linear():
                x = F.dropout(x.flatten(1), self.dropout, self.training)
                return F.linear(x, self.tensor("classifier.weight"), self.tensor("classifier.bias"))

    def _prefix(self, name: str, channels: int) -> Tensor | None:
        return self.tensor(name)[:channels] if self.has(name) else None

    def _adapted(self, name: str, weight: Tensor, group: int | None) -> Tensor:
        return weight if self.adapters is None or group is None else self.adapters.adapted(name, weight, group)

    def _folded(
        self, name: str, weight: Tensor, bias: Tensor | None, norm: Norm
    ) -> tuple[Tensor, Tensor | None, Callable[[Tensor], Tensor]]:
        """Weight and bias of a convolution with what can be folded in of its batch-norm, and what is left to do."""
        gamma, beta = (self._prefix(f"{name}.{suffix}", len(weight)) for suffix in ("gamma", "beta"))
        if gamma is None or beta is None:
            return weight, bias, lambda y: y
        if isinstance(norm, Known):
            scale, shift = norm.affine(name, gamma, beta)
            return weight * scale.view(-1, 1, 1, 1), shift, lambda y: y
        return weight, bias, lambda y: norm(name, y, gamma, beta)


def convolve(node: Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The convolution of a node, with its padding."""
    (top, bottom), (left, right) = node.pads
    if (top, left) == (bottom, right):
        return F.conv2d(x, weight, bias, node.stride, (top, left))
    return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, node.stride)


def activate(x: Tensor, activation: Activation) -> Tensor:
    """Apply a fused activation, to relu6 in place: the gradient of a clamp takes a third of a training step."""
    match activation:
        case "relu":
            return F.relu(x)
        case "relu6":
            return F.hardtanh(x, 0.0, 6.0, inplace=True)
        case "hard_swish":
            return F.hardswish(x)
        case "hard_sigmoid":
            return F.hardsigmoid(x)
        case "none":
            return x


def _key(name: str) -> str:
    """ParameterDict allows no dots in its keys."""
    return name.replace(".", "-")


def has_norm(node: Node) -> bool:
    """Whether a batch-norm follows: all convolutions but squeeze-and-excitation and the feature layer."""
    match node:
        case DepthwiseConv2d():
            return True
        case Conv2d():
            return node.bias == "norm"
        case _:
            return False


def _initial(node: Node) -> dict[str, Tensor]:
    """Initial parameters of a node (He et al. 2015, fan out, as once-for-all does).

    The fan-out of a depthwise convolution counts all channels, though each filter sees one. Batch-norm takes the scale
    out of what the network computes, and leaves it in how fast filters turn: larger ones hardly do
    (benchmarks/suspects.py).
    """
    match node:
        case Conv2d():
            weight = torch.randn(node.out_channels, node.in_channels, *node.window)
            weight *= (2.0 / (math.prod(node.window) * node.out_channels)) ** 0.5
            made = {"weight": weight}
            if node.bias == "own":
                made["bias"] = torch.zeros(node.out_channels)
        case DepthwiseConv2d():
            weight = torch.randn(node.channels, 1, node.kernel, node.kernel)
            made = {"weight": weight * (2.0 / (node.kernel**2 * node.channels)) ** 0.5}
        case Linear():
            weight = torch.randn(node.out_features, node.in_features) * 0.01
            return {"weight": weight, "bias": torch.zeros(node.out_features)}
        case _:
            return {}
    if has_norm(node):
        channels = made["weight"].shape[0]
        made |= {"gamma": torch.ones(channels), "beta": torch.zeros(channels)}
    return made
