"""From torch to the bundle and back: the device computes what the supernet computes, before and after pruning."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bundles import patches  # noqa: E402
from train.tiny import (  # noqa: E402
    SIZES,
    SPACES,
    TINY,
    architectures,
    collected,
    random_bundle,
    random_images,
    random_net,
)

import eas_sdk  # noqa: E402
from eas_sdk.bank.bundle import Bundle, read  # noqa: E402
from eas_sdk.bank.pictures import Pictures  # noqa: E402
from eas_sdk.errors import ArchitectureError, BundleError  # noqa: E402
from eas_sdk.runtime import Runtime  # noqa: E402
from eas_sdk.selector.protocol import Request  # noqa: E402
from eas_sdk.selector.registry import load_selector  # noqa: E402
from eas_sdk.space.architecture import Architecture, Block  # noqa: E402
from eas_sdk.space.elastic.gates import gates_of_choices  # noqa: E402
from eas_sdk.space.elastic.space import ElasticSpace  # noqa: E402
from eas_sdk.space.tables import madds_table  # noqa: E402
from eas_train.bundle import half, prune, save, selectable, to_supernet, with_pictures  # noqa: E402
from eas_train.pictures import Shown  # noqa: E402
from eas_train.statistics.model import arrays  # noqa: E402
from eas_train.supernet.norm import FixedStatistics  # noqa: E402
from eas_train.supernet.resize import images_for  # noqa: E402

CLASSES = {"solids": slice(0, 3), "lines": slice(3, 6)}
GRID = 40


def loaded(bundle: Bundle, folder: Path) -> Runtime:
    path = folder / "bundle.safetensors"
    assert save(bundle, path) == path.stat().st_size
    return eas_sdk.load(path)


def device_logits(runtime: Runtime, task: str, architecture: Architecture) -> np.ndarray:
    """Of the same images for every network, brought to its size."""
    model = runtime.build(task, architecture)
    images = images_for(runtime.bundle.space, architecture, random_images(runtime.bundle.space, 3))
    assert images.shape[-1] == model.input_size
    return model.logits(images.permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize(("name", "count"), [("tiny", 8), ("sizes", 12), ("small", 3)])
def test_the_device_computes_what_the_supernet_computes(name: str, count: int, tmp_path: Path) -> None:
    space = SPACES[name]
    bundle = random_bundle(space)
    net, table = to_supernet(bundle)
    runtime, exact = loaded(bundle, tmp_path), copy.deepcopy(net).double()
    images = random_images(space, 3)
    members = architectures(space, count, seed=4)
    assert len({member.input_size for member in members}) == len(space.input_sizes)
    for architecture in members:
        norm = table.norm(architecture)
        wide = FixedStatistics(lambda name, norm=norm: norm.lookup(name).double(), norm.epsilon)
        with torch.no_grad():
            seen = images_for(space, architecture, images)
            expected = exact(seen.double(), architecture, wide).numpy()
            rounding = np.abs(net(seen, architecture, norm).numpy() - expected).max()
        # Random statistics make some of these networks blow rounding up, in torch's float32 as on the device.
        greatest = np.abs(expected).max()
        most = max(1e-4 * greatest, min(2 * rounding, 1e-3 * greatest))
        for task, columns in CLASSES.items():
            found = device_logits(runtime, task, architecture)
            np.testing.assert_allclose(found, expected[:, columns], rtol=0, atol=most)


BOTH = pytest.mark.parametrize("space", [TINY, SIZES], ids=["tiny", "sizes"])


@BOTH
def test_a_file_gives_back_the_bundle(space: ElasticSpace, tmp_path: Path) -> None:
    bundle = random_bundle(space)
    again = loaded(bundle, tmp_path).bundle
    assert again.metadata() == bundle.metadata()
    assert again.tensors.keys() == bundle.tensors.keys()
    assert all(np.array_equal(again.tensors[name], bundle.tensors[name]) for name in bundle.tensors)


@BOTH
def test_the_supernet_comes_back_from_its_bundle(space: ElasticSpace) -> None:
    """Bank and statistics go to torch and back unchanged; that the names fit is tested by the logits above."""
    net = random_net(space)
    back, statistics = to_supernet(random_bundle(space))
    assert {layer.epsilon for layer in statistics.layers.values()} == {space.epsilon}
    state = back.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in net.state_dict().items())
    original, again = arrays(collected(net)), arrays(statistics)
    assert again.keys() == original.keys()
    assert all(np.array_equal(again[name], array) for name, array in original.items())


@pytest.mark.parametrize("integers", [False, True])
def test_half_halves_weights_and_basis_and_moves_the_logits_little(integers: bool, tmp_path: Path) -> None:
    bundle = random_bundle()
    halved = half(bundle, integers=["classifier", "unit1"] if integers else [])
    for name, tensor in halved.tensors.items():
        halves = (name.startswith("bank/") and name.endswith(".weight")) or name.endswith(".basis")
        integer = integers and name.startswith(("bank/classifier", "bank/unit1")) and "depthwise" not in name
        integer = integer and name.endswith(".weight")
        assert tensor.dtype == (np.int8 if integer else np.float16 if halves else np.float32), name
    whole_runtime = loaded(bundle, tmp_path)
    expected = device_logits(whole_runtime, "solids", TINY.largest)
    (tmp_path / "half").mkdir()
    found = device_logits(loaded(halved, tmp_path / "half"), "solids", TINY.largest)
    assert 0 < np.abs(found - expected).max() < (0.05 if integers else 0.02) * np.abs(expected).max()
    pruned = prune(halved, TINY.narrowed([TINY.smallest]))
    (tmp_path / "pruned").mkdir()
    small = loaded(pruned, tmp_path / "pruned")
    np.testing.assert_array_equal(
        device_logits(small, "lines", TINY.smallest),
        device_logits(loaded(halved, tmp_path / "half"), "lines", TINY.smallest),
    )
    back, _ = to_supernet(halved)
    torch.testing.assert_close(
        back.tensor("classifier.weight"), torch.from_numpy(halved.weight("classifier").astype(np.float32))
    )


def on_grid(bundle: Bundle) -> list[Request]:
    """Requests of every superclass over the whole range of the bundle's budgets."""
    table, ends = madds_table(bundle.space), bundle.space.encode([bundle.space.smallest, bundle.space.largest])
    low, high = table.total(bundle.space, ends, 3).tolist()
    return [
        Request(((t, 1),), 3, madds) for t in range(2) for madds in np.linspace(low, high, GRID).astype(int).tolist()
    ]


