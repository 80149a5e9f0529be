"""A training step of the supernet against a plain network of the same architecture, and against once-for-all's.

    pip install --no-deps ofa torchvision       # for the second; without, it is left out
    python -m benchmarks.supernet_step

Forward, loss and backward of random architectures (no optimiser step, which is the same for all), alternating, on the
CPU: in the shipped bundle's space, and in the paper's, where `ofa` has its supernet. The plain network is made of
torch's own Conv2d and BatchNorm2d with the weights' exact shapes, so that it has the same multiply-adds.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.record import record
from eas_sdk.graph.nodes import (
    INPUT,
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
from eas_sdk.space.presets import PRESETS
from eas_sdk.space.protocol import Space
from eas_sdk.space.sample import random_architecture
from eas_train.progress import progress
from eas_train.supernet.model import Supernet, activate, has_norm

CLASSES = 60
Step = Callable[[Architecture], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5, help="timings of each, of which the median counts")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    figures: dict[str, Any] = {"threads": options.threads, "architectures": options.architectures}
    for preset, batch in (("small", 128), ("paper", 16)):
        figures[preset] = compare(preset, batch, options.architectures, options.rounds)
    record("supernet_step", figures)


def compare(preset: str, batch: int, count: int, rounds: int) -> dict[str, Any]:
    """Median milliseconds of each, and the median and the 95th percentile of ours over theirs."""
    space = PRESETS[preset]
    rng = random.Random(0)
    torch.manual_seed(0)
    side = space.input_sizes[-1]
    images = torch.rand(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    targets = torch.randint(CLASSES, (batch,))
    supernet = Supernet(space, CLASSES).to(memory_format=torch.channels_last)
    steps: dict[str, Step] = {"supernet": lambda a: step(supernet(images, a), targets)}
    plain: dict[Architecture, Plain] = {}

    def plain_step(architecture: Architecture) -> None:
        step(plain[architecture](images), targets)

    steps["plain"] = plain_step
    peer = once_for_all(space) if preset == "paper" and isinstance(space, ElasticSpace) else None
    if peer is not None:
        net, activate_subnet = peer

        def peer_step(architecture: Architecture) -> None:
            activate_subnet(architecture)
            step(net(images), targets)

        steps["once-for-all"] = peer_step
    times: dict[str, list[float]] = {name: [] for name in steps}
    architectures = [random_architecture(space, rng) for _ in range(count)]
    with progress(preset, count) as update:
        for i, architecture in enumerate(architectures):
            plain[architecture] = Plain(space, architecture).to(memory_format=torch.channels_last)
            taken: dict[str, list[float]] = {name: [] for name in steps}
            for turn in range(rounds + 1):
                for name, act in steps.items():
                    began = time.perf_counter()
                    act(architecture)
                    if turn:  # the first is warm-up
                        taken[name].append(time.perf_counter() - began)
            for name, values in taken.items():
                times[name].append(float(np.median(values)))
            del plain[architecture]
            update(i + 1, "")
    ours = np.array(times["supernet"])
    made: dict[str, Any] = {"batch": batch, "image_size": space.input_sizes[-1]}
    for name, values in times.items():
        made[f"{name}_ms"] = round(1e3 * float(np.median(values)), 1)
        if name != "supernet":
            ratio = ours / np.array(values)
            made[f"supernet_over_{name}"] = [round(float(v), 3) for v in np.percentile(ratio, [50, 95])]
    return made


def step(logits: Tensor, targets: Tensor) -> None:
    """Loss and gradients; they accumulate, as they do over the sub-networks of one optimiser step."""
    F.cross_entropy(logits, targets).backward()


class Plain(nn.Module):
    """One architecture of torch's own layers."""

    def __init__(self, space: Space, architecture: Architecture) -> None:
        super().__init__()
        self.nodes = space.structure(architecture, CLASSES)
        self.layers = nn.ModuleDict()
        for node in self.nodes:
            match node:
                case Conv2d():
                    shape = (node.in_channels, node.out_channels, node.kernel, node.stride, node.padding)
                    self.layers[key(node)] = nn.Conv2d(*shape, bias=node.name.endswith((".squeeze", ".excite")))
                    channels = node.out_channels
                case DepthwiseConv2d():
                    channels = node.channels
                    shape = (channels, channels, node.kernel, node.stride, node.padding)
                    self.layers[key(node)] = nn.Conv2d(*shape, groups=channels, bias=False)
                case Linear():
                    self.layers[key(node)] = nn.Linear(node.in_features, node.out_features)
                    continue
                case _:
                    continue
            if has_norm(node):
                self.layers[f"{key(node)}-norm"] = nn.BatchNorm2d(channels)

    def forward(self, images: Tensor) -> Tensor:
        made = {INPUT: images}
        for node in self.nodes:
            made[node.name] = self.evaluate(node, [made[name] for name in node.inputs])
        return made[self.nodes[-1].name]

    def evaluate(self, node: Node, inputs: list[Tensor]) -> Tensor:
        x = inputs[0]
        match node:
            case Normalize():
                return (x - 0.5) / 0.5
            case GlobalMean():
                return x.mean((2, 3), keepdim=True)
            case Multiply():
                return x * inputs[1]
            case Add():
                return x + inputs[1]
            case Mean():
                return torch.stack(inputs).mean(0)
            case Linear():
                made: Tensor = self.layers[key(node)](F.dropout(x.flatten(1), 0.1, self.training))
                return made
            case Conv2d() | DepthwiseConv2d():
                x = self.layers[key(node)](x)
                if has_norm(node):
                    x = self.layers[f"{key(node)}-norm"](x)
                return activate(x, node.activation)


def key(node: Node) -> str:
    """ModuleDict allows no dots in its keys."""
    return node.name.replace(".", "-")


def once_for_all(space: ElasticSpace) -> tuple[nn.Module, Callable[[Architecture], None]] | None:
    """The public supernet over the same space, and what selects a sub-network of it; None where it is not installed."""
    try:
        import ofa  # noqa: F401
    except ImportError:
        print("once-for-all is not installed and is left out: pip install --no-deps ofa torchvision", file=sys.stderr)
        return None
    try:
        import torchvision
    except RuntimeError:
        # Builds of torch and torchvision that do not match: declare the two operators that the import misses.
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        sys.modules.pop("torchvision", None)
        import torchvision  # noqa: F401
    from ofa.imagenet_classification.elastic_nn.networks import OFAMobileNetV3

    elastic = space.units[1]  # the first unit is a fixed block
    net = OFAMobileNetV3(
        n_classes=CLASSES,
        dropout_rate=0.1,
        width_mult=1.0,
        ks_list=list(elastic.kernels),
        expand_ratio_list=list(elastic.expansions),
        depth_list=list(elastic.depths),
    ).to(memory_format=torch.channels_last)

    def select(architecture: Architecture) -> None:
        # Its lists have an entry for every slot; those of absent blocks are not used.
        padded = [[*unit, *[unit[-1]] * (elastic.depths[-1] - len(unit))] for unit in architecture.units[1:]]
        blocks = [block for unit in padded for block in unit]
        depths = [len(unit) for unit in architecture.units[1:]]
        net.set_active_subnet(ks=[b.kernel for b in blocks], e=[b.expansion for b in blocks], d=depths)

    return net.train(), select


if __name__ == "__main__":
    main()
