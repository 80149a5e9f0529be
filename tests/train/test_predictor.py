"""The accuracy predictor: recovers what was planted, and how much it trusts single superclasses."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from train.tiny import TINY, architectures, collected, random_images, random_net  # noqa: E402

from eas_sdk.errors import TrainingError  # noqa: E402
from eas_train.generator.measure import measure, random_architecture, superclass_scores  # noqa: E402
from eas_train.generator.predictor import fit  # noqa: E402
from eas_train.statistics.model import StatisticsModel  # noqa: E402
from eas_train.supernet.model import Supernet  # noqa: E402


def planted(own: float, noise: float, networks: int = 200, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Gates [N, 20], scores [N, 4] and true weights [4, 20]; `own` is how much the superclasses differ."""
    rng = np.random.default_rng(seed)
    gates = rng.random((networks, 20)) < rng.random((networks, 1))
    weights = rng.normal(0, 1, 20) + rng.normal(0, own, (4, 20))
    scores = gates @ weights.T + [1.0, 2.0, 3.0, 4.0] + rng.normal(0, noise, (networks, 4))
    return gates, scores, weights


def test_it_recovers_a_planted_linear_model() -> None:
    gates, scores, weights = planted(own=0.5, noise=0.01)
    made = fit(gates, scores)
    np.testing.assert_allclose(made.weights, weights, atol=0.05)
    np.testing.assert_allclose(gates @ made.weights.T + made.bias, scores, atol=0.1)
    assert made.rank_correlation > 0.99


def spread(weights: np.ndarray) -> float:
    """How far the superclasses' weights lie apart."""
    return float((weights - weights.mean(0)).std())


def test_superclasses_share_their_weights_when_their_differences_are_noise() -> None:
    gates, scores, _ = planted(own=0.0, noise=1.0)
    assert spread(fit(gates, scores).weights) < 0.01


def test_superclasses_keep_their_own_weights_when_these_explain_the_scores() -> None:
    gates, scores, weights = planted(own=0.5, noise=0.1)
    assert spread(fit(gates, scores).weights) == pytest.approx(spread(weights), rel=0.1)


def test_more_noise_means_smaller_weights() -> None:
    norms = []
    for noise in (0.1, 30.0):
        gates, scores, weights = planted(own=0.0, noise=noise)
        norms.append(np.linalg.norm(fit(gates, scores).weights) / np.linalg.norm(weights))
    assert norms[0] == pytest.approx(1, abs=0.05)
    fitted_exactly = planted(own=0.0, noise=30.0)
    ordinary = np.linalg.lstsq(np.c_[fitted_exactly[0].astype(float), np.ones(200)], fitted_exactly[1], rcond=None)[0][
        :-1
    ]
    assert norms[1] < 0.5 * np.linalg.norm(ordinary) / np.linalg.norm(fitted_exactly[2])


def test_the_rank_correlation_is_that_of_networks_it_has_not_seen() -> None:
    rng = np.random.default_rng(0)
    gates = rng.random((60, 50)) < 0.5
    assert abs(fit(gates, rng.normal(size=(60, 4))).rank_correlation) < 0.25


def test_equal_scores_give_no_preference_and_no_warning() -> None:
    gates, _, _ = planted(own=0.0, noise=0.0)
    made = fit(gates, np.full((200, 4), -0.7))
    np.testing.assert_allclose(made.weights, 0, atol=1e-12)
    np.testing.assert_allclose(made.bias, -0.7)
    assert made.rank_correlation == 0


def test_a_constant_superclass_and_a_constant_gate_do_no_harm() -> None:
    gates, scores, _ = planted(own=0.0, noise=0.01)
    gates[:, 0] = False
    scores[:, 1] = -1.0
    made = fit(gates, scores)
    assert np.isfinite(made.weights).all()
    assert made.weights[0, 0] == pytest.approx(0, abs=1e-9)


