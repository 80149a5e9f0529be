"""A task: which classes a network tells apart.

=========================  ==========================================================
written                    means
=========================  ==========================================================
"birds"                    one superclass
("birds", "bugs")       a union
["cat", "bus", "banana"]   any list of classes; superclasses may stand among them
"all"                      every class
"auto"                     one superclass, which a router picks by the image
=========================  ==========================================================

Labels keep the order in which they are written, and a superclass's own order within it. Names are compared as Unicode
texts, whatever form they are written in.

A text alone is a superclass, else one of the words "all" and "auto"; in a list, names are those of superclasses and
classes. So a class that is called "auto" is the task ["auto"]. Trainings refuse superclasses of these names.
"""

from __future__ import annotations

import functools
import reprlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, Union

import numpy as np

from eas_sdk.errors import TaskError, closest
from eas_sdk.names import same, split

ALL, AUTO = "all", "auto"

NAMED = 4
"""Most entries of a list that make its name."""

HEAVIEST = 1e300
"""Weights of superclasses lie below it, so that their sum is finite."""


@dataclass(frozen=True)
class Superclass:
    """A named group of classes (EAS, section 3)."""

    name: str
    labels: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Superclass {self.name!r}: {len(self.labels)} labels>"

    def __hash__(self) -> int:
        return hash(self.name)  # that of all labels takes long, and is asked for with every request


@dataclass(frozen=True)
class Task:
    """What a network is specialised for.

    Attributes:
        name: for people.
        classes: indices of the classifier's rows, in the order of `labels`.
        labels: one name a class.
        shares: (index of a superclass, its weight), ascending: what conditions the selector; by default the weight
            is how many of the classes are the superclass's.
    """

    name: str
    classes: tuple[int, ...]
    labels: tuple[str, ...]
    shares: tuple[tuple[int, int], ...]

    def __repr__(self) -> str:
        return f"<Task {reprlib.repr(self.name)}: {len(self.labels)} labels>"


TaskLike: TypeAlias = Union[str, Sequence[str], Task]  # noqa: UP007  # evaluated at run time, by 3.10 too
"""What callers may write for a task."""


def resolve(task: object, superclasses: Sequence[Superclass]) -> Task:
    """The task that a caller wrote.

    Args:
        task: see above; or a Task over classes of the bundle.

    Raises:
        TaskError: an unknown, empty or repeated entry (the message holds the closest names), or a Task of another
            bundle.
    """
    if isinstance(task, Task):
        _check(task, superclasses)
        return task
    known = _names(tuple(superclasses))
    if isinstance(task, str):
        task = same(task)
        if task in known.tasks:
            return known.tasks[task]
        entries, name = [task], known.superclasses.get(task, task)
        if task not in known.superclasses:
            if task == AUTO:
                raise TaskError(
                    "the task 'auto' is decided image by image: by models of `specialize`, and by adaptive sessions"
                )
            if task != ALL:
                raise TaskError(f"no superclass is called {task[:64]!r}; {_hint(task, superclasses)}")
            entries = list(known.superclasses)
    elif isinstance(task, Sequence) and not isinstance(task, bytes) and all(isinstance(entry, str) for entry in task):
        entries = [same(entry) for entry in task]
        if not entries:
            raise TaskError("a task names at least one superclass or class; got none")
        shown = entries if len(entries) <= NAMED else [*entries[: NAMED - 1], f"{len(entries) - NAMED + 1} more"]
        name = "+".join(shown)
    else:
        raise TaskError(
            "a task is the name of a superclass, a list of names of superclasses and classes, or 'all'; got "
            f"{reprlib.repr(task)} of type {type(task).__name__}"
        )
    classes = _classes(entries, superclasses)
    labels = known.labels
    made = Task(name, classes, tuple(labels[c] for c in classes), _shares(classes, superclasses))
    if isinstance(task, str):
        known.tasks[task] = made
    return made


def routed(superclass: int, superclasses: Sequence[Superclass]) -> Task:
    """The task behind a router that has picked a superclass: its network, but rows for every class.

    What the network sees may then overrule the router.
    """
    labels = tuple(label for one in superclasses for label in one.labels)
    picked = superclasses[superclass]
    return Task(picked.name, tuple(range(len(labels))), labels, ((superclass, len(picked.labels)),))


def shown_classes(task: Task, superclasses: Sequence[Superclass]) -> frozenset[int]:
    """The classes that images of a task show: its own, as far as they are of its superclasses.

    A network behind a router has rows for every class, and sees images of one superclass.
    """
    owner, mine = _names(tuple(superclasses)).owner, {index for index, _ in task.shares}
    return frozenset(c for c in task.classes if owner[c] in mine)


def is_auto(task: object, superclasses: Sequence[Superclass]) -> bool:
    """Whether a router is to pick the superclass."""
    return isinstance(task, str) and task == AUTO and AUTO not in _names(tuple(superclasses)).superclasses


