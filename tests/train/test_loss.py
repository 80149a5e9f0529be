"""Superclass dropout (EAS, Eq. 1 and 2) and the losses over what remains."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from eas_train.supernet.loss import (  # noqa: E402
    cross_entropy,
    distillation,
    remaining_log_softmax,
    superclass_mask,
)

SUPERCLASS_OF = torch.tensor([0, 0, 1, 1, 1, 2, 3, 3])
"""Superclasses of 2, 3, 1 and 2 classes."""


def batch(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [count, 8] and targets [count]."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(count, 8, generator=generator)
    return logits, torch.randint(8, (count,), generator=generator)


def mask_of(targets: torch.Tensor, rate: float, seed: int = 0) -> torch.Tensor:
    return superclass_mask(targets, SUPERCLASS_OF, rate, torch.Generator().manual_seed(seed))


def own_of(targets: torch.Tensor) -> torch.Tensor:
    """[N, 8] True on the classes of each target's superclass."""
    return torch.stack([SUPERCLASS_OF[target] == SUPERCLASS_OF for target in targets])


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.9, 1.0])
def test_the_targets_superclass_always_remains(rate: float) -> None:
    _, targets = batch(500)
    assert mask_of(targets, rate)[own_of(targets)].all()


@pytest.mark.parametrize("rate", [0.3, 0.7])
def test_a_superclass_is_kept_or_dropped_as_a_whole(rate: float) -> None:
    _, targets = batch(500)
    mask = mask_of(targets, rate)
    for t in range(4):
        group = mask[:, t == SUPERCLASS_OF]
        assert (group == group[:, :1]).all()


def test_rate_0_keeps_everything_and_rate_1_the_targets_superclass_alone() -> None:
    _, targets = batch(500)
    assert mask_of(targets, 0.0).all()
    assert torch.equal(mask_of(targets, 1.0), own_of(targets))


@pytest.mark.parametrize("rate", [0.15, 0.6])
def test_other_superclasses_are_dropped_at_the_rate_independently(rate: float) -> None:
    samples = 20_000
    targets = torch.zeros(samples, dtype=torch.int64)
    dropped = ~mask_of(targets, rate)[:, [2, 5, 6]]  # one class of each other superclass
    sigma = math.sqrt(rate * (1 - rate) / samples)
    assert (dropped.float().mean(0) - rate).abs().max() < 4 * sigma
    # Independent between superclasses and from one sample to the next.
    assert abs(float((dropped[:, 0] & dropped[:, 1]).float().mean()) - rate**2) < 4 * sigma
    assert abs(float((dropped[:-1, 0] & dropped[1:, 0]).float().mean()) - rate**2) < 4 * sigma


def naive(logits: torch.Tensor, wanted: torch.Tensor, mask: torch.Tensor) -> float:
    """Mean cross-entropy to the distributions `wanted`, in plain Python over the remaining classes."""
    total = 0.0
    for row, goal, kept in zip(logits.tolist(), wanted.tolist(), mask.tolist(), strict=True):
        remaining = [c for c in range(len(row)) if kept[c]]
        norm = math.log(sum(math.exp(row[c]) for c in remaining))
        total -= sum(goal[c] * (row[c] - norm) for c in remaining)
    return total / len(logits)


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_over_the_remaining_logits_is_that_of_a_loop(rate: float, smoothing: float) -> None:
    logits, targets = batch(40)
    mask = mask_of(targets, rate)
    wanted = torch.zeros(40, 8)
    for n, target in enumerate(targets.tolist()):
        remaining = mask[n].nonzero().flatten().tolist()
        for c in remaining:
            wanted[n, c] = smoothing / len(remaining) + (1 - smoothing) * (c == target)
    found = cross_entropy(logits, targets, mask, smoothing=smoothing)
    assert float(found) == pytest.approx(naive(logits, wanted, mask), rel=1e-5)


def test_without_a_mask_it_is_torchs_own() -> None:
    logits, targets = batch(40)
    for smoothing in (0.0, 0.1):
        expected = torch.nn.functional.cross_entropy(logits, targets, label_smoothing=smoothing)
        torch.testing.assert_close(cross_entropy(logits, targets, smoothing=smoothing), expected)


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_distillation_is_the_cross_entropy_to_the_teachers_remaining_probabilities(rate: float) -> None:
    logits, targets = batch(40)
    teacher, _ = batch(40, seed=1)
    mask = mask_of(targets, rate)
    soft = teacher.exp() * mask
    soft = soft / soft.sum(1, keepdim=True)
    found = float(distillation(logits, teacher, mask))
    assert found == pytest.approx(naive(logits, soft, mask), rel=1e-5)
    assert found >= float(distillation(teacher, teacher, mask)) - 1e-6  # a student cannot beat the teacher


def test_the_teacher_gets_no_gradient() -> None:
    logits, targets = batch(8)
    teacher, _ = batch(8, seed=1)
    logits.requires_grad_()
    teacher.requires_grad_()
    distillation(logits, teacher, mask_of(targets, 0.5)).backward()
    assert teacher.grad is None
    assert logits.grad is not None
    assert logits.grad.abs().sum() > 0


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_values_and_gradients_are_finite_and_dropped_logits_get_none(scale: float) -> None:
    logits, targets = batch(40)
    teacher, _ = batch(40, seed=1)
    mask = mask_of(targets, 0.8)
    logits = (scale * logits).requires_grad_()
    loss = cross_entropy(logits, targets, mask, smoothing=0.1) + distillation(logits, scale * teacher, mask)
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[~mask] == 0).all()
    assert (remaining_log_softmax(logits, mask)[~mask] == -math.inf).all()


def test_a_superclass_of_one_class_that_alone_remains_costs_nothing() -> None:
    logits, _ = batch(4)
    targets = torch.full((4,), 5)
    assert float(cross_entropy(logits, targets, mask_of(targets, 1.0), smoothing=0.1)) == 0
