"""Naming tasks."""

from __future__ import annotations

import dataclasses
import math
import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_sdk.errors import TaskError
from eas_sdk.task import ALL, AUTO, Superclass, Task, is_auto, resolve, written

SUPERCLASSES = (
    Superclass("birds", ("duck", "owl", "penguin")),
    Superclass("insects", ("ant", "bee")),
    Superclass("sea animals", ("crab",)),
)


def test_a_superclass_by_its_name() -> None:
    assert resolve("birds", SUPERCLASSES) == Task("birds", (0, 1, 2), ("duck", "owl", "penguin"), ((0, 3),))
    assert resolve("insects", SUPERCLASSES) == Task("insects", (3, 4), ("ant", "bee"), ((1, 2),))
    assert resolve("sea animals", SUPERCLASSES) == Task("sea animals", (5,), ("crab",), ((2, 1),))


def test_a_task_stands_for_itself() -> None:
    task = resolve("insects", SUPERCLASSES)
    assert resolve(task, SUPERCLASSES) is task
    some = Task("two", (4, 1), ("bee", "owl"), ((0, 1), (1, 1)))
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
        ("duck", "it is a class: write a list of classes, ['duck']"),
        ("owl", "it is a class: write a list of classes, ['owl']"),
        ("dukc", "did you mean 'duck' (a class: write a list of classes)?"),
    ],
)
def test_an_unknown_name_gets_the_closest(name: str, hint: str) -> None:
    with pytest.raises(TaskError) as caught:
        resolve(name, SUPERCLASSES)
    assert f"no superclass is called {name!r}" in str(caught.value)
    assert hint in str(caught.value)


@pytest.mark.parametrize("task", [None, 0, b"birds", [0], ["birds", None], {"birds"}, SUPERCLASSES[0], 10**4000])
def test_what_is_no_name_is_refused(task: object) -> None:
    with pytest.raises(TaskError, match=r"name of a superclass, .* got .*type"):
        resolve(task, SUPERCLASSES)


def test_a_union_holds_the_classes_of_its_superclasses_in_the_order_written() -> None:
    expected = Task("insects+birds", (3, 4, 0, 1, 2), ("ant", "bee", "duck", "owl", "penguin"), ((0, 3), (1, 2)))
    assert resolve(("insects", "birds"), SUPERCLASSES) == expected
    assert resolve(["insects", "birds"], SUPERCLASSES) == expected


def test_a_list_of_classes_and_superclasses() -> None:
    task = resolve(["bee", "sea animals", "owl"], SUPERCLASSES)
    assert task == Task("bee+sea animals+owl", (4, 5, 1), ("bee", "crab", "owl"), ((0, 1), (1, 1), (2, 1)))
    assert resolve(["owl"], SUPERCLASSES) == Task("owl", (1,), ("owl",), ((0, 1),))
    assert resolve(["duck", "owl", "penguin", "ant", "bee"], SUPERCLASSES).name == "duck+owl+penguin+2 more"


def test_all_classes() -> None:
    task = resolve("all", SUPERCLASSES)
    assert task == Task(
        "all", (0, 1, 2, 3, 4, 5), ("duck", "owl", "penguin", "ant", "bee", "crab"), ((0, 3), (1, 2), (2, 1))
    )
    named = (*SUPERCLASSES, Superclass("all", ("nothing",)))
    assert resolve("all", named).labels == ("nothing",)


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ([], "names at least one superclass or class; got none"),
        ((), "names at least one superclass or class; got none"),
        (["birds", "birds"], "names every class once; got 'birds' twice"),
        (["owl", "bee", "owl"], "names every class once; got 'owl' twice"),
        (["owl", "birds"], "names every class once; got 'birds' and 'owl'"),
        (["birds", "insect"], "no superclass or class is called 'insect'; did you mean 'insects'?"),
        (["owls", "bee"], "no superclass or class is called 'owls'; did you mean 'owl' (a class"),
        ([""], "no superclass or class is called ''"),
        (["birds", "all"], "no superclass or class is called 'all'"),
    ],
)
def test_lists_that_cannot_be_read(task: object, told: str) -> None:
    with pytest.raises(TaskError) as caught:
        resolve(task, SUPERCLASSES)
    assert told in str(caught.value)


NAMES = [s.name for s in SUPERCLASSES] + [label for s in SUPERCLASSES for label in s.labels]


@given(st.lists(st.sampled_from(NAMES), max_size=8))
def test_any_list_is_a_task_that_holds_its_classes_or_is_refused(entries: list[str]) -> None:
    wanted = [label for e in entries for label in next((s.labels for s in SUPERCLASSES if s.name == e), (e,))]
    if not wanted or len(set(wanted)) != len(wanted):
        with pytest.raises(TaskError):
            resolve(entries, SUPERCLASSES)
        return
    task = resolve(entries, SUPERCLASSES)
    assert task.labels == tuple(wanted)
    assert sum(count for _, count in task.shares) == len(wanted)
    assert resolve(task, SUPERCLASSES) is task


