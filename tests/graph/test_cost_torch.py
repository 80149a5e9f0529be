"""Counts on nodes equal counts on the real network."""

from __future__ import annotations

import dataclasses
import math

import pytest
from bundles import SIZES
from hypothesis import given, settings
from strategies import members

torch = pytest.importorskip("torch")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from eas_sdk.graph.cost import cost  # noqa: E402
from eas_sdk.graph.nodes import INPUT, Node  # noqa: E402
from eas_sdk.space.architecture import Architecture  # noqa: E402
from eas_sdk.space.elastic.backbones import MOBILENET_V3_LARGE, PAPER  # noqa: E402
from eas_sdk.space.elastic.space import ElasticSpace  # noqa: E402
from eas_sdk.space.protocol import size_of  # noqa: E402
from eas_train.supernet.model import Supernet  # noqa: E402


class Recorded(Supernet):
    """A supernet that notes the bytes of every tensor that it makes."""

    def evaluate(self, node: Node, inputs: list[torch.Tensor], *how: object) -> torch.Tensor:
        made = super().evaluate(node, inputs, *how)
        self.sizes[node.name] = made.element_size() * made.numel()
        return made


def run(space: ElasticSpace, architecture: Architecture) -> tuple[int, int, int]:
    """Multiply-adds, parameters and peak bytes of one image through a network that has nothing but `architecture`."""
    own = dataclasses.replace(space, largest=architecture)
    net = Recorded(own, classes=5).eval()
    size = size_of(space, architecture)
    image = torch.zeros(1, 3, size, size)
    net.sizes = {INPUT: image.element_size() * image.numel()}
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        # Statistics of a batch need more than one value a channel, which the smallest maps do not have.
        net(image, architecture, lambda name, y, gamma, beta: y)
    nodes = net.nodes(architecture)
    peak = 0
    for i, node in enumerate(nodes):
        later = {name for reader in nodes[i:] for name in reader.inputs} & {INPUT, *(n.name for n in nodes[:i])}
        peak = max(peak, sum(net.sizes[name] for name in later | {node.name}))
    return counter.get_total_flops() // 2, sum(math.prod(p.shape) for p in net.parameters()), peak


@settings(max_examples=40)
@given(members())
def test_costs_of_the_real_network(member: tuple[ElasticSpace, Architecture]) -> None:
    space, architecture = member
    counted = cost(Supernet(space, classes=5).nodes(architecture))
    assert run(space, architecture) == (counted.madds, counted.parameters, counted.peak_activation_bytes)


@pytest.mark.parametrize("end", ["smallest", "largest"])
@pytest.mark.parametrize("space", [dataclasses.replace(PAPER, input_sizes=(96,)), SIZES], ids=["paper", "sizes"])
def test_costs_of_the_ends_of_a_space(space: ElasticSpace, end: str) -> None:
    architecture = getattr(space, end)
    counted = cost(Supernet(space, classes=5).nodes(architecture))
    assert run(space, architecture) == (counted.madds, counted.parameters, counted.peak_activation_bytes)


def test_torchvision_counts_as_many_parameters() -> None:
    torchvision = pytest.importorskip("torchvision")
    theirs = torchvision.models.mobilenet_v3_large()
    nodes = MOBILENET_V3_LARGE.structure(MOBILENET_V3_LARGE.largest, 1000)
    assert cost(nodes).parameters == sum(math.prod(p.shape) for p in theirs.parameters())
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        theirs.eval()(torch.zeros(1, 3, 224, 224))
    assert cost(nodes).madds == counter.get_total_flops() // 2
