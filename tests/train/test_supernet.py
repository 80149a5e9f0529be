"""The supernet: each sub-network is the network that its architecture describes, and runs leave no trace."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from train.tiny import SPACES, TINY, architectures, collected, random_images, random_net  # noqa: E402

from eas_sdk.space.architecture import Architecture, Block  # noqa: E402
from eas_sdk.space.elastic.space import ElasticSpace  # noqa: E402
from eas_train.supernet.model import Supernet  # noqa: E402
from eas_train.supernet.sort import sort_channels  # noqa: E402


def rounded(value: float) -> int:
    """Multiples of 8 that are at least 90% of the value (MobileNet's rule), written out once more."""
    nearest = max(8, int(value + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * value else nearest + 8


class ConvNorm(nn.Sequential):
    """Convolution, batch-norm, activation."""

    def __init__(self, conv: nn.Conv2d, activation: nn.Module) -> None:
        super().__init__(conv, nn.BatchNorm2d(conv.out_channels), activation)


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, rounded(channels // 4), 1)
        self.excite = nn.Conv2d(rounded(channels // 4), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.excite(torch.relu(self.squeeze(x.mean((2, 3), keepdim=True))))
        return x * nn.functional.relu6(gate + 3).div(6)


class InvertedResidual(nn.Module):
    def __init__(
        self, inner: int, outer: int, block: Block, stride: int, activation: nn.Module, squeeze_excite: bool
    ) -> None:
        super().__init__()
        mid, kernel = rounded(round(inner * block.expansion)), block.kernel
        self.expand = ConvNorm(nn.Conv2d(inner, mid, 1, bias=False), activation)
        depthwise = nn.Conv2d(mid, mid, kernel, stride, kernel // 2, groups=mid, bias=False)
        self.depthwise = ConvNorm(depthwise, activation)
        self.attention = SqueezeExcite(mid) if squeeze_excite else nn.Identity()
        self.project = ConvNorm(nn.Conv2d(mid, outer, 1, bias=False), nn.Identity())
        self.residual = stride == 1 and inner == outer

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.attention(self.depthwise(self.expand(x))))
        return y + x if self.residual else y


class Standalone(nn.Module):
    """A sub-network of the elastic MobileNetV3 space, built of ordinary modules from the space's table."""

    def __init__(self, space: ElasticSpace, architecture: Architecture, classes: int) -> None:
        super().__init__()
        multiplier = space.width_multiplier
        stem, head, feature = (
            rounded(w * multiplier) for w in (space.stem_width, space.head_width, space.feature_width)
        )
        self.stem = ConvNorm(nn.Conv2d(3, stem, 3, space.stem_stride, 1, bias=False), nn.Hardswish())
        self.first_depthwise = ConvNorm(nn.Conv2d(stem, stem, 3, 1, 1, groups=stem, bias=False), nn.ReLU())
        self.first_project = ConvNorm(nn.Conv2d(stem, stem, 1, bias=False), nn.Identity())
        self.blocks = nn.ModuleDict()
        width = stem
        for u, (stage, unit) in enumerate(zip(space.stages, architecture.units, strict=True)):
            activation = nn.ReLU() if stage.activation == "relu" else nn.Hardswish()
            for b, block in enumerate(unit):
                outer = rounded(stage.width * multiplier)
                self.blocks[f"unit{u}-block{b}"] = InvertedResidual(
                    width, outer, block, stage.stride if b == 0 else 1, activation, stage.squeeze_excite
                )
                width = outer
        self.head = ConvNorm(nn.Conv2d(width, head, 1, bias=False), nn.Hardswish())
        self.feature = nn.Conv2d(head, feature, 1, bias=False)
        self.classifier = nn.Linear(feature, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem((images - 0.5) / 0.5)
        x = self.first_project(self.first_depthwise(x)) + x
        for block in self.blocks.values():
            x = block(x)
        x = self.head(x).mean((2, 3), keepdim=True)
        x = nn.functional.hardswish(self.feature(x))
        return self.classifier(x.flatten(1))

    def normed(self) -> dict[str, ConvNorm]:
        """Every convolution with batch-norm, by the supernet's name for it."""
        named = {
            "stem": self.stem,
            "first.depthwise": self.first_depthwise,
            "first.project": self.first_project,
        }
        for key, block in self.blocks.items():
            name = key.replace("-", ".")
            named |= {f"{name}.{part}": getattr(block, part) for part in ("expand", "depthwise", "project")}
        return named | {"head": self.head}

    @torch.no_grad()
    def copy_from(self, net: Supernet) -> None:
        """Channel prefixes and kernel centres of the supernet's weights."""
        for name, layer in self.normed().items():
            copy_prefix(layer[0].weight, net.tensor(f"{name}.weight"))
            copy_prefix(layer[1].weight, net.tensor(f"{name}.gamma"))
            copy_prefix(layer[1].bias, net.tensor(f"{name}.beta"))
        for key, block in self.blocks.items():
            if isinstance(block.attention, SqueezeExcite):
                for part in ("squeeze", "excite"):
                    layer = getattr(block.attention, part)
                    name = f"{key.replace('-', '.')}.{part}"
                    copy_prefix(layer.weight, net.tensor(f"{name}.weight"))
                    copy_prefix(layer.bias, net.tensor(f"{name}.bias"))
        self.feature.weight.copy_(net.tensor("feature.weight"))
        self.classifier.weight.copy_(net.tensor("classifier.weight"))
        self.classifier.bias.copy_(net.tensor("classifier.bias"))


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


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_a_sub_network_is_the_standalone_network_with_sliced_weights(name: str) -> None:
    space = SPACES[name]
    net, images = random_net(space), random_images(space, 4)
    for architecture in architectures(space, 8 if name == "tiny" else 4):
        alone = standalone(net, architecture).train()
        with torch.no_grad():
            expected, found = alone(images), net(images, architecture)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))


def test_with_fixed_statistics_it_is_the_standalone_network_in_evaluation() -> None:
    net, images = random_net(TINY), random_images(TINY, 4)
    table = collected(net)
    for architecture in architectures(TINY, 6):
        norm = table.norm(architecture)
        alone = standalone(net, architecture).eval()
        for name, layer in alone.normed().items():
            layer[1].running_mean, layer[1].running_var = norm.lookup(name)[:, : layer[1].num_features]
        with torch.no_grad():
            expected, found = alone(images), net(images, architecture, norm)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))


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


def test_gradients_reach_what_the_sub_network_uses_and_nothing_else() -> None:
    net, images = random_net(TINY), random_images(TINY, 4)
    for architecture in architectures(TINY, 5):
        net.zero_grad(set_to_none=True)
        net(images, architecture).square().sum().backward()
        used = {}
        alone = standalone(net, architecture)
        for name, layer in alone.normed().items():
            used |= {f"{name}.weight": layer[0].weight, f"{name}.gamma": layer[1].weight}
            used |= {f"{name}.beta": layer[1].bias}
        for key, block in alone.blocks.items():
            if isinstance(block.attention, SqueezeExcite):
                for part in ("squeeze", "excite"):
                    layer, name = getattr(block.attention, part), f"{key.replace('-', '.')}.{part}"
                    used |= {f"{name}.weight": layer.weight, f"{name}.bias": layer.bias}
        used |= {"feature.weight": alone.feature.weight}
        used |= {"classifier.weight": alone.classifier.weight, "classifier.bias": alone.classifier.bias}
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
    unit = (Block(3, 2),)
    short, long = Architecture((unit,) * 3), Architecture((unit * 3,) * 3)
    with torch.no_grad():
        torch.testing.assert_close(net(images, long), net(images, short))


def importance(net: Supernet, name: str) -> Tensor:
    return net.tensor(f"{name}.weight").detach().abs().sum((0, 2, 3))


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_sorting_keeps_the_largest_networks_function(name: str) -> None:
    space = SPACES[name]
    net, images = random_net(space), random_images(space, 4)
    with torch.no_grad():
        before = net(images, space.largest)
        sort_channels(net)
        after = net(images, space.largest)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5 * float(before.abs().max()))


def test_sorting_puts_the_most_important_channels_first() -> None:
    net = random_net(TINY)
    sort_channels(net)
    for u, stage in enumerate(TINY.stages):
        for b in range(3):
            layers = ["project", "excite"] if stage.squeeze_excite else ["project"]
            for layer in layers:
                found = importance(net, f"unit{u}.block{b}.{layer}")
                assert (found[:-1] >= found[1:]).all()


def test_sorting_within_tiers_keeps_the_networks_of_these_ratios() -> None:
    images = random_images(TINY, 4)
    narrow = {e: Architecture(((Block(7, e),) * 3,) * 3) for e in TINY.expansions}
    net = random_net(TINY)
    with torch.no_grad():
        before = {e: net(images, a) for e, a in narrow.items()}
        sort_channels(net, tiers=(3,))
        after = {e: net(images, a) for e, a in narrow.items()}
    for e in (3, 4):
        torch.testing.assert_close(after[e], before[e], rtol=1e-4, atol=1e-5 * float(before[e].abs().max()))
    assert not torch.allclose(after[2], before[2], rtol=1e-2)  # no tier: its channels were exchanged
    edge = TINY.hidden(1, 1, 3)
    found = importance(net, "unit1.block1.project")
    for part in (found[:edge], found[edge:]):
        assert (part[:-1] >= part[1:]).all()
    assert found[edge - 1] < found[edge]  # a channel beyond the tier may matter more