def test_messages_stay_short() -> None:
    for task in ("x" * 10**6, ["x" * 10**6]):
        with pytest.raises(TaskError) as caught:
            resolve(task, SUPERCLASSES)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"shares": ()}, "shares of a task"),
        ({"shares": ((9, 2),)}, "shares of a task"),
        ({"shares": ((1, 0),)}, "shares of a task"),
        ({"shares": ((1, 1), (0, 1))}, "shares of a task"),
        ({"shares": ((1, 1), (1, 1))}, "shares of a task"),
        ({"shares": "birds"}, "shares of a task"),
        *(
            ({"shares": shares}, "shares of a task")
            for shares in (
                None,
                3,
                (3,),
                [(1, 2)],
                ([1, 2],),
                ((1, 2, 3),),
                ((1,),),
                ((1, "2"),),
                (("1", 2),),
                ((1.0, 2),),
            )
        ),
        *(({"shares": ((1, weight),)}, "shares of a task") for weight in (math.inf, math.nan, True, None, 10**400, 1j)),
        *(
            ({"classes": classes}, "tuple of indices below 6")
            for classes in (None, 3, [3, 4], (3.0, 4), ("3", 4), ([3], 4), (True, 4), np.array([3, 4]))
        ),
        *(({"labels": labels}, "labels of a task") for labels in (None, 3, ["ant", "bee"], np.array(["ant", "bee"]))),
        *(({"name": name}, "name of a task") for name in (None, 3, b"insects", ["insects"])),
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


ODD = (
    Superclass("véhicules", ("auto", "all", "vélo")),
    Superclass("salt, pepper", ("salt", "salt, pepper and more", "a,b")),
)
"""Names that are words of ours in other languages, that hold commas, that Unicode writes in two ways."""


def forms(name: str) -> tuple[str, str]:
    return unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)


@pytest.mark.parametrize("named", [0, 1])
@pytest.mark.parametrize("asked", [0, 1])
def test_names_are_compared_as_unicode_texts(named: int, asked: int) -> None:
    superclasses = tuple(
        Superclass(forms(s.name)[named], tuple(forms(label)[named] for label in s.labels)) for s in ODD
    )
    task = resolve(forms("véhicules")[asked], superclasses)
    assert (task.name, task.labels) == (superclasses[0].name, superclasses[0].labels)
    assert resolve([forms("vélo")[asked], "salt"], superclasses).labels == (superclasses[0].labels[2], "salt")
    assert written(forms("vélo,salt")[asked], superclasses) == ["vélo", "salt"]
    with pytest.raises(TaskError, match="did you mean"):
        resolve(forms("vehicules")[asked], superclasses)
    with pytest.raises(TaskError, match="it is a class"):
        resolve(forms("vélo")[asked], superclasses)
    with pytest.raises(TaskError, match="twice"):
        resolve(forms("vélo"), superclasses)


def test_alone_all_and_auto_are_words_and_in_lists_they_are_names() -> None:
    assert resolve(ALL, ODD).labels == tuple(label for s in ODD for label in s.labels)
    assert is_auto(AUTO, ODD)
    assert resolve(["auto"], ODD).labels == ("auto",)
    assert resolve(["all", "vélo"], ODD).labels == ("all", "vélo")
    assert (written("auto", ODD), written("all", ODD)) == ("auto", "all")
    assert (written("auto,", ODD), written("vélo,auto", ODD)) == (["auto"], ["vélo", "auto"])


def test_bundles_with_a_superclass_of_such_a_name_keep_it() -> None:
    """Trainings refuse them; there may be some."""
    odd = (Superclass("auto", ("car", "van")), Superclass("all", ("x",)))
    assert not is_auto("auto", odd)
    assert resolve("auto", odd).labels == written_labels("auto", odd) == ("car", "van")
    assert resolve("all", odd).labels == written_labels("all", odd) == ("x",)


def written_labels(text: str, superclasses: tuple[Superclass, ...]) -> tuple[str, ...]:
    return resolve(written(text, superclasses), superclasses).labels


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("vélo", ["vélo"]),
        ("véhicules", "véhicules"),
        (" véhicules ", "véhicules"),
        ("salt, pepper", "salt, pepper"),
        ("salt, pepper and more", ["salt, pepper and more"]),
        ("salt, pepper and more,vélo", ["salt, pepper and more", "vélo"]),
        ("vélo, salt, pepper", ["vélo", "salt, pepper"]),
        ("a,b", ["a,b"]),
        ("salt,a,b", ["salt", "a,b"]),
        ("salt,vélo,", ["salt", "vélo"]),
        ("pepper,salt", ["pepper", "salt"]),
        ("nothing", "nothing"),
        (",", ","),
        ("", ""),
    ],
)
def test_tasks_as_a_command_line_writes_them(text: str, task: object) -> None:
    assert written(text, ODD) == task
