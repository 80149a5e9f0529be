"""Training of the router: where it starts, what a batch holds, that it resumes, and what is folded."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from train.tiny import (  # noqa: E402
    CPU,
    GENTLE,
    SIZES,
    SUPERCLASSES,
    TINY,
    drawings,
    equal_states,
    interrupted_after,
    other_splits,
    others,
    random_images,
    random_net,
    splits,
)

from eas_sdk.engine.numpy_engine import NumpyEngine  # noqa: E402
from eas_sdk.errors import DataError, TrainingError  # noqa: E402
from eas_sdk.graph.nodes import Graph  # noqa: E402
from eas_sdk.space.architecture import Architecture  # noqa: E402
from eas_sdk.space.elastic.space import ElasticSpace  # noqa: E402
from eas_sdk.space.elastic.units import Unit  # noqa: E402
from eas_train.data.fixed_views import fixed_views  # noqa: E402
from eas_train.data.imageset import Superclass  # noqa: E402
from eas_train.data.splits import Splits  # noqa: E402
from eas_train.recipe import RouterRecipe  # noqa: E402
from eas_train.router import train as module  # noqa: E402
from eas_train.router.calibrate import finish  # noqa: E402
from eas_train.router.data import NO_CLASS, RouterData, check_others  # noqa: E402
from eas_train.router.member import train_member  # noqa: E402
from eas_train.router.network import fold, new_router, router_space  # noqa: E402
from eas_train.router.train import batches, train_router  # noqa: E402
from eas_train.supernet.evaluate import calibrate, features_of, logits_of, recalibrated  # noqa: E402
from eas_train.supernet.model import Supernet  # noqa: E402
from eas_train.supernet.norm import FixedStatistics  # noqa: E402

RECIPE = RouterRecipe(
    steps=4, warmup_steps=1, batch_size=16, depth=2, kernel=3, expansion=2, statistics_batches=1, checkpoint_every_s=0
)
OWNER = [0, 0, 0, 1, 1, 1]
DATA = RouterData.of(drawings(6, 0), others(6, 0))


def router(seed: int = 0, recipe: RouterRecipe = RECIPE, space: ElasticSpace = TINY) -> Supernet:
    torch.manual_seed(seed)
    return new_router(random_net(space), recipe, OWNER, 3, CPU)


def test_its_space_has_one_member_that_is_nested_in_the_bank() -> None:
    space = router_space(TINY, RECIPE)
    assert space.smallest == space.largest
    assert [(u.depths, u.kernels, u.expansions) for u in space.units[1:]] == [((2,), (3,), (2,))] * 3
    assert space.units[0] == TINY.units[0]
    TINY.validate(space.largest)


def test_of_several_sizes_it_takes_the_smallest() -> None:
    space = router_space(SIZES, RECIPE)
    assert space.input_sizes == (16,)
    assert str(space.largest) == "k3e1 | k3e2 k3e2 | k3e2 k3e2"
    assert (space.padding, space.epsilon, space.head) == (SIZES.padding, SIZES.epsilon, SIZES.head)
    bank = random_net(SIZES)
    net = new_router(bank, RECIPE, OWNER, 3, CPU).eval()
    images = random_images(SIZES, 4)[..., :16, :16]
    member = Architecture(space.largest.units, 16)
    torch.testing.assert_close(net(images, space.largest)[:, 3:], bank(images, member))


def test_its_blocks_are_no_larger_than_the_banks() -> None:
    """Which has the weights that it starts from: a unit, or a narrower bank, may have less than is asked for."""
    wide = RECIPE.model_copy(update={"depth": 3, "kernel": 5, "expansion": 4})
    assert str(router_space(SIZES, wide).largest) == "k3e1 | k3e4 k3e4 | k5e4 k5e4 k5e4"
    bound = Architecture.parse("24px k3e1 | k3e3 k3e2 | k3e2 k5e4")
    narrow = dataclasses.replace(SIZES, largest=bound)
    assert str(router_space(narrow, wide).largest) == "k3e1 | k3e2 k3e2 | k3e2 k3e2"
    plain = dataclasses.replace(
        SIZES, units=(Unit(8, 1, (1, 2), (3,), (1,), "relu6"), *SIZES.units[1:]), largest=Architecture(())
    )
    for space in (narrow, plain):
        net = new_router(random_net(space), wide, OWNER, 3, CPU)
        assert not net.has("unit0.block0.expand.weight")


def test_it_starts_as_the_banks_network_of_that_architecture() -> None:
    bank, net = random_net(TINY), router()
    images = random_images(TINY, 4)
    member = net.space.largest
    from_bank = bank(images, member)
    from_router = net.eval()(images, member)
    torch.testing.assert_close(from_router[:, 3:], from_bank)
    by_superclass = torch.stack([from_bank[:, :3].mean(1), from_bank[:, 3:].mean(1)], 1)
    torch.testing.assert_close(from_router[:, :2], by_superclass)


def test_an_expansion_below_the_banks_smallest_takes_the_first_channels() -> None:
    bank, net = random_net(TINY), router(recipe=RECIPE.model_copy(update={"expansion": 1}))
    mine, theirs = (n.tensor("unit2.block1.depthwise.weight") for n in (net, bank))
    assert len(mine) < len(theirs)
    torch.testing.assert_close(mine, theirs[: len(mine), :, 2:5, 2:5])


def test_the_data_are_in_three_groups() -> None:
    known, odd = drawings(6, 0), others(6, 0)
    assert DATA.groups == (36, 12, 12)
    kinds = torch.from_numpy(DATA.images.targets)
    assert DATA.superclass_of[kinds].tolist() == [0] * 18 + [1] * 18 + [0] * 6 + [1] * 6 + [2] * 12
    assert DATA.class_of[kinds][:36].tolist() == known.targets.tolist()
    assert set(DATA.class_of[kinds][36:].tolist()) == {NO_CLASS}
    assert len(set(kinds.tolist())) == 9
    np.testing.assert_array_equal(DATA.images.images[36:], odd.images)
    assert RouterData.of(known, None).groups == (36, 0, 0)


def test_a_batch_has_its_shares_of_the_groups() -> None:
    recipe = RECIPE.model_copy(update={"shares": (2.0, 1.0, 1.0)})
    batch = next(batches(DATA, recipe, GENTLE, CPU, 24, 64, [0]))
    assert batch.images.shape == (64, 3, 24, 24)
    assert int((DATA.class_of[batch.targets] != NO_CLASS).sum()) == 32
    assert int((DATA.superclass_of[batch.targets] == 2).sum()) == 16
    alone = RouterData.of(drawings(6, 0), None)
    batch = next(batches(alone, recipe, GENTLE, CPU, 24, 10, [0]))
    classes = alone.class_of[batch.targets]
    assert len(classes) == 10
    assert NO_CLASS not in classes.tolist()
    assert alone.superclass_of[batch.targets].tolist() == [OWNER[c] for c in classes]


def trained(folder: Path, net: Supernet, recipe: RouterRecipe = RECIPE) -> Supernet:
    return train_router(recipe, net, DATA, GENTLE, folder, outputs=3, fingerprint="mine")


def test_a_training_that_was_stopped_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained(tmp_path / "whole", router())
    assert not equal_states(whole, router())
    with monkeypatch.context() as patch:
        patch.setattr(module, "progress", interrupted_after(2))
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "cut", router())
    assert equal_states(trained(tmp_path / "cut", router(seed=1)), whole)
    assert equal_states(trained(tmp_path / "cut", router(seed=2)), whole)  # finished: nothing is done
    with pytest.raises(TrainingError, match="another recipe"):
        train_router(RECIPE, router(), DATA, GENTLE, tmp_path / "cut", outputs=3, fingerprint="other")


def test_a_loss_that_is_not_finite_is_told(tmp_path: Path) -> None:
    net = router()
    with torch.no_grad():
        net.tensor("head.weight").fill_(torch.inf)
    with pytest.raises(TrainingError, match=r"step 0.*learning rate"):
        trained(tmp_path, net)


@pytest.mark.parametrize("space", [TINY, SIZES], ids=["tiny", "sizes"])
def test_the_folded_network_computes_what_was_trained(space: ElasticSpace) -> None:
    net = router(space=space).eval()
    images = random_images(net.space, 16)
    statistics = calibrate(net, net.space.largest, images)
    norm = FixedStatistics(statistics.__getitem__, net.space.epsilon)
    expected = logits_of(net, net.space.largest, images, norm)[:, :3]
    weights = fold(net, statistics, 3, temperature=2.0)
    half = np.full(3, 0.5, np.float32)
    weights |= {"normalize.weight": 1 / half, "normalize.bias": -half / half}
    graph = Graph(net.space.structure(net.space.largest, 3), weights, ("a", "b", "c"))
    found = NumpyEngine().compile(graph).run(images.permute(0, 2, 3, 1).numpy().copy())
    np.testing.assert_allclose(found, expected.numpy() / 2, atol=1e-4 * float(expected.abs().max()))


def test_the_threshold_lets_the_wanted_share_pass() -> None:
    data, odd = splits().validation, other_splits().validation
    for accepted in (0.5, 0.9):
        recipe = RECIPE.model_copy(update={"accepted": accepted})
        made = finish(router().eval(), DATA, data, odd, recipe, GENTLE, 3)
        assert made.figures["validation_accepted"] == accepted
        assert 0 <= made.figures["validation_rejected_of_none"] <= 1
        assert 0 < made.config["threshold"] < 1
    strict = finish(router().eval(), DATA, data, None, RECIPE.model_copy(update={"accepted": 1.0}), GENTLE, 3)
    assert strict.config["threshold"] < made.config["threshold"]
    assert "validation_rejection_auc" not in strict.figures


def test_a_member_of_the_bank_routes_by_its_features() -> None:
    """Only the classifier is fitted; what it says after the bundle's arithmetic is what was fitted."""
    net, data, odd = random_net(SIZES), splits(), other_splits()
    architecture = SIZES.smallest
    norm = recalibrated(net, architecture, fixed_views(data.train, 1, 16, CPU)[0])
    known = RouterData.of(data.train, odd.train)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    made = train_member(net, architecture, norm, known, data.validation, odd.validation, RECIPE, 3)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert made.config["architecture"] == str(architecture)
    assert made.figures["validation_superclass_top1"] > 0.8, "colours and shapes are told apart by random features"
    assert made.figures["validation_rejection_auc"] > 0.6
    features = features_of(net, architecture, fixed_views(data.validation, 1, 16, CPU)[0], norm)
    logits = features @ torch.from_numpy(made.tensors["classifier.weight"]).T
    logits += torch.from_numpy(made.tensors["classifier.bias"])
    sure = logits.softmax(1)[:, :2].amax(1)
    assert float((sure >= made.config["threshold"]).float().mean()) == pytest.approx(RECIPE.accepted, abs=0.05)


def test_others_of_other_superclasses_are_refused() -> None:
    data, odd = splits(), other_splits()
    check_others(data, odd)
    with pytest.raises(DataError, match=r"solids, lines.*one more.*got solids, lines$"):
        check_others(data, data)
    renamed = [
        dataclasses.replace(
            part,
            superclasses=(
                Superclass("lines", ("odd square",)),
                Superclass("solids", ("odd cross",)),
                part.superclasses[2],
            ),
        )
        for part in (odd.train, odd.validation, odd.test)
    ]
    with pytest.raises(DataError, match="got lines, solids, none"):
        check_others(data, Splits(*renamed))
    with pytest.raises(DataError, match="24 px; got 32 px"):
        check_others(data, Splits(*(others(2, s, size=32) for s in range(3))))
    assert [s.name for s in SUPERCLASSES] == ["solids", "lines"]