def written(text: str, superclasses: Sequence[Superclass]) -> TaskLike:
    """A task as it is written where there are no lists, on a command line: what it would be alone, else one class, else
    several names with commas between them. A comma at the end makes a list of one.
    """
    known = _names(tuple(superclasses))
    text = same(text.strip())
    if text in known.superclasses or text in (ALL, AUTO):
        return text
    if text in known.members:
        return [text]
    names = split(text, known.members)
    if len(names) == 1 and not text.endswith(","):
        return names[0]
    return names or text


def split_names(text: str, superclasses: Sequence[Superclass]) -> list[str]:
    """Names of superclasses, with commas between them."""
    return split(text, _names(tuple(superclasses)).superclasses)


@dataclass(frozen=True)
class _Names:
    """Whom names belong to; names are in the form in which they are compared.

    Attributes:
        superclasses: name -> as the bundle writes it.
        members: name of a superclass or of a class -> positions of classes.
        labels: of all classes; owner: the superclass of each.
        tasks: those of one name that were asked for before.
    """

    superclasses: Mapping[str, str]
    members: Mapping[str, tuple[int, ...]]
    labels: tuple[str, ...]
    owner: tuple[int, ...]
    tasks: dict[str, Task] = field(default_factory=dict)


@functools.lru_cache(maxsize=16)
def _names(superclasses: tuple[Superclass, ...]) -> _Names:
    labels = tuple(label for superclass in superclasses for label in superclass.labels)
    owner = tuple(index for index, superclass in enumerate(superclasses) for _ in superclass.labels)
    members: dict[str, tuple[int, ...]] = {same(label): (i,) for i, label in enumerate(labels)}
    for index, superclass in enumerate(superclasses):  # a superclass wins over a class of the same name
        members[same(superclass.name)] = tuple(i for i, o in enumerate(owner) if o == index)
    return _Names({same(superclass.name): superclass.name for superclass in superclasses}, members, labels, owner)


def _classes(entries: Sequence[str], superclasses: Sequence[Superclass]) -> tuple[int, ...]:
    """The classes of entries, each the name of a superclass or of a class."""
    members = _names(tuple(superclasses)).members
    found: dict[int, str] = {}
    for entry in entries:
        if entry not in members:
            raise TaskError(f"no superclass or class is called {entry[:64]!r}; {_hint(entry, superclasses)}")
        for index in members[entry]:
            if index in found:
                also = f" and {found[index]!r}" if found[index] != entry else " twice"
                raise TaskError(f"a task names every class once; got {entry[:64]!r}{also}")
            found[index] = entry
    return tuple(found)


def _hint(name: str, superclasses: Sequence[Superclass]) -> str:
    """The names that come closest, of superclasses and classes alike."""
    labels = [label for superclass in superclasses for label in superclass.labels]
    if name in _names(tuple(superclasses)).members:
        return f"it is a class: write a list of classes, [{name!r}]"
    names = [superclass.name for superclass in superclasses]
    among = closest(name[:64], [*names, *labels])
    if not among.startswith("did you mean"):
        return closest(name[:64], names)
    only_classes = not any(repr(known) in among for known in names)
    return f"{among[:-1]} (a class: write a list of classes)?" if only_classes else among


def _shares(classes: Sequence[int], superclasses: Sequence[Superclass]) -> tuple[tuple[int, int], ...]:
    owner = _names(tuple(superclasses)).owner
    return tuple(sorted(Counter(owner[c] for c in classes).items()))


def _check(task: Any, superclasses: Sequence[Superclass]) -> None:
    labels = [label for superclass in superclasses for label in superclass.labels]
    if not isinstance(task.name, str):
        raise TaskError(f"the name of a task is text; got {reprlib.repr(task.name)}")
    if not isinstance(task.classes, tuple) or not all(_is_index(c, len(labels)) for c in task.classes):
        raise TaskError(
            f"the classes of a task are a tuple of indices below {len(labels)}; got {reprlib.repr(task.classes)}"
        )
    if not task.classes or len(set(task.classes)) != len(task.classes):
        raise TaskError(f"a task has at least one class and names none twice; got {reprlib.repr(task.classes)}")
    if not isinstance(task.labels, tuple) or task.labels != tuple(labels[c] for c in task.classes):
        raise TaskError(f"the labels of a task are those of its classes; got {reprlib.repr(task.labels)}")
    pairs = task.shares if isinstance(task.shares, tuple) else ()
    whole = all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs)
    whole = whole and all(_is_index(index, len(superclasses)) and _is_weight(weight) for index, weight in pairs)
    indices = [index for index, _ in pairs] if whole else []
    if not indices or indices != sorted(set(indices)):
        raise TaskError(
            f"the shares of a task are pairs of an index below {len(superclasses)}, ascending, and a positive weight; "
            f"got {reprlib.repr(task.shares)}"
        )


def _is_index(value: Any, count: int) -> bool:
    return not isinstance(value, bool) and isinstance(value, (int, np.integer)) and bool(0 <= value < count)


def _is_weight(value: Any) -> bool:
    real = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return real and bool(0 < value < HEAVIEST)
