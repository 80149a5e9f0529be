"""A writer of FlatBuffers, as small as files of a known schema allow (https://flatbuffers.dev/internals).

A file is a tree of tables. Everything is written once and in order, parents before children, so that offsets are
positive: tables first, then what refers to nothing (vectors of numbers, strings, tables of numbers), of which equal
ones are written once, then large vectors, which are never copied.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Scalar:
    """A number inside a table; `format` is its letter in the `struct` module."""

    format: str
    value: float


@dataclass(frozen=True, eq=False)
class Blob:
    """A vector of bytes whose first byte lies at a multiple of `alignment` in the file."""

    data: npt.NDArray[np.uint8]
    alignment: int = 16


Table: TypeAlias = "Mapping[int, Value | None]"
"""Slot of the schema -> value; slots that are None or missing take the schema's default."""

Value: TypeAlias = "Scalar | str | Blob | npt.NDArray[np.generic] | Sequence[Table | str] | Table"
"""An array is a vector of scalars; a list is a vector of tables or of strings."""


def serialize(root: Table, identifier: bytes) -> list[bytes | memoryview]:
    """A file with `root` as its root table and the four bytes `identifier`: parts to be written one after another."""
    out = bytearray(b"\0\0\0\0" + identifier)
    pending: list[tuple[int, Value]] = [(0, root)]
    leaves: list[tuple[int, Value]] = []
    blobs: list[tuple[int, Blob]] = []
    shapes: dict[bytes, int] = {}
    for at, value in pending:  # grows while it is walked
        if isinstance(value, Blob):
            blobs.append((at, value))
        elif _is_leaf(value):
            leaves.append((at, value))
        else:
            struct.pack_into("<I", out, at, _place(out, value, pending, shapes) - at)
    placed: dict[object, int] = {}
    for at, leaf in leaves:
        key = _key(leaf)
        if key not in placed:
            placed[key] = _place(out, leaf, pending, shapes)
        struct.pack_into("<I", out, at, placed[key] - at)
    parts: list[bytes | memoryview] = []
    end = len(out)
    for at, blob in blobs:
        padding = -(end + 4) % blob.alignment
        struct.pack_into("<I", out, at, end + padding - at)
        parts += [bytes(padding) + struct.pack("<I", blob.data.size), blob.data.data.cast("B")]
        end += padding + 4 + blob.data.size
    return [bytes(out), *parts]


def _is_leaf(value: Value) -> bool:
    if isinstance(value, Mapping):
        return all(v is None or isinstance(v, Scalar) for v in value.values())
    return isinstance(value, str | np.ndarray)


def _key(leaf: Value) -> object:
    """Equal for leaves that may share their place."""
    if isinstance(leaf, np.ndarray):
        return leaf.dtype.str, leaf.tobytes()
    return tuple(leaf.items()) if isinstance(leaf, Mapping) else leaf


def _place(out: bytearray, value: Value, pending: list[tuple[int, Value]], shapes: dict[bytes, int]) -> int:
    """Append one object; returns its position. What it refers to is left for later, in `pending`."""
    if isinstance(value, Mapping):
        return _place_table(out, value, pending, shapes)
    if isinstance(value, str):
        text = value.encode()
        _align(out, 4)
        start = len(out)
        out += struct.pack("<I", len(text)) + text + b"\0"
        return start
    if isinstance(value, np.ndarray):
        out += bytes(-(len(out) + 4) % max(value.itemsize, 4))
        start = len(out)
        out += struct.pack("<I", value.size) + value.tobytes()
        return start
    assert not isinstance(value, Scalar | Blob)
    _align(out, 4)
    start = len(out)
    out += struct.pack("<I", len(value))
    for item in value:
        pending.append((len(out), item))
        out += b"\0\0\0\0"
    return start


def _place_table(out: bytearray, table: Table, pending: list[tuple[int, Value]], shapes: dict[bytes, int]) -> int:
    """A table: the distance to its vtable (which says where its fields are), then its fields, widest first."""
    fields = [(slot, value) for slot, value in table.items() if value is not None]
    formats = {slot: value.format if isinstance(value, Scalar) else "I" for slot, value in fields}
    fields.sort(key=lambda field: -struct.calcsize(formats[field[0]]))
    offsets: dict[int, int] = {}
    size = 4
    for slot, _ in fields:
        width = struct.calcsize(formats[slot])
        size += -size % width
        offsets[slot] = size
        size += width
    slots = max(offsets, default=-1) + 1
    shape = struct.pack(f"<{slots + 2}H", 4 + 2 * slots, size, *(offsets.get(slot, 0) for slot in range(slots)))
    if shape not in shapes:
        _align(out, 2)
        shapes[shape] = len(out)
        out += shape
    # A field of 8 bytes is aligned in the file when its table is.
    _align(out, 8 if any(struct.calcsize(f) == 8 for f in formats.values()) else 4)
    start = len(out)
    out += bytes(size)
    struct.pack_into("<i", out, start, start - shapes[shape])
    for slot, value in fields:
        at = start + offsets[slot]
        if isinstance(value, Scalar):
            struct.pack_into(f"<{value.format}", out, at, value.value)
        else:
            pending.append((at, value))
    return start


def _align(out: bytearray, to: int) -> None:
    out += bytes(-len(out) % to)
