"""The supernet: each sub-network is the network that its architecture describes, and runs leave no trace."""

from __future__ import annotations

import dataclasses

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from train.tiny import SIZES, SPACES, TINY, architectures, collected, random_images, random_net  # noqa: E402

from eas_sdk.images import as_float_batch  # noqa: E402
from eas_sdk.space.architecture import Architecture, Block  # noqa: E402
from eas_sdk.space.elastic.backbones import MOBILENET_V3_LARGE  # noqa: E402
from eas_sdk.space.elastic.space import ElasticSpace  # noqa: E402
from eas_sdk.space.elastic.units import Unit  # noqa: E402
from eas_sdk.space.protocol import size_of  # noqa: E402
from eas_train.supernet.evaluate import calibrate, logits_of  # noqa: E402
from eas_train.supernet.model import Supernet  # noqa: E402
from eas_train.supernet.norm import FixedStatistics  # noqa: E402
from eas_train.supernet.resize import images_for, resized  # noqa: E402
from eas_train.supernet.sort import sort_channels  # noqa: E402

WHOLE = Architecture(())


def rounded(value: float) -> int:
    """Multiples of 8 that are at least 90% of the value (MobileNet's rule), written out once more."""
    nearest = max(8, int(value + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * value else nearest + 8


ACTIVATIONS = {"relu": nn.ReLU, "relu6": nn.ReLU6, "hard_swish": nn.Hardswish, "none": nn.Identity}


class Padded(nn.Module):
    """A convolution with the zeros around its map that a space asks for, written out once more."""

    def __init__(self, space: ElasticSpace, conv: nn.Conv2d) -> None:
        super().__init__()
        self.same, self.conv = space.padding == "same", conv

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride, side = self.conv.kernel_size[0], self.conv.stride[0], x.shape[-1]
        front = back = kernel // 2
        if self.same:  # TensorFlow: what the output of ceil(side / stride) needs, the odd zero behind
            needed = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            front, back = needed // 2, needed - needed // 2
        return self.conv(nn.functional.pad(x, (front, back, front, back)))


class ConvNorm(nn.Sequential):
    """Convolution, batch-norm, activation."""

    def __init__(self, space: ElasticSpace, conv: nn.Conv2d, activation: str) -> None:
        norm = nn.BatchNorm2d(conv.out_channels, eps=space.epsilon)
        super().__init__(Padded(space, conv), norm, ACTIVATIONS[activation]())


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, rounded(channels // 4), 1)
        self.excite = nn.Conv2d(rounded(channels // 4), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.excite(torch.relu(self.squeeze(x.mean((2, 3), keepdim=True))))
        return x * nn.functional.relu6(gate + 3).div(6)


class InvertedResidual(nn.Module):
    def __init__(self, space: ElasticSpace, inner: int, outer: int, block: Block, stride: int, unit: Unit) -> None:
        super().__init__()
        mid, kernel = rounded(round(inner * block.expansion)), block.kernel
        self.expand = (
            nn.Identity()
            if block.expansion == 1
            else ConvNorm(space, nn.Conv2d(inner, mid, 1, bias=False), unit.activation)
        )
        depthwise = nn.Conv2d(mid, mid, kernel, stride, groups=mid, bias=False)
        self.depthwise = ConvNorm(space, depthwise, unit.activation)
        self.attention = SqueezeExcite(mid) if unit.squeeze_excite else nn.Identity()
        self.project = ConvNorm(space, nn.Conv2d(mid, outer, 1, bias=False), "none")
        self.residual = stride == 1 and inner == outer

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.attention(self.depthwise(self.expand(x))))
        return y + x if self.residual else y


class Standalone(nn.Module):
    """A sub-network of an elastic space, built of ordinary modules from the space's table."""

    def __init__(self, space: ElasticSpace, architecture: Architecture, classes: int) -> None:
        super().__init__()

        def width(value: int) -> int:
            return rounded(value * space.width_multiplier)

        inner, last = width(space.stem.width), width(space.head.width)
        stem = nn.Conv2d(3, inner, 3, space.stem.stride, bias=False)
        self.stem = ConvNorm(space, stem, space.stem.activation)
        self.blocks = nn.ModuleDict()
        for u, (unit, blocks) in enumerate(zip(space.units, architecture.units, strict=True)):
            for b, block in enumerate(blocks):
                stride = unit.stride if b == 0 else 1
                self.blocks[f"unit{u}-block{b}"] = InvertedResidual(
                    space, inner, width(unit.width), block, stride, unit
                )
                inner = width(unit.width)
        self.head = ConvNorm(space, nn.Conv2d(inner, last, 1, bias=False), space.head.activation)
        self.feature: nn.Module = nn.Identity()
        if space.head.feature is not None:
            feature = nn.Conv2d(last, width(space.head.feature), 1, bias=space.head.feature_bias)
            self.feature, last = nn.Sequential(feature, ACTIVATIONS[space.head.activation]()), feature.out_channels
        self.classifier = nn.Linear(last, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem((images - 0.5) / 0.5)
        for block in self.blocks.values():
            x = block(x)
        x = self.feature(self.head(x).mean((2, 3), keepdim=True))
        return self.classifier(x.flatten(1))

    def normed(self) -> dict[str, ConvNorm]:
        """Every convolution with batch-norm, by the supernet's name for it."""
        named: dict[str, nn.Module] = {"stem": self.stem, "head": self.head}
        for key, block in self.blocks.items():
            name = key.replace("-", ".")
            named |= {f"{name}.{part}": getattr(block, part) for part in ("expand", "depthwise", "project")}
        return {name: layer for name, layer in named.items() if isinstance(layer, ConvNorm)}

    def parameters_by_name(self) -> dict[str, Tensor]:
        """All of them, by the supernet's names."""
        found: dict[str, Tensor] = {}
        plain: dict[str, nn.Module] = {"classifier": self.classifier}
        for name, layer in self.normed().items():
            found |= {f"{name}.weight": layer[0].conv.weight, f"{name}.gamma": layer[1].weight}
            found |= {f"{name}.beta": layer[1].bias}
        for key, block in self.blocks.items():
            if isinstance(block.attention, SqueezeExcite):
                plain |= {f"{key.replace('-', '.')}.{part}": getattr(block.attention, part) for part in GATES}
        if isinstance(self.feature, nn.Sequential):
            plain["feature"] = self.feature[0]
        for name, layer in plain.items():
            found |= {f"{name}.{suffix}": parameter for suffix, parameter in layer.named_parameters()}
        return found

    @torch.no_grad()
    def copy_from(self, net: Supernet) -> None:
        """Channel prefixes and kernel centres of the supernet's weights."""
        for name, parameter in self.parameters_by_name().items():
            copy_prefix(parameter, net.tensor(name))


GATES = ("squeeze", "excite")


def copy_prefix(target: Tensor, full: Tensor) -> None:
    target.copy_(full[prefix_of(full, target.shape)])


def prefix_of(full: Tensor, shape: torch.Size) -> tuple[slice, ...]:
    """First channels of the first two axes, centre of the two after them."""
    margins = [0, 0, *((f - s) // 2 for f, s in zip(full.shape[2:], shape[2:], strict=True))]
    return tuple(slice(m, m + s) for m, s in zip(margins, shape, strict=False))


def standalone(net: Supernet, architecture: Architecture) -> Standalone:
    made = Standalone(net.space, architecture, net.classes)
    made.copy_from(net)
    return made


PARTLY_BIASED = dataclasses.replace(
    MOBILENET_V3_LARGE, input_sizes=(32,), width_multiplier=0.25, units=MOBILENET_V3_LARGE.units[:4], largest=WHOLE
)
"""Ratios with decimals, and a bias of the layer over the means."""
WRITTEN_OUT = {**SPACES, "large": PARTLY_BIASED}


@pytest.mark.parametrize(("name", "count"), [("tiny", 8), ("sizes", 10), ("large", 5), ("small", 4)])
def test_a_sub_network_is_the_standalone_network_with_sliced_weights(name: str, count: int) -> None:
    space = WRITTEN_OUT[name]
    net, images = random_net(space), random_images(space, 4)
    members = architectures(space, count)
    assert len({member.input_size for member in members}) == len(space.input_sizes)
    for architecture in members:
        seen = resized(images, size_of(space, architecture))
        alone = standalone(net, architecture).train()
        with torch.no_grad():
            expected, found = alone(seen), net(seen, architecture)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("space", [TINY, SIZES], ids=["tiny", "sizes"])
def test_with_fixed_statistics_it_is_the_standalone_network_in_evaluation(space: ElasticSpace) -> None:
    net, images = random_net(space), random_images(space, 4)
    table = collected(net)
    for architecture in architectures(space, 6):
        norm = table.norm(architecture)
        alone = standalone(net, architecture).eval()
        for name, layer in alone.normed().items():
            layer[1].running_mean, layer[1].running_var = norm.lookup(name)[:, : layer[1].num_features]
        with torch.no_grad():
            seen = resized(images, size_of(space, architecture))
            expected, found = alone(seen), net(seen, architecture, norm)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_images_are_brought_to_the_size_of_the_network() -> None:
    """As on the device, but for rounding; what has the size is not touched."""
    images = random_images(SIZES, 3)
    small, *_, large = architectures(SIZES, 12)
    assert images_for(SIZES, SIZES.largest, images) is images
    assert images_for(TINY, TINY.largest, images[..., :24, :24]).shape[-1] == 24
    assert images_for(SIZES, SIZES.smallest, images).shape == (3, 3, 16, 16)
    assert images_for(SIZES, SIZES.largest, images, 24).shape == (3, 3, 24, 24), "all the same, where a phase says so"
    edges = (torch.arange(32) % 5 < 2).float().expand(2, 3, 32, 32)
    for drawn in (images, edges):  # a cubic overshoots at edges
        for size in (16, 20, 24, 48):
            expected = as_float_batch(drawn.permute(0, 2, 3, 1).numpy(), size)
            found = resized(drawn, size).permute(0, 2, 3, 1)
            torch.testing.assert_close(found, torch.from_numpy(expected), rtol=0, atol=1e-5)
    net = random_net(SIZES)
    for architecture in (small, large):
        found = calibrate(net, architecture, images)
        seen = images_for(SIZES, architecture, images)
        assert all(torch.equal(row, calibrate(net, architecture, seen)[name]) for name, row in found.items())
        norm = FixedStatistics(found.__getitem__, SIZES.epsilon)
        assert torch.equal(
            logits_of(net, architecture, images, norm), logits_of(net, architecture, seen, norm, batch_size=3)
        )


def test_a_forward_leaves_no_trace() -> None:
    net, images = random_net(TINY), random_images(TINY, 4)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    first, *others = architectures(TINY, 6, seed=1)[1:]
    with torch.no_grad():
        once = net(images, first)
        for other in others:
            net(images, other)
        assert torch.equal(net(images, first), once)
    after = net.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("space", [TINY, SIZES], ids=["tiny", "sizes"])
def test_gradients_reach_what_the_sub_network_uses_and_nothing_else(space: ElasticSpace) -> None:
    net, images = random_net(space), random_images(space, 4)
    for architecture in architectures(space, 5):
        net.zero_grad(set_to_none=True)
        net(images_for(space, architecture, images), architecture).square().sum().backward()
        used = standalone(net, architecture).parameters_by_name()
        for key, parameter in net.tensors.items():
            name = key.replace("-", ".")
            if name not in used:
                assert parameter.grad is None
                continue
            assert parameter.grad is not None
            inside = prefix_of(parameter, used[name].shape)
            assert parameter.grad[inside].abs().sum() > 0
            outside = parameter.grad.clone()
            outside[inside] = 0
            assert not outside.any()


def test_dropout_acts_in_training_only() -> None:
    net, images = random_net(TINY), random_images(TINY, 4)
    with torch.no_grad():
        assert torch.equal(net(images, TINY.largest), net(images, TINY.largest))
        net.train()
        assert not torch.equal(net(images, TINY.largest), net(images, TINY.largest))


def test_a_new_residual_block_is_the_identity() -> None:
    net, images = Supernet(TINY, 6).eval(), random_images(TINY, 4)
    first, unit = (Block(3, 1),), (Block(3, 2),)
    short, long = Architecture((first, *[unit] * 3)), Architecture((first, *[unit * 3] * 3))
    with torch.no_grad():
        torch.testing.assert_close(net(images, long), net(images, short))


def importance(net: Supernet, name: str) -> Tensor:
    return net.tensor(f"{name}.weight").detach().abs().sum((0, 2, 3))


@pytest.mark.parametrize("name", ["tiny", "sizes", "large", "small"])
def test_sorting_keeps_the_largest_networks_function(name: str) -> None:
    space = WRITTEN_OUT[name]
    net, images = random_net(space), random_images(space, 4)
    with torch.no_grad():
        before = net(images, space.largest)
        sort_channels(net)
        after = net(images, space.largest)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5 * float(before.abs().max()))


def test_sorting_puts_the_most_important_channels_first() -> None:
    net = random_net(TINY)
    sort_channels(net)
    for u, unit in enumerate(TINY.units[1:], 1):  # the first does not expand
        for b in range(3):
            layers = ["project", "excite"] if unit.squeeze_excite else ["project"]
            for layer in layers:
                found = importance(net, f"unit{u}.block{b}.{layer}")
                assert (found[:-1] >= found[1:]).all()


def test_sorting_within_tiers_keeps_the_networks_of_these_ratios() -> None:
    images = random_images(TINY, 4)
    narrow = {e: Architecture(((Block(3, 1),), *[(Block(7, e),) * 3] * 3)) for e in (2, 3, 4)}
    net = random_net(TINY)
    with torch.no_grad():
        before = {e: net(images, a) for e, a in narrow.items()}
        sort_channels(net, tiers=(3,))
        after = {e: net(images, a) for e, a in narrow.items()}
    for e in (3, 4):
        torch.testing.assert_close(after[e], before[e], rtol=1e-4, atol=1e-5 * float(before[e].abs().max()))
    assert not torch.allclose(after[2], before[2], rtol=1e-2)  # no tier: its channels were exchanged
    edge = TINY.hidden(2, 1, 3)
    found = importance(net, "unit2.block1.project")
    for part in (found[:edge], found[edge:]):
        assert (part[:-1] >= part[1:]).all()
    assert found[edge - 1] < found[edge]  # a channel beyond the tier may matter more


def test_a_block_without_an_expansion_is_not_sorted() -> None:
    """Its hidden channels are those that come in."""
    net = random_net(SIZES)
    before = {name: net.tensor(f"unit0.block0.{name}.weight").clone() for name in ("depthwise", "project")}
    sort_channels(net)
    assert all(torch.equal(net.tensor(f"unit0.block0.{name}.weight"), weight) for name, weight in before.items())


def test_tiers_hold_in_the_units_that_have_them() -> None:
    """Of the space of sizes, one unit has a ratio of 3, the other goes from 2 to 4."""
    net, images = random_net(SIZES), random_images(SIZES, 4)
    kept, exchanged = (Architecture.parse(f"32px k3e1 | k3e{e} k3e{e} | k5e4 k5e4 k5e4") for e in (3, 2))
    with torch.no_grad():
        before = [net(images, architecture) for architecture in (kept, exchanged)]
        sort_channels(net, tiers=(3,))
        after = [net(images, architecture) for architecture in (kept, exchanged)]
    torch.testing.assert_close(after[0], before[0], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(after[1], before[1], rtol=1e-2)
    found = importance(net, "unit2.block1.project")
    assert (found[:-1] >= found[1:]).all()
