"""A task: which classes a network tells apart. One superclass today; unions and lists of classes will join it."""

from __future__ import annotations

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
        task: the name of a superclass, or a Task.

    Raises:
        TaskError: no such superclass; the message holds the closest names.
    """
    if isinstance(task, Task):
        return task
    names = [superclass.name for superclass in superclasses]
    if not isinstance(task, str):
        raise TaskError(f"a task is the name of a superclass; got {task!r} of type {type(task).__name__}")
    if task not in names:
        raise TaskError(f"no superclass is called {task[:64]!r}; {closest(task, names)}")
    index = names.index(task)
    first = sum(len(superclass.labels) for superclass in superclasses[:index])
    labels = superclasses[index].labels
    return Task(task, index, tuple(range(first, first + len(labels))), labels)
