"""Checks and JSON files that device state, power table and policy share."""

from __future__ import annotations

import json
import os
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from eas_sdk.bank import strict_json
from eas_sdk.bank.atomic import write_atomically
from eas_sdk.errors import EasError, TableError, closest
from eas_sdk.regular import read_regular

MAX_BYTES = 1 << 20
"""Files of tables and policies are far smaller; what is larger is another file."""

MAX_NAME = 80
"""Characters of a name."""


def require(holds: bool, rule: str, value: object, error: type[EasError] = TableError) -> None:
    """Raise `error` with the rule, which tells what is allowed, and the offending value, unless `holds`."""
    if not holds:
        raise error(f"{rule}; got {shown(value)}")


def shown(value: object) -> str:
    """A value for a message: short, and of its type where that is not plain."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an int of {value.bit_length()} bits"  # Python refuses to print the largest
    return reprlib.repr(value)


def is_number(value: object, low: float, high: float) -> bool:
    """Whether `value` is an int or float (no bool, no NaN) from `low` to `high`."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def is_name(value: object) -> bool:
    """Whether `value` is a text of 1 to 80 printable characters, not of spaces alone."""
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable() and not value.isspace()


def is_tuple_of(value: object, kind: type, least: int = 0) -> bool:
    """Whether `value` is a tuple of at least so many members, all of them of `kind`."""
    return isinstance(value, tuple) and len(value) >= least and all(isinstance(member, kind) for member in value)


def members(
    data: object,
    what: str,
    required: Sequence[str],
    optional: Sequence[str] = (),
    error: type[EasError] = TableError,
) -> dict[str, Any]:
    """The members of a JSON object that must have those of `required`, may have those of `optional`, and no others.

    Raises:
        error: not an object; a member is missing or unknown.
    """
    rule = f"{what} is an object with {', '.join(required) or 'members'}"
    if optional:
        rule += f" and, where wanted, {', '.join(optional)}"
    if not isinstance(data, dict):
        raise error(f"{rule}; got {shown(data)}")
    for name in data:
        if name not in required and name not in optional:
            raise error(f"{rule}; got {shown(name)} ({closest(name, [*required, *optional])})")
    for name in required:
        if name not in data:
            raise error(f"{rule}; {name!r} is missing")
    return data


def check_schema(data: Mapping[str, Any], schema: str, version: int) -> None:
    """Raise TableError unless the members "schema" and "version" are those that this package reads."""
    rule = f"this version of eas_sdk reads files with schema {schema!r} and version {version}"
    got = (data["schema"], data["version"])
    require(type(got[1]) is int and got == (schema, version), rule, got)


def read_json(path: str | os.PathLike[str], what: str) -> Any:
    """The content of a JSON file.

    Raises:
        OSError: the file cannot be opened.
        TableError: it is not JSON as RFC 8259 has it, or has more than 1 MiB.
    """
    raw = read_regular(path, MAX_BYTES)
    if len(raw) > MAX_BYTES:
        raise TableError(f"{what} is a JSON file of at most {MAX_BYTES} bytes; {os.fspath(path)} has more")
    try:
        return strict_json.loads(raw.decode("utf-8-sig"))  # editors of one system begin files with a mark
    except (ValueError, RecursionError) as error:
        raise TableError(f"{what} is a JSON file; {os.fspath(path)} is not: {error}") from error


def write_json(path: str | os.PathLike[str], data: Mapping[str, Any]) -> None:
    """Write a JSON file for people to edit, whole or not at all.

    Raises:
        OSError: what the system reports.
    """
    write_atomically(path, [(json.dumps(data, indent=2, allow_nan=False) + "\n").encode()])