def promise(bundle: Bundle, requests: list[Request], picked: list[Architecture]) -> np.ndarray:
    """What the predictor expects of each pick."""
    gates = gates_of_choices(bundle.space, bundle.space.encode(picked))
    weights = bundle.tensors["selector/predictor"][[r.shares[0][0] for r in requests]]
    return (gates * weights).sum(1)


SEEDS = [("tiny", 0), ("tiny", 1), ("sizes", 0), ("sizes", 1)]


@pytest.mark.parametrize(("name", "seed"), SEEDS)
def test_a_pruned_bundle_selects_at_least_as_well_within_every_budget(name: str, seed: int) -> None:
    bundle = random_bundle(SPACES[name], seed)
    pruned = prune(bundle, selectable(bundle, GRID))
    assert max(block.kernel for block in pruned.space.largest.blocks) == {"tiny": 5, "sizes": 3}[name]
    requests = on_grid(bundle)
    before, after = (load_selector(b).select(requests) for b in (bundle, pruned))
    for request, architecture in zip(requests, after, strict=True):
        pruned.space.validate(architecture)
        rows = bundle.space.encode([architecture])
        assert madds_table(bundle.space).total(bundle.space, rows, 3)[0] <= request.madds
    same = [a == b for a, b in zip(before, after, strict=True)]
    assert np.mean(same) > 0.9
    assert (promise(bundle, requests, after) >= promise(bundle, requests, before) - 1e-6).all()
    # Nothing that the whole bundle picks is pruned away.
    for architecture in before:
        pruned.space.validate(architecture)


