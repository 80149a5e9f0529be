"""Statistics that are trained along with the weights: what they begin with, what they say, what the bundle keeps."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from train.tiny import SIZES, architectures, random_images, random_net  # noqa: E402

from eas_train.statistics.model import begin_learned, of_learned  # noqa: E402
from eas_train.supernet.evaluate import calibrate  # noqa: E402
from eas_train.supernet.learned import LearnedStatistics  # noqa: E402
from eas_train.supernet.model import Supernet  # noqa: E402
from eas_train.supernet.norm import FixedStatistics  # noqa: E402
from eas_train.supernet.resize import images_for  # noqa: E402


@pytest.fixture
def net() -> Supernet:
    """With the statistics of its largest network on random images."""
    made = random_net(SIZES)
    made.learned = LearnedStatistics(SIZES, calibrate(made, SIZES.largest, random_images(SIZES, 32)))
    return made


def trained(learned: LearnedStatistics) -> LearnedStatistics:
    """Coefficients as a training might leave them."""
    torch.manual_seed(1)
    with torch.no_grad():
        for coefficient in learned.parameters():
            coefficient.normal_(0, 0.05)
    return learned


def answers(net: Supernet, architecture: object, norm: object = None) -> torch.Tensor:
    with torch.no_grad():
        return net(images_for(SIZES, architecture, random_images(SIZES, 4, 3)), architecture, norm)


def test_they_begin_as_the_largest_network_for_all(net: Supernet) -> None:
    assert net.learned is not None
    own = {name: torch.stack(net.learned.norm(SIZES.largest).statistics(name, 8)) for name in ("stem", "head")}
    for architecture in architectures(SIZES, 5):
        norm = net.learned.norm(architecture)
        for name, expected in own.items():
            torch.testing.assert_close(torch.stack(norm.statistics(name, 8)), expected)


def test_the_largest_network_keeps_its_own_whatever_is_learned(net: Supernet) -> None:
    assert net.learned is not None
    before = {a: answers(net, a) for a in architectures(SIZES, 5)}
    trained(net.learned)
    torch.testing.assert_close(answers(net, SIZES.largest), before[SIZES.largest], rtol=1e-6, atol=1e-6)
    assert not torch.allclose(answers(net, SIZES.smallest), before[SIZES.smallest], atol=1e-2)


def test_what_a_bundle_keeps_says_the_same_at_full_rank(net: Supernet) -> None:
    assert net.learned is not None
    model = of_learned(trained(net.learned), SIZES.features)
    for architecture in architectures(SIZES, 8):
        torch.testing.assert_close(
            answers(net, architecture), answers(net, architecture, model.norm(architecture)), rtol=1e-3, atol=1e-3
        )


def test_at_a_lower_rank_the_largest_still_keeps_its_own(net: Supernet) -> None:
    assert net.learned is not None
    own = answers(net, SIZES.largest)
    model = of_learned(trained(net.learned), 2)
    torch.testing.assert_close(answers(net, SIZES.largest, model.norm(SIZES.largest)), own, rtol=1e-4, atol=1e-4)


def test_they_are_trained_by_gradient_at_what_an_architecture_has(net: Supernet) -> None:
    assert net.learned is not None
    small = SIZES.smallest
    net(images_for(SIZES, small, random_images(SIZES, 4)), small).square().sum().backward()
    for name in ("stem", "unit1.block0.project", "head"):
        assert net.learned.coefficient(name).grad.abs().sum() > 0, name
    assert (
        net.learned.coefficient("unit2.block2.project").grad is None
        or not net.learned.coefficient("unit2.block2.project").grad.any()
    ), "a block that is not there learns nothing"


def test_recorded_statistics_give_blocks_their_beginning_and_sizes_none(net: Supernet) -> None:
    assert net.learned is not None

    def draw(seed: int) -> torch.Tensor:
        return random_images(SIZES, 16, seed)

    begin_learned(net.learned, net, draw, networks=24)
    sizes = SIZES.scope("stem")[0]
    for name in net.learned.names:
        scope = net.learned.scope(name).tolist()
        of_sizes = [scope.index(gate) for gate in sizes]
        assert not net.learned.coefficient(name)[of_sizes].any()
    assert net.learned.coefficient("unit2.block0.project").abs().sum() > 0

    # What they say of a smaller network at the largest size is what is recorded of it, but for the noise.
    architecture = SIZES.largest.__class__(SIZES.smallest.units, SIZES.largest.input_size)
    found = calibrate(net, architecture, random_images(SIZES, 64, 99))
    learned, plain = net.learned.norm(architecture), net.learned.norm(SIZES.largest)
    errors = []
    for norm in (learned, plain):
        moved = [
            (norm.statistics(name, stats.shape[1])[0] - stats[0]) / stats[1].add(1e-3).sqrt()
            for name, stats in found.items()
        ]
        errors.append(float(torch.cat(moved).detach().square().mean()))
    assert errors[0] < 0.5 * errors[1]


def test_folded_statistics_compute_what_a_batch_norm_does(net: Supernet) -> None:
    statistics = calibrate(net, SIZES.smallest, random_images(SIZES, 16, 5))
    norm = FixedStatistics(statistics.__getitem__, SIZES.epsilon)
    x, name = torch.randn(2, statistics["head"].shape[1], 3, 3), "head"
    gamma, beta = net.tensor("head.gamma"), net.tensor("head.beta")
    expected = torch.nn.functional.batch_norm(x, *statistics[name], gamma, beta, training=False, eps=SIZES.epsilon)
    torch.testing.assert_close(norm(name, x, gamma, beta), expected)