def test_ties_share_their_rank() -> None:
    """Scores that take two values only: an order among equal ones must not count as right or wrong."""
    gates, scores, _ = planted(own=0.0, noise=0.0)
    steps = np.where(scores > np.median(scores, 0), 1.0, 0.0)
    rounds = [fit(gates[order], steps[order]).rank_correlation for order in orders(len(gates))]
    assert np.ptp(rounds) < 0.05


def orders(count: int) -> list[np.ndarray]:
    return [np.random.default_rng(seed).permutation(count) for seed in range(3)]


# Measuring.

SUPERCLASS_OF = torch.tensor([0, 0, 0, 1, 1, 1])
TARGETS = torch.tensor([0, 1, 2, 3, 4, 5, 0, 3])


@pytest.fixture(scope="module")
def net() -> Supernet:
    return random_net(TINY)


@pytest.fixture(scope="module")
def statistics(net: Supernet) -> StatisticsModel:
    return collected(net)


def scores_of(
    net: Supernet, statistics: StatisticsModel, cache: Path, count: int = 5, fingerprint: str = "a"
) -> np.ndarray:
    return measure(
        net,
        statistics,
        architectures(TINY, count),
        random_images(TINY, 8),
        TARGETS,
        SUPERCLASS_OF,
        cache,
        fingerprint=fingerprint,
    )


def test_scores_are_log_probabilities_within_each_superclass() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(8, 6, generator=generator)
    expected = []
    for t, own in enumerate(([0, 1, 2], [3, 4, 5])):
        rows = [n for n in range(8) if int(TARGETS[n]) in own]
        p = [float(torch.softmax(logits[n, own], 0)[own.index(int(TARGETS[n]))]) for n in rows]
        expected.append(np.log(p).mean())
        assert len(rows) == 4, t
    np.testing.assert_allclose(superclass_scores(logits, TARGETS, SUPERCLASS_OF), expected, rtol=1e-5)


def test_measured_scores_are_those_of_the_device_and_are_not_measured_twice(
    net: Supernet, statistics: StatisticsModel, tmp_path: Path
) -> None:
    cache = tmp_path / "measured.json"
    first = scores_of(net, statistics, cache)
    for row, architecture in zip(first, architectures(TINY, 5), strict=True):
        with torch.no_grad():
            logits = net(random_images(TINY, 8), architecture, statistics.norm(architecture))
        np.testing.assert_allclose(row, superclass_scores(logits, TARGETS, SUPERCLASS_OF), atol=1e-4)
    poisoned = random_net(TINY, seed=1)
    np.testing.assert_array_equal(scores_of(poisoned, statistics, cache), first)
    # Two more networks are measured, on the poisoned net; the known ones stay.
    more = scores_of(poisoned, statistics, cache, count=7)
    np.testing.assert_array_equal(more[:5], first)
    np.testing.assert_array_equal(scores_of(net, statistics, cache, count=7), more)


def test_the_cache_of_another_training_or_a_damaged_one_is_refused(
    net: Supernet, statistics: StatisticsModel, tmp_path: Path
) -> None:
    cache = tmp_path / "measured.json"
    scores_of(net, statistics, cache)
    with pytest.raises(TrainingError, match="another training"):
        scores_of(net, statistics, cache, fingerprint="b")
    whole = cache.read_bytes()
    for content in (whole[: len(whole) // 2], b"[]", b"{}", b"\xff\xfe", json.dumps({"scores": {}}).encode()):
        cache.write_bytes(content)
        with pytest.raises(TrainingError, match=r"measured\.json"):
            scores_of(net, statistics, cache)


def test_random_architectures_cover_small_and_large_networks() -> None:
    rng = random.Random(0)
    drawn = [random_architecture(TINY, rng) for _ in range(200)]
    blocks = [len(a.blocks) for a in drawn]
    assert min(blocks) == 3
    assert max(blocks) == 9
    assert {b.kernel for a in drawn for b in a.blocks} == set(TINY.kernels)
    assert {b.expansion for a in drawn for b in a.blocks} == set(TINY.expansions)
