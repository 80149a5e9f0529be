"""Changes of weights for some input sizes: what they leave alone, how they are trained, and the same on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from train.tiny import SIZES, architectures, collected, random_bundle, random_images, random_net, tiny_recipe  # noqa: E402

import eas_sdk  # noqa: E402
from eas_sdk.bank import bundle as bundles  # noqa: E402
from eas_sdk.bank.bundle import Bundle  # noqa: E402
from eas_sdk.errors import BundleError  # noqa: E402
from eas_sdk.selector.registry import load_selector  # noqa: E402
from eas_sdk.space.architecture import Architecture  # noqa: E402
from eas_sdk.task import Superclass  # noqa: E402
from eas_train.bundle import assemble, half, prune, save, to_supernet  # noqa: E402
from eas_train.selection import Selection  # noqa: E402
from eas_train.supernet.adapters import Adapters  # noqa: E402
from eas_train.supernet.model import Supernet  # noqa: E402
from eas_train.supernet.optimizer import new_optimizer, set_rate  # noqa: E402
from eas_train.supernet.recipe import SupernetRecipe  # noqa: E402
from eas_train.supernet.resize import images_for  # noqa: E402

SMALL, MIDDLE, LARGE = SIZES.input_sizes
MEMBERS = architectures(SIZES, 12, seed=2)


@pytest.fixture
def net() -> Supernet:
    """With changes for the smallest size, as a training might leave them."""
    made = random_net(SIZES)
    made.adapters = Adapters(SIZES, made.classes, [[SMALL]], 3)
    torch.manual_seed(3)
    with torch.no_grad():
        for up in made.adapters.up.values():
            up.normal_(0, 0.3)
    return made


def answers(net: Supernet, architecture: Architecture) -> torch.Tensor:
    with torch.no_grad():
        return net(images_for(SIZES, architecture, random_images(SIZES, 8, 3)), architecture)


def bundle_of(net: Supernet, listed: Sequence[Architecture] = MEMBERS) -> Bundle:
    menu = SIZES.encode(listed)
    scores = np.zeros((1, len(menu)), np.float32)
    labels = [Superclass("all", tuple(f"c{i}" for i in range(net.classes)))]
    selection = Selection({"kind": "menu"}, {"choices": menu, "scores": scores})
    return assemble("adapted", net, collected(net), selection, labels, training={}, attributions=[])


def test_only_networks_of_their_sizes_are_changed(net: Supernet) -> None:
    plain = random_net(SIZES)
    assert {a.input_size for a in MEMBERS} == set(SIZES.input_sizes)
    for architecture in MEMBERS:
        same = torch.allclose(answers(net, architecture), answers(plain, architecture), atol=1e-3)
        assert same == (architecture.input_size != SMALL)


def test_they_begin_with_no_change() -> None:
    net, plain = random_net(SIZES), random_net(SIZES)
    net.adapters = Adapters(SIZES, net.classes, [[SMALL, MIDDLE]], 2)
    for architecture in MEMBERS:
        torch.testing.assert_close(answers(net, architecture), answers(plain, architecture))


def test_the_device_computes_what_the_supernet_computes(net: Supernet, tmp_path: Path) -> None:
    bundle = bundle_of(net)
    save(bundle, tmp_path / "adapted.safetensors")
    runtime = eas_sdk.load(tmp_path / "adapted.safetensors")
    assert runtime.bundle.adapters == ((SMALL,),)
    back, table = to_supernet(runtime.bundle)
    for architecture in MEMBERS:
        seen = images_for(SIZES, architecture, random_images(SIZES, 4))
        with torch.no_grad():
            expected = net(seen, architecture, table.norm(architecture)).numpy()
            again = back(seen, architecture, table.norm(architecture)).numpy()
        np.testing.assert_allclose(again, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
        found = runtime.build("all", architecture).logits(seen.permute(0, 2, 3, 1).numpy())
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3 * np.abs(expected).max())


def test_they_are_halved_and_pruned_with_the_rest(net: Supernet, tmp_path: Path) -> None:
    kept = [a for a in MEMBERS if a.input_size == SMALL]
    bundle = bundle_of(net, kept[:1])
    halved = half(bundle)
    changes = [name for name in halved.tensors if name.startswith("adapters/")]
    assert changes
    assert {halved.tensors[name].dtype for name in changes} == {np.dtype(np.float16)}
    pruned = prune(bundle, SIZES.narrowed(kept[:1]))
    bundles.check(pruned)
    assert sum(pruned.tensors[n].size for n in pruned.tensors if n.startswith("adapters/")) < sum(
        bundle.tensors[name].size for name in changes
    )
    images = np.random.default_rng(0).integers(0, 256, (2, SMALL, SMALL, 3), np.uint8)
    logits = []
    for made in (bundle, pruned):
        runtime = eas_sdk.Runtime(made, load_selector(made))
        logits.append(runtime.build("all", kept[0]).logits(images))
    np.testing.assert_allclose(logits[1], logits[0], rtol=1e-5, atol=1e-6)


def test_they_learn_where_the_weights_rest() -> None:
    phases = tiny_recipe().phases
    recipe = SupernetRecipe(
        space=SIZES.to_json(),
        phases=phases,
        frozen=("stem", "unit", "head", "classifier"),
        adapted_sizes=((SMALL,),),
        adapter_rate=2.0,
    )
    net = random_net(SIZES)
    net.adapters = Adapters(SIZES, net.classes, recipe.adapted_sizes, 2)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    optimizer = new_optimizer(net, recipe)
    set_rate(optimizer, 0.01)
    assert {group["lr"] for group in optimizer.param_groups} >= {0.02}
    small = replace(SIZES.largest, input_size=SMALL)
    images, targets = random_images(SIZES, 16), torch.arange(16) % net.classes
    losses = []
    for _ in range(20):
        loss = torch.nn.functional.cross_entropy(net(images_for(SIZES, small, images), small), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    moved = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert not [name for name in moved if name.endswith("weight")], "the weights rest"
    assert any(name.startswith("adapters.up") for name in moved)


@pytest.mark.parametrize("sizes", [((LARGE,),), ((SMALL,), (SMALL,)), ((20,),), ((),)])
def test_sizes_that_cannot_be(sizes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match=rf"adapted_sizes are groups .* \[{SMALL}, {MIDDLE}\]; got"):
        SupernetRecipe(space=SIZES.to_json(), phases=tiny_recipe().phases, adapted_sizes=sizes)


@pytest.mark.parametrize("damage", ["missing", "shape", "infinite"])
def test_a_damaged_change_is_refused(net: Supernet, damage: str) -> None:
    bundle = bundle_of(net)
    name = "adapters/stem.down"
    tensors = dict(bundle.tensors)
    if damage == "missing":
        del tensors[name]
    else:
        tensors[name] = tensors[name][..., :1] if damage == "shape" else np.full_like(tensors[name], np.inf)
    with pytest.raises(BundleError, match=r"adapters/stem\.down"):
        bundles.check(replace(bundle, tensors=tensors))


def test_other_bundles_have_none() -> None:
    bundle = random_bundle(SIZES)
    assert bundle.adapters == ()
    assert "adapters" not in bundle.metadata()
