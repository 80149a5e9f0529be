"""Naming tasks."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from eas_sdk.errors import TaskError
from eas_sdk.task import Superclass, Task, resolve

SUPERCLASSES = (
    Superclass("birds", ("duck", "owl", "penguin")),
    Superclass("insects", ("ant", "bee")),
    Superclass("sea animals", ("crab",)),
)


def test_a_superclass_by_its_name() -> None:
    assert resolve("birds", SUPERCLASSES) == Task("birds", 0, (0, 1, 2), ("duck", "owl", "penguin"))
    assert resolve("insects", SUPERCLASSES) == Task("insects", 1, (3, 4), ("ant", "bee"))
    assert resolve("sea animals", SUPERCLASSES) == Task("sea animals", 2, (5,), ("crab",))


def test_a_task_stands_for_itself() -> None:
    task = resolve("insects", SUPERCLASSES)
    assert resolve(task, SUPERCLASSES) is task
    some = Task("two", 0, (4, 1), ("bee", "owl"))
    assert resolve(some, SUPERCLASSES) is some


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("bird", "did you mean 'birds'?"),
        ("Birds", "did you mean 'birds'?"),
        ("insect ", "did you mean 'insects'?"),
        ("sea-animals", "did you mean 'sea animals'?"),
        ("vehicles", "known: 'birds', 'insects', 'sea animals'"),
        ("", "known: 'birds'"),
        ("duck", "known: 'birds'"),
    ],
)
def test_an_unknown_name_gets_the_closest(name: str, hint: str) -> None:
    with pytest.raises(TaskError) as caught:
        resolve(name, SUPERCLASSES)
    assert f"no superclass is called {name!r}" in str(caught.value)
    assert hint in str(caught.value)


@pytest.mark.parametrize("task", [None, 0, b"birds", ["birds"], SUPERCLASSES[0], 10**4000])
def test_what_is_no_name_is_refused(task: object) -> None:
    with pytest.raises(TaskError, match=r"name of a superclass; got .*type"):
        resolve(task, SUPERCLASSES)


def test_messages_stay_short() -> None:
    for task in ("x" * 10**6, ["x" * 10**6]):
        with pytest.raises(TaskError) as caught:
            resolve(task, SUPERCLASSES)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"superclass": 3}, "superclass of a task"),
        ({"superclass": -1}, "superclass of a task"),
        ({"superclass": "birds"}, "superclass of a task"),
        ({"classes": (), "labels": ()}, "at least one class"),
        ({"classes": (3, 3), "labels": ("ant", "ant")}, "names none twice"),
        ({"classes": (5, 6), "labels": ("crab", "?")}, "indices below 6"),
        ({"classes": (-1,), "labels": ("crab",)}, "indices below 6"),
        ({"classes": (4, 3)}, "labels of a task"),
        ({"labels": ("ant",)}, "labels of a task"),
        ({"labels": ("ant", "wasp")}, "labels of a task"),
    ],
)
def test_a_task_of_another_bundle_is_refused(change: dict[str, Any], named: str) -> None:
    task = dataclasses.replace(resolve("insects", SUPERCLASSES), **change)
    with pytest.raises(TaskError, match=named):
        resolve(task, SUPERCLASSES)
