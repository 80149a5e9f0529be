"""The accuracy predictor: recovers what was planted, and how much it trusts single superclasses."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from train.tiny import SIZES, TINY, architectures, collected, random_images, random_net  # noqa: E402

from eas_sdk.errors import TrainingError  # noqa: E402
from eas_sdk.space.protocol import size_of  # noqa: E402
from eas_sdk.space.sample import random_architecture  # noqa: E402
from eas_train.generator.measure import Shown, drawing_scores, measure  # noqa: E402
from eas_train.generator.predictor import fit  # noqa: E402
from eas_train.statistics.model import StatisticsModel  # noqa: E402
from eas_train.supernet.model import Supernet  # noqa: E402
from eas_train.supernet.resize import resized  # noqa: E402

OWNER = np.repeat(np.arange(4), 10)
HELD_OUT = np.zeros(40, bool)
"""No drawing was trained on."""


def planted(own: float, noise: float, networks: int = 200, taste: float = 0.0) -> tuple[np.ndarray, ...]:
    """Gates [N, 20], scores [N, 40] and true weights [4, 20].

    Args:
        own: how much the superclasses differ.
        noise: of each score.
        taste: how much the drawings of one superclass differ in what suits them.
    """
    rng = np.random.default_rng(0)
    gates = rng.random((networks, 20)) < rng.random((networks, 1))
    weights = rng.normal(0, 1, 20) + rng.normal(0, own, (4, 20))
    suits = weights[OWNER] + rng.normal(0, taste, (40, 20)) if taste else weights[OWNER]
    scores = gates @ suits.T + rng.normal(0, 5, 40) + rng.normal(0, noise, (networks, 40))
    return gates, scores, weights


def superclass_means(scores: np.ndarray) -> np.ndarray:
    return scores.reshape(len(scores), 4, 10).mean(2)


def test_it_recovers_a_planted_linear_model() -> None:
    gates, scores, weights = planted(own=0.5, noise=0.01)
    made = fit(gates, scores, OWNER, HELD_OUT)
    np.testing.assert_allclose(made.weights, weights, atol=0.25)
    np.testing.assert_allclose(gates @ made.weights.T + made.bias, superclass_means(scores), atol=0.6)
    assert made.rank_correlation > 0.98


def spread(weights: np.ndarray) -> float:
    """How far the superclasses' weights lie apart."""
    return float((weights - weights.mean(0)).std())


def test_superclasses_share_their_weights_when_their_differences_are_noise() -> None:
    gates, scores, _ = planted(own=0.0, noise=3.0)
    assert spread(fit(gates, scores, OWNER, HELD_OUT).weights) < 0.01


def test_superclasses_keep_their_own_weights_when_these_explain_the_scores() -> None:
    gates, scores, weights = planted(own=0.5, noise=0.1)
    assert spread(fit(gates, scores, OWNER, HELD_OUT).weights) > 0.5 * spread(weights)


def test_what_suits_single_drawings_is_not_taken_for_the_superclass() -> None:
    """Scores without noise, so only drawings that are held out can tell; the same fitted blindly would follow them."""
    gates, scores, _ = planted(own=0.0, noise=0.0, taste=2.0)
    blind = np.linalg.lstsq(gates - gates.mean(0), superclass_means(scores) - superclass_means(scores).mean(0))[0].T
    assert spread(fit(gates, scores, OWNER, HELD_OUT).weights) < 0.3 * spread(blind)


def test_training_drawings_count_as_far_as_they_help() -> None:
    gates, scores, weights = planted(own=0.0, noise=30.0)
    rng = np.random.default_rng(1)
    noise, truth = rng.normal(0, 1, (200, 40)), gates @ weights.T[:, OWNER]
    training = np.repeat([False, True], 40)
    owner = np.tile(OWNER, 2)
    alone = fit(gates, scores, OWNER, HELD_OUT)
    helped = fit(gates, np.hstack([scores, truth + noise]), owner, training)
    misled = fit(gates, np.hstack([scores, 30 * noise]), owner, training)
    assert (alone.training_weight, misled.training_weight) == (0, 0)
    assert helped.training_weight >= 3
    assert np.linalg.norm(helped.weights - weights) < 0.5 * np.linalg.norm(alone.weights - weights)
    np.testing.assert_array_equal(alone.weights, misled.weights)


def test_more_noise_means_smaller_weights() -> None:
    gates, scores, _ = planted(own=0.0, noise=30.0)
    blind = np.linalg.lstsq(gates - gates.mean(0), superclass_means(scores) - superclass_means(scores).mean(0))[0].T
    assert np.linalg.norm(fit(gates, scores, OWNER, HELD_OUT).weights) < 0.7 * np.linalg.norm(blind)


def test_the_rank_correlation_is_that_of_networks_it_has_not_seen() -> None:
    rng = np.random.default_rng(0)
    gates = rng.random((60, 50)) < 0.5
    assert abs(fit(gates, rng.normal(size=(60, 40)), OWNER, HELD_OUT).rank_correlation) < 0.25


