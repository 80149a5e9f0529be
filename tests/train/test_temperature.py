"""Temperatures: fitted on validation images, and what they do to the probabilities of a bundle."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
F = pytest.importorskip("torch.nn.functional")

from train.tiny import CPU, SIZES, collected, drawings, random_net  # noqa: E402

from eas_train.supernet.teacher import Teacher  # noqa: E402
from eas_train.temperature import best_temperature, temperatures  # noqa: E402


@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("soft", [False, True])
def test_the_temperature_that_the_answers_were_drawn_with_is_found(true: float, soft: bool) -> None:
    rng = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(4000, 6, generator=rng)
    probabilities = (logits / true).softmax(1)
    targets = probabilities if soft else torch.multinomial(probabilities, 1, generator=rng)[:, 0]
    assert best_temperature(logits, targets) == pytest.approx(true, rel=0.02 if soft else 0.08)


def test_every_input_size_has_its_own_and_a_teacher_s_doubts_are_learned() -> None:
    net, data = random_net(SIZES), drawings(40, 0, 32)
    statistics = collected(net)
    labelled = temperatures(net, statistics, data, CPU)
    assert len(labelled) == len(SIZES.input_sizes)
    assert all(0.2 <= t <= 5 for t in labelled)
    norm = statistics.norm(SIZES.largest)
    teacher = Teacher(net, {SIZES.input_sizes[-1]: {name: norm.lookup(name) for name in statistics.layers}})
    for sure in (1.0, 2.0):
        found = temperatures(net, statistics, data, CPU, teacher=teacher, teacher_temperature=sure)
        assert found[-1] == pytest.approx(sure, rel=0.03), "the largest network is the teacher itself"
    assert len(np.unique(found)) > 1
