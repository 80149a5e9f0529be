"""Which classes make a data set, and which superclass each belongs to: one JSON file a list.

::

    {"name": "mine", "source": "where the choice comes from", "comment": "may be left out",
     "superclasses": [{"name": "Dog", "classes": [{"name": "Chihuahua", "id": "n02085620"}, ...]}, ...]}

The lists of the paper (tables A to C), of CIFAR-100, of Tiny ImageNet ("photos") and of all of ImageNet ship in
`lists/`. What an `id` is, the data set says: the folder of ImageNet and of Tiny ImageNet, the class name of Stanford
Cars, the fine label of CIFAR-100.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eas_sdk.errors import DataError
from eas_sdk.names import same
from eas_train.data.imageset import Superclass

SHIPPED = Path(__file__).parent / "lists"


@dataclass(frozen=True)
class ListedClass:
    """A class, its superclass, and the name by which the data set's files know it."""

    name: str
    id: str
    superclass: str


@dataclass(frozen=True)
class ClassList:
    """Classes in the order of their superclasses.

    Raises:
        DataError: where there is no class, a name or an id is there twice, a name is the id of another class, or the
            classes of a superclass do not follow one another.
    """

    name: str
    source: str
    classes: tuple[ListedClass, ...]
    comment: str = ""

    def __post_init__(self) -> None:
        if not self.classes:
            raise DataError(f"a class list must hold at least one class; {self.name!r} holds none")
        for what, values in (("class name", [c.name for c in self.classes]), ("id", [c.id for c in self.classes])):
            if twice := [value for value, count in Counter(values).items() if count > 1]:
                raise DataError(f"each {what} of {self.name!r} must be there once; more than once: {listed(twice)}")
        # A folder may bear either, and must not mean two classes.
        owner = {c.id: c.name for c in self.classes}
        if shared := [c.name for c in self.classes if owner.get(c.name, c.name) != c.name]:
            raise DataError(f"a class name of {self.name!r} must not be the id of another class: {listed(shared)}")
        if tuple(n for s in self.superclasses for n in s.class_names) != tuple(c.name for c in self.classes):
            raise DataError(f"the classes of {self.name!r} must be ordered by superclass")

    @property
    def superclasses(self) -> tuple[Superclass, ...]:
        """The partition, as an image set has it."""
        members: dict[str, list[str]] = {}
        for listed_class in self.classes:
            members.setdefault(listed_class.superclass, []).append(listed_class.name)
        return tuple(Superclass(name, tuple(names)) for name, names in members.items())


def read_list(name_or_path: str | Path) -> ClassList:
    """A class list from a JSON file, or one that ships with the package, by name ("imagenet-10").

    Raises:
        DataError: there is none, the file is not JSON of the form above, or a class, an id or a superclass is there
            twice.
    """
    path = Path(name_or_path)
    shipped = {p.stem: p for p in SHIPPED.glob("*.json")}
    if path.suffix != ".json":
        path = shipped.get(str(name_or_path), path)
    if path.suffix != ".json" or not path.is_file():
        raise DataError(
            f"a class list is a .json file or one of {', '.join(sorted(shipped))}; got {str(name_or_path)!r}"
        )
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from None
    try:
        return _parse(tree)
    except DataError as error:
        raise DataError(f"{path} is not a class list: {error}") from None


def listed(names: Iterable[str], most: int = 10) -> str:
    """Names for a message: at most `most` of them, then how many more there are."""
    shown = list(names)
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more


def _parse(tree: Any) -> ClassList:
    fields = _fields(tree, "the file", ("name", "source", "superclasses"), ("comment",))
    classes: list[ListedClass] = []
    seen: set[str] = set()
    for i, entry in enumerate(_list(fields["superclasses"], "superclasses")):
        where = f"superclasses[{i}]"
        group = _fields(entry, where, ("name", "classes"))
        superclass = _text(group["name"], f"{where}.name")
        if superclass in seen:
            raise DataError(f"each superclass must be there once; more than once: {superclass}")
        seen.add(superclass)
        for j, member in enumerate(_list(group["classes"], f"{where}.classes")):
            at = f"{where}.classes[{j}]"
            given = _fields(member, at, ("name", "id"))
            classes.append(ListedClass(_text(given["name"], f"{at}.name"), _text(given["id"], f"{at}.id"), superclass))
    comment = fields.get("comment", "")
    return ClassList(
        _text(fields["name"], "name"),
        _text(fields["source"], "source"),
        tuple(classes),
        _text(comment, "comment") if comment != "" else "",
    )


def _fields(value: Any, where: str, needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where} must be an object with {', '.join(needed)}; got {_short(value)}")
    if missing := [key for key in needed if key not in value]:
        raise DataError(f"{where} must have {', '.join(needed)}; it lacks {', '.join(missing)}")
    if odd := sorted(set(value) - {*needed, *optional}):
        raise DataError(f"{where} may have {', '.join((*needed, *optional))} only; it has {listed(odd)}")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise DataError(f"{where} must be a list of at least one entry; got {_short(value)}")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip() or value != value.strip():
        raise DataError(f"{where} must be text, not empty and without spaces around it; got {_short(value)}")
    return same(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
