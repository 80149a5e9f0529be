"""Supernets over spaces of cells: the device computes what they compute, whole or pruned."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bundles import menu  # noqa: E402
from cell_spaces import SPACES  # noqa: E402
from train.tiny import SUPERCLASSES, collected, random_images, random_net  # noqa: E402

import eas_sdk  # noqa: E402
from eas_sdk import Runtime  # noqa: E402
from eas_sdk.bank.bundle import Bundle  # noqa: E402
from eas_sdk.errors import TrainingError  # noqa: E402
from eas_sdk.space.cells.space import CellSpace  # noqa: E402
from eas_sdk.space.sample import random_architecture  # noqa: E402
from eas_sdk.task import Superclass  # noqa: E402
from eas_train.bundle import assemble, prune, save, selectable, to_supernet  # noqa: E402
from eas_train.selection import Selection  # noqa: E402
from eas_train.statistics.model import observe  # noqa: E402
from eas_train.supernet.evaluate import calibrate  # noqa: E402
from eas_train.supernet.sort import sort_channels  # noqa: E402


def made(space: CellSpace, entries: int = 6) -> Bundle:
    net = random_net(space)
    tensors = menu(space, 2, entries)
    return assemble(
        "cells",
        net,
        collected(net, networks=14),
        Selection({"kind": "menu"}, tensors),
        [Superclass(s.name, s.class_names) for s in SUPERCLASSES],
        training={},
        attributions=("numpy",),
    )


def loaded(bundle: Bundle, folder: Path) -> Runtime:
    folder.mkdir(exist_ok=True)
    save(bundle, folder / "bundle.safetensors")
    return eas_sdk.load(folder / "bundle.safetensors")


@pytest.mark.parametrize("name", SPACES)
def test_the_device_computes_what_the_supernet_computes(name: str, tmp_path: Path) -> None:
    space, rng = SPACES[name], random.Random(3)
    bundle = made(space)
    net, table = to_supernet(bundle)
    runtime, images = loaded(bundle, tmp_path), random_images(space, 3)
    for architecture in (space.smallest, space.largest, *(random_architecture(space, rng) for _ in range(5))):
        with torch.no_grad():
            expected = net(images, architecture, table.norm(architecture)).numpy()
        found = runtime.build("lines", architecture).logits(images.permute(0, 2, 3, 1).numpy())
        np.testing.assert_allclose(found, expected[:, 3:], rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", SPACES)
def test_a_pruned_bundle_holds_the_menu_alone_and_computes_the_same(name: str, tmp_path: Path) -> None:
    whole = made(SPACES[name], entries=3)
    pruned = prune(whole, selectable(whole, 2))
    assert sum(t.nbytes for t in pruned.tensors.values()) < sum(t.nbytes for t in whole.tensors.values())
    before, after = loaded(whole, tmp_path / "whole"), loaded(pruned, tmp_path / "pruned")
    assert before.selector.architectures == after.selector.architectures
    images = random_images(SPACES[name], 3).permute(0, 2, 3, 1).numpy()
    for architecture in after.selector.architectures:
        expected = before.build("solids", architecture).logits(images)
        found = after.build("solids", architecture).logits(images)
        # Statistics are sums over fewer features, which may round otherwise.
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    gone = next(a for a in (whole.space.largest, whole.space.smallest) if a not in after.selector.architectures)
    if gone == whole.space.largest:
        with pytest.raises(eas_sdk.errors.ArchitectureError):
            after.build("solids", gone)


@pytest.mark.parametrize("name", SPACES)
def test_every_block_s_statistics_are_recorded_however_few_the_networks(name: str) -> None:
    space = SPACES[name]
    net = random_net(space)
    found = observe(net, lambda seed: random_images(space, 8, seed), lambda rng: random_architecture(space, rng), 1)
    assert len(found.features) == len(space.covering())
    for architecture in (space.largest, random_architecture(space, random.Random(0))):
        assert set(calibrate(net, architecture, random_images(space, 8))) <= set(found.layers)
    assert all((~rows.isnan()).any(0).all() for rows in found.layers.values())


def test_channels_of_cells_are_not_sorted() -> None:
    with pytest.raises(TrainingError, match="elastic space; this one's is a CellSpace"):
        sort_channels(random_net(SPACES["means"]))
