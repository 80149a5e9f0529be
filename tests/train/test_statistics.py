"""Batch-norm statistics: how they are recorded, and the linear models that a bundle carries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from train.tiny import SIZES, TINY, architectures, collected, means, random_images, random_net  # noqa: E402

from eas_sdk.errors import TrainingError  # noqa: E402
from eas_sdk.space.elastic.gates import GateLayout, choices_of_gates, effective_gates, gates_of_choices  # noqa: E402
from eas_sdk.space.elastic.space import ElasticSpace  # noqa: E402
from eas_sdk.space.sample import random_architecture  # noqa: E402
from eas_train.statistics.model import Observations, arrays, fit, observe  # noqa: E402
from eas_train.supernet.evaluate import calibrate, logits_of, recalibrated, within_superclass  # noqa: E402
from eas_train.supernet.norm import Recorder  # noqa: E402
from eas_train.supernet.resize import images_for  # noqa: E402


def pooled(batch: torch.Tensor) -> torch.Tensor:
    """Mean and biased variance of each channel: [2, C] float64."""
    flat = batch.double().transpose(0, 1).flatten(1)
    return torch.stack([flat.mean(1), flat.var(1, correction=0)])


def record(batches: list[torch.Tensor]) -> torch.Tensor:
    recorder = Recorder(1e-5)
    for batch in batches:
        recorder("x", batch, torch.ones(batch.shape[1]), torch.zeros(batch.shape[1]))
    return recorder.statistics()["x"].double()


def features(count: int, seed: int) -> torch.Tensor:
    """Maps of 5 channels whose mean and spread differ between channels and images."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 5, 6, 6, generator=generator)
    return x * torch.arange(1.0, 6).view(1, 5, 1, 1) + torch.randn(count, 5, 1, 1, generator=generator)


def test_recording_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eas_train.statistics.model.SAVE_EVERY_S", 0.0)
    net, cache = random_net(TINY), tmp_path / "observations.pt"
    seen: list[int] = []

    def draw(seed: int) -> torch.Tensor:
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(seed)
        return random_images(TINY, 8, seed)

    def run(draw: Callable[[int], torch.Tensor], **kept: Any) -> Observations:
        return observe(net, draw, lambda rng: random_architecture(TINY, rng), 5, **kept)

    kept = {"cache": cache, "fingerprint": "a"}
    with pytest.raises(KeyboardInterrupt):
        run(draw, **kept)
    with pytest.raises(TrainingError, match=r"observations\.pt"):
        run(draw, cache=cache, fingerprint="b")
    rest: list[int] = []
    resumed = run(lambda seed: rest.append(seed) or random_images(TINY, 8, seed), **kept)
    assert rest == [3, 4]
    assert not cache.exists()
    whole = run(lambda seed: random_images(TINY, 8, seed))
    assert torch.equal(resumed.features, whole.features)
    for name, layer in whole.layers.items():
        assert torch.equal(resumed.layers[name].nan_to_num(-1), layer.nan_to_num(-1))


def test_one_batch_gives_its_exact_pooled_statistics() -> None:
    x = features(12, 0)
    torch.testing.assert_close(record([x]), pooled(x), rtol=1e-5, atol=1e-6)


def test_equal_batches_give_the_mean_of_their_statistics() -> None:
    parts = [features(8, seed) for seed in range(3)]
    found = record(parts)
    torch.testing.assert_close(found, means([pooled(p) for p in parts]), rtol=1e-5, atol=1e-6)
    # The mean is that of all images together; the variance leaves out how much the batches' means differ.
    whole = pooled(torch.cat(parts))
    torch.testing.assert_close(found[0], whole[0], rtol=1e-5, atol=1e-6)
    between = torch.stack([pooled(p)[0] for p in parts]).var(0, correction=0)
    torch.testing.assert_close(found[1] + between, whole[1], rtol=1e-5, atol=1e-6)


