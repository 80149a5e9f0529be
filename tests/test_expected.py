"""How often a model is expected to be right, as the bundle's training measured it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bundles import SUPERCLASSES, random_bundle

import eas_sdk
from eas_sdk.expected import answers_of

ROWS = [
    {"mean_madds": 500_000, "test_top1_of_all": 0.2, "test_top1_by_superclass": {"birds": 0.4, "tools": 0.5}},
    {"mean_madds": 2_500_000, "test_top1_of_all": 0.6, "test_top1_by_superclass": {"birds": 0.8, "tools": "good"}},
]


def runtime(folder: Path, accuracy: Any) -> eas_sdk.Runtime:
    return eas_sdk.load(random_bundle(folder, training={} if accuracy is None else {"accuracy": accuracy}))


def test_it_is_interpolated_between_the_measured_budgets(tmp_path: Path) -> None:
    made = runtime(tmp_path, ROWS)
    for task, low, high in (("birds", 0.4, 0.8), ("all", 0.2, 0.6)):
        for budget in ("0%", "50%", "100%"):
            model = made.specialize(task, budget)
            share = min(1, max(0, (model.madds - 500_000) / 2_000_000))
            assert model.expected_accuracy == pytest.approx(low + share * (high - low))


def test_it_is_told_of_single_superclasses_and_of_all_classes_alone(tmp_path: Path) -> None:
    made = runtime(tmp_path, ROWS)
    labels = SUPERCLASSES["birds"]
    assert made.specialize(list(labels[:2]), "50%").expected_accuracy is None, "fewer labels are easier"
    assert made.specialize(list(reversed(labels)), "50%").expected_accuracy is not None
    assert made.specialize(("birds", "insects"), "50%").expected_accuracy is None
    assert made.specialize("insects", "50%").expected_accuracy is None, "no figure was kept"
    assert made.specialize("tools", "50%").expected_accuracy == 0.5, "a figure of another form is passed over"


@pytest.mark.parametrize(("training", "whose"), [({}, ""), ({"answers_of": "lite0"}, "lite0"), ({"answers_of": 3}, "")])
def test_whose_answers_the_labels_were(tmp_path: Path, training: dict[str, Any], whose: str) -> None:
    assert answers_of(eas_sdk.load(random_bundle(tmp_path, training=training)).bundle) == whose


@pytest.mark.parametrize(
    "accuracy", [None, "good", [1, None], [{}], [{"mean_madds": "many", "test_top1_of_all": 1}], [{"mean_madds": True}]]
)
def test_figures_of_another_form_say_nothing(tmp_path: Path, accuracy: Any) -> None:
    assert runtime(tmp_path, accuracy).specialize("all", "50%").expected_accuracy is None