def test_equal_scores_give_no_preference_and_no_warning() -> None:
    gates, _, _ = planted(own=0.0, noise=0.0)
    made = fit(gates, np.full((200, 40), -0.7), OWNER, HELD_OUT)
    np.testing.assert_allclose(made.weights, 0, atol=1e-12)
    np.testing.assert_allclose(made.bias, -0.7)
    assert made.rank_correlation == 0


def test_a_constant_drawing_a_constant_gate_and_a_single_drawing_do_no_harm() -> None:
    gates, scores, _ = planted(own=0.0, noise=0.01)
    gates[:, 0] = False
    scores[:, 1] = -1.0
    kept = [*range(31)]  # the last superclass has one drawing
    made = fit(gates, scores[:, kept], OWNER[kept], HELD_OUT[kept])
    assert np.isfinite(made.weights).all()
    assert made.weights[0, 0] == pytest.approx(0, abs=1e-9)


def test_ties_share_their_rank() -> None:
    """Scores that take two values only: an order among equal ones must not count as right or wrong."""
    gates, scores, _ = planted(own=0.0, noise=0.0)
    steps = np.where(scores > np.median(scores, 0), 1.0, 0.0)
    rounds = [fit(gates[order], steps[order], OWNER, HELD_OUT).rank_correlation for order in orders(len(gates))]
    assert np.ptp(rounds) < 0.05


def orders(count: int) -> list[np.ndarray]:
    return [np.random.default_rng(seed).permutation(count) for seed in range(3)]


# Measuring.

SUPERCLASS_OF = torch.tensor([0, 0, 0, 1, 1, 1])
TARGETS = torch.tensor([0, 0, 2, 2, 4, 4, 3, 3])


@pytest.fixture(scope="module")
def net() -> Supernet:
    return random_net(TINY)


@pytest.fixture(scope="module")
def statistics(net: Supernet) -> StatisticsModel:
    return collected(net)


def scores_of(
    net: Supernet, statistics: StatisticsModel, cache: Path, count: int = 5, fingerprint: str = "a"
) -> np.ndarray:
    scores, seconds = measure(
        net,
        statistics,
        architectures(TINY, count),
        shown(),
        SUPERCLASS_OF,
        cache,
        fingerprint=fingerprint,
    )
    assert seconds > 0
    return scores


def test_a_score_is_the_share_of_a_drawings_images_that_are_right_within_the_superclass() -> None:
    logits = torch.zeros(8, 6)
    logits[:, 5] = 9.0  # the other superclass does not count for the first four images
    logits[[0, 2, 3], TARGETS[[0, 2, 3]]] = 1.0
    logits[1, 1] = 1.0
    logits[6, 3] = 99.0
    np.testing.assert_allclose(drawing_scores(logits, shown(), SUPERCLASS_OF), [0.5, 1, 0, 0.5])


def shown() -> Shown:
    return Shown(random_images(TINY, 8), TARGETS, torch.tensor([0, 0, 1, 1, 2, 2, 3, 3]))


def test_measured_scores_are_those_of_the_device_and_are_not_measured_twice(
    net: Supernet, statistics: StatisticsModel, tmp_path: Path
) -> None:
    cache = tmp_path / "measured.json"
    first = scores_of(net, statistics, cache)
    for row, architecture in zip(first, architectures(TINY, 5), strict=True):
        with torch.no_grad():
            logits = net(random_images(TINY, 8), architecture, statistics.norm(architecture))
        np.testing.assert_allclose(row, drawing_scores(logits, shown(), SUPERCLASS_OF), atol=1e-4)
    poisoned = random_net(TINY, seed=1)
    np.testing.assert_array_equal(scores_of(poisoned, statistics, cache), first)
    # Two more networks are measured, on the poisoned net; the known ones stay.
    more = scores_of(poisoned, statistics, cache, count=7)
    np.testing.assert_array_equal(more[:5], first)
    np.testing.assert_array_equal(scores_of(net, statistics, cache, count=7), more)


def test_networks_are_measured_on_images_of_their_own_size(tmp_path: Path) -> None:
    net, images = random_net(SIZES), random_images(SIZES, 8)
    table, listed = collected(net), architectures(SIZES, 6)
    shown = Shown(images, TARGETS, torch.tensor([0, 0, 1, 1, 2, 2, 3, 3]))
    scores, _ = measure(net, table, listed, shown, SUPERCLASS_OF, tmp_path / "measured.json", fingerprint="a")
    assert len({architecture.input_size for architecture in listed}) == 3
    for row, architecture in zip(scores, listed, strict=True):
        with torch.no_grad():
            logits = net(resized(images, size_of(SIZES, architecture)), architecture, table.norm(architecture))
        np.testing.assert_allclose(row, drawing_scores(logits, shown, SUPERCLASS_OF), atol=1e-4)


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
    assert min(blocks) == 4
    assert max(blocks) == 10
    chosen = [block for a in drawn for unit in a.units[1:] for block in unit]
    assert {b.kernel for b in chosen} == {3, 5, 7}
    assert {b.expansion for b in chosen} == {2, 3, 4}
    assert {random_architecture(SIZES, rng).input_size for _ in range(50)} == {16, 24, 32}
