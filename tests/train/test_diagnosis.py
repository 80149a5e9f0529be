"""A diagnosis: which members it compares, what it says of weights that did not move, and what it finds."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from cell_spaces import RESIDUALS  # noqa: E402
from train.tiny import CPU, GENTLE, SIZES, TINY, drawings, random_images, random_net, sandwich, tiny_recipe  # noqa: E402

from eas_train.diagnosis.measure import diagnose, difference  # noqa: E402
from eas_train.diagnosis.members import ends_and_middle, one_choice_at_a_time, uniform  # noqa: E402
from eas_train.diagnosis.report import PICTURE, REPORT, kept  # noqa: E402
from eas_train.diagnosis.weights import blocks_in_use  # noqa: E402
from eas_train.supernet.model import Supernet  # noqa: E402
from eas_train.supernet.sort import sort_channels  # noqa: E402
from eas_train.supernet.train import load_supernet, train_supernet  # noqa: E402

TRAIN, VALIDATION = drawings(10, 0), drawings(20, 1)


def test_members_are_the_ends_the_middle_and_one_choice_at_a_time() -> None:
    assert uniform(TINY, depths=0.0, kernels=0.0, expansions=0.0) == TINY.smallest
    assert uniform(TINY) == TINY.largest
    middle = ends_and_middle(SIZES)["middle"]
    assert str(middle) == "24px k3e1 | k3e3 | k3e2 k3e2"
    made = one_choice_at_a_time(SIZES)
    assert list(made) == [
        *(("depths", f"d{d}") for d in (1, 2, 3)),
        *(("kernels", f"k{k}") for k in (3, 5)),
        *(("expansions", f"e{e}") for e in (2, 3, 4)),
        *(("input_sizes", f"{size} px") for size in (16, 24, 32)),
    ]
    for architecture in (*made.values(), middle):
        SIZES.validate(architecture)
    assert str(made["kernels", "k3"]) == "32px k3e1 | k3e4 k3e4 | k3e4 k3e4 k3e4"
    assert made["depths", "d3"] == made["input_sizes", "32 px"] == SIZES.largest


def test_filters_that_did_not_move_are_seen() -> None:
    """Each convolution for itself, whatever the scale, and the outer taps of a kernel."""
    began = random_net(TINY)
    net = copy.deepcopy(began)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("weight") and "depthwise" not in name:
                parameter.copy_(torch.randn_like(parameter))
        net.tensor("unit1.block0.depthwise.weight")[:, :, 2:5, 2:5].normal_()
        net.tensor("unit1.block1.depthwise.weight").mul_(0.5)
    moved = {m.layer: m for b in blocks_in_use(net, began, random_images(TINY, 8)) for m in b.moved}
    assert moved["unit1.block0.expand"].cosine < 0.5
    rings = moved["unit1.block0.depthwise"].rings
    assert rings[1] < 0.5
    assert rings[2:] == pytest.approx((1, 1))
    assert moved["unit1.block1.depthwise"].cosine == pytest.approx(1)
    assert moved["unit1.block1.depthwise"].norm == pytest.approx(0.5)


def test_the_share_of_a_residual_branch_is_what_it_adds() -> None:
    net = random_net(TINY)
    images = random_images(TINY, 8)
    before = {b.block: b.residual_share for b in blocks_in_use(net, net, images)}
    assert before["unit1.block0"] is None  # whose stride is 2
    with torch.no_grad():
        for suffix in ("gamma", "beta"):
            net.tensor(f"unit1.block1.project.{suffix}").mul_(0.1)
    after = {b.block: b.residual_share for b in blocks_in_use(net, net, images)}
    assert before["unit1.block1"]
    assert after["unit1.block1"] == pytest.approx(0.1 * before["unit1.block1"], rel=1e-3)


def test_channels_that_were_sorted_are_compared_with_their_own_beginning(tmp_path: Path) -> None:
    net = random_net(TINY)
    began = copy.deepcopy(net)
    sort_channels(net, along=(began,))
    cosines = [m.cosine for b in blocks_in_use(net, began, random_images(TINY, 4)) for m in b.moved]
    assert min(cosines) == pytest.approx(1)
    recipe = tiny_recipe(phases=(sandwich(steps=1, learning_rate=1e-9, sort_channels=True),))
    train_supernet(recipe, TRAIN, tmp_path, CPU)
    now, then = (load_supernet(recipe, TRAIN, tmp_path, CPU, as_it_began=flag) for flag in (False, True))
    cosines = [m.cosine for b in blocks_in_use(now, then, random_images(TINY, 4)) for m in b.moved]
    assert min(cosines) == pytest.approx(1, abs=1e-4)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Supernet, Supernet]:
    """A supernet that has learned, and as it began."""
    folder = tmp_path_factory.mktemp("trained")
    recipe = tiny_recipe(dropout=0.0, phases=(sandwich(steps=120, superclass_dropout=0.0, learning_rate=0.1),))
    train_supernet(recipe, TRAIN, folder, CPU)
    first, second = (load_supernet(recipe, TRAIN, folder, CPU, as_it_began=flag) for flag in (False, True))
    return first, second


def test_it_finds_depth_that_was_never_learned(trained: tuple[Supernet, Supernet]) -> None:
    """The fault that the first shipped bank had: blocks beyond the first of a unit left as they began."""
    net, began = (copy.deepcopy(one) for one in trained)
    with torch.no_grad():
        for name in list(net.tensors):
            if "block1" in name or "block2" in name:
                net.tensors[name].copy_(began.tensors[name])
    found = diagnose(net, began, TRAIN, VALIDATION, GENTLE)
    text = " ".join(found.findings())
    assert "A larger depth is not worth its price: d3 is +0.0 points" in text
    assert "unit1.block1, unit1.block2" in text
    assert "unit1.block1.expand" in text
    assert found.choices["depths"]["d1"].madds < found.members["largest"].madds
    elsewhere = " ".join(diagnose(trained[0], random_net(TINY, seed=7), TRAIN, VALIDATION, GENTLE).findings())
    assert "cosine" not in elsewhere


def test_a_report_is_json_a_picture_and_is_not_made_twice(trained: tuple[Supernet, Supernet], tmp_path: Path) -> None:
    calls = []

    def find() -> object:
        calls.append(1)
        return diagnose(*trained, TRAIN, VALIDATION, GENTLE, most_images=30)

    report = kept(tmp_path, "a", find)
    assert report == json.loads((tmp_path / REPORT).read_text())
    assert report["validation_images"] == 30
    assert (tmp_path / PICTURE).read_bytes().startswith(b"\x89PNG")
    assert kept(tmp_path, "a", find) == report
    assert len(calls) == 1
    (tmp_path / REPORT).write_text("{")
    assert kept(tmp_path, "a", find) == report
    assert len(calls) == 2
    assert {"top1", "within"} == set(report["slope"])
    low, mean, high = (report["slope"]["top1"][i] for i in (1, 0, 2))
    assert low <= mean <= high


def test_a_space_of_cells_is_looked_at_too() -> None:
    net = random_net(RESIDUALS)
    found = diagnose(net, net, TRAIN, VALIDATION, GENTLE, most_images=12)
    assert set(found.members) == {"smallest", "largest"}
    assert not found.choices
    assert found.blocks
    assert found.to_json()["findings"]


def test_differences_are_paired() -> None:
    import numpy as np

    one, other = np.array([1, 1, 1, 0] * 25, bool), np.array([1, 0, 1, 0] * 25, bool)
    mean, low, high = difference(one, other)
    assert mean == 0.25
    assert (low, high) == pytest.approx((0.25 - 1.96 * np.sqrt(3) / 40, 0.25 + 1.96 * np.sqrt(3) / 40))
