"""How long a training will take, by a few steps of it; and a recipe that fits into a time."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from train.tiny import CPU, TINY, drawings, sandwich, tiny_recipe  # noqa: E402

from eas_sdk.errors import InputError  # noqa: E402
from eas_train.data.splits import Splits  # noqa: E402
from eas_train.estimate import Estimate, estimate, fitted  # noqa: E402
from eas_train.pipeline import Training  # noqa: E402
from eas_train.recipe import Recipe  # noqa: E402
from eas_train.supernet.effort import effort_of, step_madds  # noqa: E402
from eas_train.supernet.recipe import Phase  # noqa: E402

TEACHER = Phase(name="teacher", steps=10, learning_rate=0.1, largest_only=True, image_size=16)
RECIPE = tiny_recipe(phases=(TEACHER, sandwich(steps=30, warmup_steps=6)))
MADE = Estimate((1.0, 3.0), 20.0, 1000)


def test_a_training_is_estimated_in_a_folder_that_is_then_gone(tmp_path: Path) -> None:
    data = Splits(drawings(8, 0), drawings(4, 1), drawings(4, 2))
    made = estimate(Training(Recipe(name="tiny", supernet=RECIPE), data, tmp_path / "out", CPU))
    assert made is not None
    assert len(made.steps_s) == 2
    assert 0 < made.steps_s[0] < made.steps_s[1]
    assert made.other_s > 0
    assert made.disk_bytes > 6 * 4 * 10_000
    assert not (tmp_path / "out").exists()
    assert made.total_s(RECIPE) == pytest.approx(10 * made.steps_s[0] + 30 * made.steps_s[1] + made.other_s)


@pytest.mark.parametrize(("minutes", "steps"), [(2, (10, 30)), (1, (4, 12)), (11, (64, 192)), (0.34, (1, 1))])
def test_steps_are_fitted_into_a_time_in_their_proportions(minutes: float, steps: tuple[int, int]) -> None:
    recipe = fitted(RECIPE, MADE, minutes)
    assert tuple(phase.steps for phase in recipe.phases) == steps
    assert all(phase.warmup_steps <= phase.steps for phase in recipe.phases)
    assert recipe.phases[1].warmup_steps <= 6


def test_a_time_that_is_too_short_for_the_rest_is_refused() -> None:
    with pytest.raises(InputError, match="about 20 s here"):
        fitted(RECIPE, MADE, 0.3)


def test_effort_grows_with_what_is_trained() -> None:
    sandwiched = sandwich(steps=30)
    one = step_madds(TINY, TEACHER, RECIPE, 6)
    more = step_madds(TINY, TEACHER.model_copy(update={"image_size": None}), RECIPE, 6)
    assert more == pytest.approx(2.25 * one)
    three = step_madds(TINY, sandwiched, RECIPE, 6)
    assert more < three < 3 * more
    taught = step_madds(TINY, sandwiched.model_copy(update={"teacher": "frozen"}), RECIPE, 6)
    assert taught == pytest.approx(three + more / 3)
    effort = effort_of(TINY, RECIPE, 6)
    assert effort(0) == 0
    assert effort(10) == pytest.approx(10 * one)
    assert effort(40) == pytest.approx(10 * one + 30 * three)
