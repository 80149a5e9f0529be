"""Writing the bundle container (docs/bundle-format.md); eas_sdk.bank.container reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping

import numpy as np

from eas_sdk.bank import strict_json
from eas_sdk.bank.atomic import write_atomically
from eas_sdk.bank.container import (
    BLANK_DIGEST,
    DIGEST_KEY,
    DTYPES,
    FORMAT,
    FORMAT_KEY,
    MAX_DIMENSIONS,
    MAX_HEADER_BYTES,
    METADATA_KEY,
    sha256,
)
from eas_sdk.errors import InputError

ALIGNMENT = 64  # bytes; a cache line, and the widest vector register of a phone or desktop CPU

_CODES = {(dtype.kind, dtype.itemsize): code for code, dtype in DTYPES.items()}


def write(path: str | os.PathLike[str], tensors: Mapping[str, np.ndarray], metadata: Mapping[str, object]) -> int:
    """Write a bundle atomically and return its size in bytes. Equal input gives equal bytes.

    Args:
        path: file to create or replace.
        tensors: arrays by name; float32, float16, int64, int32, int16, int8, uint8 or bool, of any shape.
        metadata: JSON-serialisable sections by name. As in JSON, tuples come back as lists and the order of
            an object's keys is not kept; integers have at most 20 characters, floats are finite.

    Raises:
        InputError: a name, dtype or metadata value that the format cannot hold.
        OSError: the file cannot be written; `path` is then as it was before.
    """
    for name in metadata:
        _check_name("metadata section", name, reserved=(FORMAT_KEY, DIGEST_KEY))
    for name, array in tensors.items():
        _check_name("tensor", name, reserved=(METADATA_KEY,))
        _check_array(name, array)
    entries, parts = _layout(tensors)
    head = _head({name: _section(name, metadata[name]) for name in sorted(metadata)}, entries)
    at = head.index(BLANK_DIGEST)  # the first one is the digest's: only "eas.format" stands before it
    digest = sha256(head, *parts).encode()
    return write_atomically(path, [head[:at], digest, head[at + len(digest) :], *parts])


def _layout(tensors: Mapping[str, np.ndarray]) -> tuple[dict[str, object], list[memoryview]]:
    """Header entries and little-endian bytes. Largest items first: all are aligned, without holes."""
    entries: dict[str, object] = {}
    parts: list[memoryview] = []
    offset = 0
    for name in sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name)):
        array = tensors[name]
        code = _CODES[array.dtype.kind, array.dtype.itemsize]
        part = np.asarray(array, dtype=DTYPES[code], order="C").reshape(-1).view(np.uint8)
        entries[name] = {"dtype": code, "shape": array.shape, "data_offsets": (offset, offset + part.size)}
        parts.append(part.data)
        offset += part.size
    return entries, parts


def _head(sections: dict[str, str], entries: dict[str, object]) -> bytes:
    """Everything before the data buffer, with a blank digest."""
    strings = {FORMAT_KEY: FORMAT, DIGEST_KEY: BLANK_DIGEST.decode(), **sections}
    text = json.dumps({METADATA_KEY: strings, **entries}, ensure_ascii=False, separators=(",", ":"))
    header = text.encode()
    header += b" " * (-(8 + len(header)) % ALIGNMENT)
    if len(header) > MAX_HEADER_BYTES:
        raise InputError(
            f"names, shapes and metadata must fit a header of {MAX_HEADER_BYTES} bytes, "
            f"but take {len(header)}; store large metadata as a tensor"
        )
    return len(header).to_bytes(8, "little") + header


def _section(name: str, value: object) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        text.encode()
        strict_json.loads(text)  # what is written can be read back
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"metadata section {name!r} must be JSON: objects with unique keys, lists, valid Unicode, "
            f"integers of at most 20 characters, finite floats, booleans and null; but: {error}"
        ) from error
    return text


def _check_name(what: str, name: object, reserved: Collection[str]) -> None:
    if not isinstance(name, str) or name in reserved or name != name.encode(errors="ignore").decode():
        others = " and ".join(map(repr, reserved))
        raise InputError(f"a {what} name must be a string of valid Unicode other than {others}, not {name!r}")


def _check_array(name: str, array: object) -> None:
    if not isinstance(array, np.ndarray):
        raise InputError(f"tensor {name!r} must be a numpy array, not {type(array).__name__}")
    if (array.dtype.kind, array.dtype.itemsize) not in _CODES:
        allowed = ", ".join(dtype.name for dtype in DTYPES.values())
        raise InputError(f"the dtype of tensor {name!r} must be one of {allowed}, not {array.dtype}")
    if array.ndim > MAX_DIMENSIONS:
        raise InputError(f"tensor {name!r} must have at most {MAX_DIMENSIONS} dimensions, not {array.ndim}")
