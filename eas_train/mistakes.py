"""Mistakes in settings, told in one short line: where, what stands there, and what would be allowed."""

from __future__ import annotations

import dataclasses
import reprlib
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from eas_sdk.errors import closest

UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
WANTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text in quotes",
    "tuple": "a list",
    "dict": "a table",
    "model": "a table",
    "dataclass": "a table",
}
"""By the beginning of pydantic's name for a value of a wrong type."""
MOST_PLACES = 4
"""Where a name may belong, at most, to be told so."""

Place = Sequence[int | str]


def told(kind: type[BaseModel], given: Mapping[str, Any], error: ValidationError) -> str:
    """The first mistake of `given` in words, and how many more there are; unknown names come first.

    Args:
        kind: what `given`, tables and lists as TOML has them, was to be.
    """
    found = error.errors(include_url=False)
    unknown = [each for each in found if each["type"] in UNKNOWN]
    tables = {each["loc"][:-1] for each in unknown}
    others = [
        each
        for each in found
        # A name that is misspelt is missing too.
        if each["type"] not in UNKNOWN and not (each["type"] == "missing" and each["loc"][:-1] in tables)
    ]
    first, *more = unknown + others
    text = _sentence(kind, given, first["type"], first["loc"], first["msg"], first["input"], first.get("ctx", {}))
    return f"{text} (and {len(more)} more)" if more else text


def _sentence(
    kind: type[BaseModel],
    given: Mapping[str, Any],
    error: str,
    place: Place,
    message: str,
    value: object,
    context: Mapping[str, Any],
) -> str:
    where = _where(given, place, missing=error == "missing")
    is_there = f"{where} is {reprlib.repr(value)}"
    if error in UNKNOWN:
        return f"{where} is unknown; {_belongs(kind, place)}"
    if error == "missing":
        return f"{where} is missing"
    if error == "value_error":
        return f"{where}: {context['error']}" if where else str(context["error"])
    if error == "literal_error":
        return f"{is_there}; {closest(value, _options(context['expected']), limit=1)}"
    if error == "union_tag_invalid":
        kinds = _options(context["expected_tags"])
        return f"{where}.kind is {context['tag']!r}; {closest(context['tag'], kinds, limit=1)}"
    kinds = [name for table in _tables(kind, place) for name in typing.get_args(_fields(table).get("kind"))]
    of_a_kind = f" with a kind, {', '.join(map(repr, kinds))}" if kinds else ""
    if error == "union_tag_not_found":
        return f"{is_there}; it should be a table{of_a_kind}"
    if error.endswith(("_type", "_parsing", "_from_float")) and (wanted := WANTED.get(error.partition("_")[0])):
        if wanted == "a table":
            wanted += of_a_kind
        elif wanted == "a list" and isinstance(value, dict):
            wanted += f" of tables, [[{where}]]"
        return f"{is_there}; it should be {wanted}"
    return f"{is_there}; {message.replace('Input should', 'it should')}"


def _where(given: Any, place: Place, *, missing: bool) -> str:
    """A place as the file has it: without the kinds of tables, lists of named tables by name."""
    names: list[str] = []
    for at, part in enumerate(place, 1):
        last = missing and at == len(place)
        if isinstance(part, int):
            given = given[part] if isinstance(given, list) and part < len(given) else None
            name = given.get("name") if isinstance(given, dict) else None
            names[-1] += f"[{name!r}]" if isinstance(name, str) else f"[{part}]"
        elif last or (isinstance(given, dict) and part in given):
            given = None if last else given[part]
            names.append(part)
    return ".".join(names)


def _belongs(kind: type[BaseModel], place: Place) -> str:
    """Where an unknown name belongs, or which name is meant."""
    *table, name = place
    places = dict.fromkeys(_places(kind, str(name)))
    if 0 < len(places) <= MOST_PLACES:
        return f"it belongs in {' or '.join(places)}"
    return closest(name, dict.fromkeys(field for found in _tables(kind, table) for field in _fields(found)), limit=1)


def _places(kind: type, name: str, table: str = "") -> Iterator[str]:
    """The tables below `kind` that have a field of that name, as headings of TOML."""
    for field, annotation in _fields(kind).items():
        path = f"{table}.{field}" if table else field
        listed = typing.get_origin(annotation) is tuple
        for inner in _kinds(annotation):
            if name in _fields(inner):
                yield f"[[{path}]]" if listed else f"[{path}]"
            yield from _places(inner, name, path)


def _tables(kind: type, place: Place) -> list[type]:
    """What may stand at a place; of tables of several kinds the one that is meant, where the place says it."""
    at = [kind]
    for part in place:
        if inner := [found for table in at for found in _kinds(_fields(table).get(str(part)))]:
            at = inner
        else:
            at = [table for table in at if part in typing.get_args(_fields(table).get("kind"))] or at
    return at


def _kinds(annotation: Any) -> list[type]:
    """All kinds of tables that an annotation names."""
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)):
        return [annotation]
    return [kind for part in typing.get_args(annotation) for kind in _kinds(part)]


def _fields(kind: type) -> dict[str, Any]:
    """Name -> annotation."""
    if issubclass(kind, BaseModel):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    return typing.get_type_hints(kind)


def _options(text: str) -> list[str]:
    """What pydantic lists in quotes."""
    return text.split("'")[1::2]
