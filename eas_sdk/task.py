"""A task: which classes a network tells apart. One superclass today; unions and lists of classes later."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass

from eas_sdk.errors import TaskError, closest


@dataclass(frozen=True)
class Superclass:
    """A named group of classes (EAS, section 3)."""

    name: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """What a network is specialised for.

    Attributes:
        name: as the caller wrote it.
        superclass: index of the superclass that conditions the selector.
        classes: indices of the classifier's rows, in the order of `labels`.
        labels: one name a class.
    """

    name: str
    superclass: int
    classes: tuple[int, ...]
    labels: tuple[str, ...]


def resolve(task: object, superclasses: Sequence[Superclass]) -> Task:
    """The task that a caller named.

    Args:
        task: the name of a superclass, or a Task over classes of the bundle.

    Raises:
        TaskError: no such superclass (the message holds the closest names), or a Task of another bundle.
    """
    if isinstance(task, Task):
        _check(task, superclasses)
        return task
    names = [superclass.name for superclass in superclasses]
    if not isinstance(task, str):
        raise TaskError(f"a task is the name of a superclass; got {reprlib.repr(task)} of type {type(task).__name__}")
    if task not in names:
        raise TaskError(f"no superclass is called {task[:64]!r}; {closest(task[:64], names)}")
    index = names.index(task)
    first = sum(len(superclass.labels) for superclass in superclasses[:index])
    labels = superclasses[index].labels
    return Task(task, index, tuple(range(first, first + len(labels))), labels)


def _check(task: Task, superclasses: Sequence[Superclass]) -> None:
    labels = [label for superclass in superclasses for label in superclass.labels]
    if task.superclass not in range(len(superclasses)):
        raise TaskError(f"the superclass of a task is an index below {len(superclasses)}; got {task.superclass!r}")
    if not task.classes or len(set(task.classes)) != len(task.classes):
        raise TaskError(f"a task has at least one class and names none twice; got {reprlib.repr(task.classes)}")
    if any(c not in range(len(labels)) for c in task.classes):
        raise TaskError(f"the classes of a task are indices below {len(labels)}; got {reprlib.repr(task.classes)}")
    if task.labels != tuple(labels[c] for c in task.classes):
        raise TaskError(f"the labels of a task are those of its classes; got {reprlib.repr(task.labels)}")