def test_unequal_batches_count_by_their_images() -> None:
    large, small = features(9, 0), features(3, 1)
    expected = 0.75 * pooled(large) + 0.25 * pooled(small)
    torch.testing.assert_close(record([large, small]), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("space", [TINY, SIZES], ids=["tiny", "sizes"])
def test_calibration_splits_its_images_and_reproduces_the_batchs_own_normalisation(space: ElasticSpace) -> None:
    net, images = random_net(space), random_images(space, 10)
    architecture = architectures(space, 3)[2]
    with torch.no_grad():
        by_batch = net(images_for(space, architecture, images), architecture)
    found = logits_of(net, architecture, images, recalibrated(net, architecture, images), batch_size=3)
    torch.testing.assert_close(found, by_batch, rtol=1e-4, atol=1e-4)
    # The first layer sees the same input however the images are split.
    whole, split = (calibrate(net, architecture, images, batch_size=n)["stem"] for n in (10, 4))
    torch.testing.assert_close(split[0], whole[0])


@pytest.mark.parametrize("space", [TINY, SIZES], ids=["tiny", "sizes"])
def test_observations_are_the_calibrated_statistics(space: ElasticSpace) -> None:
    net = random_net(space)
    drawn = architectures(space, 12, seed=3)
    queue = iter(drawn[1:])
    observed = observe(net, lambda seed: random_images(space, 8, seed), lambda _: next(queue), networks=12)
    # The largest comes first, whatever is drawn: it uses every channel.
    networks = [space.largest, *drawn[1:]]
    assert torch.equal(observed.features, torch.from_numpy(gates_of_choices(space, space.encode(networks))).float())
    of_size = observed.features[:, [gate for gate in space.layout.places[-1] if gate < space.layout.gates]].sum(1)
    assert of_size.tolist() == [space.input_sizes.index(a.input_size or 24) for a in networks]
    assert len(set(of_size.tolist())) == len(space.input_sizes)
    for i, architecture in enumerate(networks):
        made = calibrate(net, architecture, images_for(space, architecture, random_images(space, 8, i)))
        for name, rows in observed.layers.items():
            if name in made:
                channels = made[name].shape[1]
                torch.testing.assert_close(rows[i, :, :channels], made[name])
                assert torch.isnan(rows[i, :, channels:]).all()
            else:
                assert torch.isnan(rows[i]).all()


@pytest.mark.parametrize("space", [TINY, SIZES], ids=["tiny", "sizes"])
def test_only_relevant_gates_move_a_layers_statistics(space: ElasticSpace) -> None:
    """Switch each gate of the largest network off: statistics move only where `Space.scope` says so. The size of the
    image moves all of them."""
    net, images = random_net(space), random_images(space, 6)
    whole = calibrate(net, space.largest, images)
    every = np.ones(GateLayout.of(space).gates, dtype=bool)
    moved: dict[str, set[int]] = {name: set() for name in whole}
    for gate in range(len(every)):
        off = every.copy()
        off[gate] = False
        architecture = space.decode(choices_of_gates(space, effective_gates(space, off)))
        for name, row in calibrate(net, architecture, images).items():
            if not torch.allclose(row, whole[name][:, : row.shape[1]], rtol=1e-4, atol=1e-6):
                moved[name].add(gate)
    for name, gates in moved.items():
        own, before = space.scope(name)
        assert gates <= {*own, *before}, name
    assert len(moved["head"]) > len(every) // 2
    sizes = {int(gate) for gate in space.layout.places[-1] if gate < len(every)}
    assert moved["stem"] == sizes
    assert all(gates >= sizes for gates in moved.values())


def planted(rank: int, networks: int = 60) -> tuple[Observations, str]:
    """Observations of one layer that really are linear in its relevant gates, of a given rank."""
    name = "unit2.block1.project"
    rng = np.random.default_rng(0)
    gates = torch.from_numpy(rng.random((networks, GateLayout.of(TINY).gates)) < 0.5).float()
    own, before = TINY.scope(name)
    mix = torch.zeros(gates.shape[1], rank)
    mix[own + before] = torch.from_numpy(rng.standard_normal((len(own + before), rank))).float()
    basis = torch.from_numpy(0.3 * rng.standard_normal((rank, 2, 24))).float()
    mean, log_variance = torch.tensordot(gates @ mix, basis, 1).unbind(1)
    return Observations(gates, {name: torch.stack([mean, log_variance.exp()], 1)}), name


def test_a_linear_law_is_found() -> None:
    observations, name = planted(rank=2)
    layer = fit(TINY, observations, rank=2, own=1e-6, upstream=1e-6).layers[name]
    found = torch.stack([layer.at(row) for row in observations.features])
    torch.testing.assert_close(found, observations.layers[name], rtol=1e-3, atol=1e-3)
    own, before = TINY.scope(name)
    others = [g for g in range(observations.features.shape[1]) if g not in own + before]
    assert (layer.mix[others] == 0).all()


def test_a_lower_rank_and_less_context_fit_worse() -> None:
    observations, name = planted(rank=3)

    def error(**settings: object) -> float:
        layer = fit(TINY, observations, own=1e-6, upstream=1e-6, **settings).layers[name]
        found = torch.stack([layer.at(row) for row in observations.features])
        return float((found - observations.layers[name])[:, 0].square().mean())

    assert error(rank=3) < 0.1 * error(rank=1)
    assert error(rank=3) < 0.1 * error(rank=3, context="block")
    assert error(rank=3, context="block") < error(rank=3, context="none")


def test_without_context_statistics_are_an_average() -> None:
    observations, name = planted(rank=2)
    layer = fit(TINY, observations, context="none").layers[name]
    torch.testing.assert_close(layer.at(observations.features[0])[0], observations.layers[name][:, 0].mean(0))
    assert torch.equal(layer.at(observations.features[0]), layer.at(observations.features[1]))


def test_even_one_network_leaves_no_channel_without_statistics() -> None:
    net = random_net(TINY)
    observed = observe(net, lambda seed: random_images(TINY, 8, seed), lambda _: TINY.smallest, networks=1)
    images = random_images(TINY, 4)
    for architecture in (TINY.smallest, TINY.largest):
        norm = fit(TINY, observed).norm(architecture)
        assert torch.isfinite(logits_of(net, architecture, images, norm)).all()


def test_equal_seeds_give_equal_statistics() -> None:
    net = random_net(TINY)
    one, other = arrays(collected(net, networks=3)), arrays(collected(net, networks=3))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_model_of_members_of_several_sizes_tells_them_apart() -> None:
    """Closer to what each of them records than an average over all."""
    net = random_net(SIZES)
    drawn = architectures(SIZES, 12, seed=5)
    images = random_images(SIZES, 32, seed=77)
    model, average = (collected(net, networks=24, images=32, context=c) for c in ("upstream", "none"))
    errors = np.zeros(2)
    for architecture in drawn:
        recorded = calibrate(net, architecture, images)
        for i, found in enumerate((model, average)):
            norm = found.norm(architecture)
            assert norm.epsilon == 1e-3
            for name, row in recorded.items():
                mean, variance = norm.lookup(name)[:, : row.shape[1]]
                assert (variance >= 0).all()
                errors[i] += float(((mean - row[0]).square() / (row[1] + 1e-3)).mean())
    assert errors[0] < 0.7 * errors[1]


def test_accuracy_within_the_superclass_ignores_all_other_classes() -> None:
    superclass_of = torch.tensor([0, 0, 1, 1])
    logits = torch.tensor([[1.0, 0, 9, 9], [0, 1, 9, 9], [9, 9, 0, 1], [9, 9, 1, 0]])
    targets = torch.tensor([0, 0, 3, 3])
    assert within_superclass(logits, targets, superclass_of).tolist() == [True, False, True, False]