@pytest.mark.parametrize(("name", "seed"), SEEDS)
def test_a_pruned_bundle_is_smaller_and_computes_exactly_the_same(name: str, seed: int, tmp_path: Path) -> None:
    bundle = random_bundle(SPACES[name], seed)
    pruned = prune(bundle, selectable(bundle, GRID))
    assert sum(t.nbytes for t in pruned.tensors.values()) < sum(t.nbytes for t in bundle.tensors.values())
    (tmp_path / "pruned").mkdir()
    whole, small = loaded(bundle, tmp_path), loaded(pruned, tmp_path / "pruned")
    picked = {*load_selector(pruned).select(on_grid(pruned)), pruned.space.largest, bundle.space.smallest}
    for architecture in sorted(picked)[:: max(1, len(picked) // 8)]:
        for task in CLASSES:
            np.testing.assert_array_equal(
                device_logits(small, task, architecture), device_logits(whole, task, architecture)
            )


def test_pruning_to_the_smallest_network_keeps_that_one(tmp_path: Path) -> None:
    bundle = random_bundle()
    whole = loaded(bundle, tmp_path)
    expected = device_logits(whole, "lines", TINY.smallest)
    runtime = loaded(prune(bundle, TINY.narrowed([TINY.smallest])), tmp_path)
    np.testing.assert_array_equal(device_logits(runtime, "lines", TINY.smallest), expected)
    assert runtime.budget_range("lines")[0] == runtime.budget_range("lines")[1]
    with pytest.raises(ArchitectureError):
        runtime.build("lines", Architecture(((Block(3, 1),), *[(Block(5, 2),)] * 3)))


def test_a_bank_without_the_largest_images_has_calibration_images_of_its_own_size(tmp_path: Path) -> None:
    """And files that it was pruned to can be read."""
    bound = Architecture.parse("24px k3e1 | k3e3 k3e2 | k5e2 k3e4")
    images = patches(5, 32)
    bundle = with_pictures(
        random_bundle(SIZES), Shown(images[:2], np.array([0, 3])), Shown(images[2:], np.array([1, 2, 4]))
    )
    pruned = prune(bundle, SIZES.narrowed([bound]))
    assert pruned.space.largest == bound
    (tmp_path / "pruned").mkdir()
    whole, small = loaded(bundle, tmp_path), loaded(pruned, tmp_path / "pruned")
    assert small.bundle.pictures == Pictures(24, (0, 3), (1, 2, 4))
    calibration = small.bundle.calibration_images
    assert calibration is not None
    for carried, given in (
        (calibration, whole.bundle.calibration_images),
        (small.bundle.proof_images([2]), images[4:]),
    ):
        assert carried.shape == (len(given), 24, 24, 3)
        np.testing.assert_allclose(carried.mean((1, 2)), given.mean((1, 2)), atol=6)
    expected = whole.build("lines", bound).logits(calibration.astype(np.float32) / 255)
    np.testing.assert_array_equal(small.build("lines", bound).logits(calibration.astype(np.float32) / 255), expected)
    with pytest.raises(ArchitectureError, match="24"):
        small.build("lines", Architecture(bound.units, 32))


def test_a_bundle_whose_tensors_do_not_fit_its_space_is_refused(tmp_path: Path) -> None:
    bundle = random_bundle()
    smaller = dataclasses.replace(bundle.space, largest=TINY.smallest)
    save(dataclasses.replace(bundle, space=smaller), tmp_path / "b.safetensors")
    with pytest.raises(BundleError, match="shape"):
        read(tmp_path / "b.safetensors")
