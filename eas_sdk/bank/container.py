"""The bundle container: named arrays and JSON sections in one safetensors file, guarded by a digest.

The format is specified in docs/bundle-format.md; eas_sdk.bank.container_writer writes it. Nothing in a file
is executed, unpickled or trusted: every number is checked before it is used, and arrays are views onto a
read-only memory map, so a lying header allocates nothing.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import os
import re
import reprlib
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from eas_sdk.bank import strict_json
from eas_sdk.errors import BundleError

FORMAT = "1"
"""Version of the container; a reader rejects every other."""

METADATA_KEY, FORMAT_KEY, DIGEST_KEY = "__metadata__", "eas.format", "eas.sha256"
BLANK_DIGEST = b"0" * 64
MAX_HEADER_BYTES = 16 * 2**20
MAX_DIMENSIONS = 32  # numpy 1.x cannot hold more

DTYPES: Mapping[str, np.dtype[Any]] = MappingProxyType(
    {
        "I64": np.dtype("<i8"),
        "I32": np.dtype("<i4"),
        "I16": np.dtype("<i2"),
        "I8": np.dtype("i1"),
        "U8": np.dtype("u1"),
        "F32": np.dtype("<f4"),
        "F16": np.dtype("<f2"),
        "BOOL": np.dtype("?"),
    }
)
"""The safetensors dtypes that a bundle may use."""

_brief = reprlib.Repr()  # a hostile value may be megabytes long or deeply nested; a message must not be
_brief.maxstring = 100


@dataclass(frozen=True, eq=False)
class Container:
    """What a bundle file holds.

    Attributes:
        tensors: read-only, C-contiguous, aligned arrays by name; views onto the file's memory map, which is
            released when the last of them is garbage-collected.
        metadata: the decoded JSON sections by name.
        sha256: the digest that the file states; compared with its bytes where that was asked for.
    """

    tensors: Mapping[str, np.ndarray]
    metadata: dict[str, Any]
    sha256: str


def read(path: str | os.PathLike[str], *, verify: bool = True, copy: bool = False) -> Container:
    """Map a bundle into memory. Its structure is always checked; `verify` adds the digest of all bytes.

    The file must not be changed in place while its arrays live; replace it by rename, as the writer does.
    (Windows refuses to replace or delete a file that is mapped: drop the arrays first, or read a `copy`.)

    Raises:
        BundleError: the path is no readable regular file, or the file is cut, altered, malformed or of
            another format version.
        FileNotFoundError: there is no such file.
    """
    path = os.fspath(path)  # TypeError on a file descriptor, which os.stat and open would take
    try:
        data = _map_file(path, copy)
        header, strings, start = _parse_header(data)
        tensors = _map_tensors(header, data[start:], start)
        metadata = {
            key: _from_json(f"metadata section {_brief.repr(key)}", text)
            for key, text in strings.items()
            if key not in (FORMAT_KEY, DIGEST_KEY)
        }
        if verify:
            _check_digest(data, start, strings)
    except BundleError as error:
        raise BundleError(f"{path!r}: {error}") from error.__cause__
    return Container(MappingProxyType(tensors), metadata, strings.get(DIGEST_KEY, ""))


def sha256(*parts: bytes | memoryview) -> str:
    """Hexadecimal SHA-256 of the concatenation of `parts`, without copying them."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _map_file(path: str, copy: bool) -> np.ndarray:
    """The file's bytes, uint8 [size]."""
    try:
        # Checked before opening: to open a named pipe would wait for a writer.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise BundleError("a bundle must be a regular file, not a folder, pipe or device")
        with open(path, "rb") as file:
            mapped = file.read() if copy else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (FileNotFoundError, BundleError):
        raise
    except OSError as error:
        raise BundleError(f"a bundle must be a readable file, but: {error.strerror}") from error
    except (ValueError, OverflowError) as error:
        raise BundleError(f"a bundle must fit memory and not be empty, but: {error}") from error
    return np.frombuffer(mapped, np.uint8)


def _parse_header(data: np.ndarray) -> tuple[dict[str, Any], dict[str, str], int]:
    """Tensor entries, metadata strings, and where the data buffer starts in the file."""
    if data.size < 8:
        raise BundleError(f"a bundle must have 8 bytes of header length, not {data.size}; it was cut")
    length = int.from_bytes(data[:8].tobytes(), "little")
    if length > MAX_HEADER_BYTES:
        raise BundleError(
            f"the header length must be at most {MAX_HEADER_BYTES} bytes, not {length}; this is no bundle"
        )
    if length > data.size - 8:
        raise BundleError(
            f"the header length must be within the {data.size - 8} bytes that follow it, not {length}; the file was cut"
        )
    raw = data[8 : 8 + length].tobytes()
    if not raw.startswith(b"{"):
        raise BundleError(f"the header must be a JSON object and begin with '{{', not with {raw[:16]!r}")
    header = _from_json("the header", raw)
    strings = header.pop(METADATA_KEY, {})
    if not isinstance(strings, dict) or not all(isinstance(value, str) for value in strings.values()):
        raise BundleError(f"{METADATA_KEY!r} must be an object of strings, not {_brief.repr(strings)}")
    version = strings.get(FORMAT_KEY)
    if version != FORMAT:
        hint = "this is no eas_sdk bundle" if version is None else "update eas_sdk to read a newer bundle"
        raise BundleError(f"{METADATA_KEY!r} must hold {FORMAT_KEY!r}: {FORMAT!r}, not {_brief.repr(version)}; {hint}")
    return header, strings, 8 + length


def _map_tensors(header: dict[str, Any], buffer: np.ndarray, start: int) -> dict[str, np.ndarray]:
    """A view per entry; they must cover `buffer`, which is the file from byte `start` on, exactly."""
    entries = {name: _check_entry(f"tensor {_brief.repr(name)}", entry) for name, entry in header.items()}
    tensors: dict[str, np.ndarray] = {}
    covered = 0
    for name, (dtype, shape, begin, end) in sorted(entries.items(), key=lambda item: item[1][2:]):
        what = f"the data of tensor {_brief.repr(name)}"
        if begin != covered:
            fault = "overlap" if begin < covered else "leave a hole"
            raise BundleError(f"tensors must not {fault}: {what} must begin at byte {covered}, not {begin}")
        if end > buffer.size:
            raise BundleError(f"{what} must end by byte {buffer.size}, not {end}; the file was cut")
        if (start + begin) % dtype.itemsize:
            raise BundleError(
                f"{what} must be aligned in the file to {dtype.itemsize} bytes, not at byte {start + begin}"
            )
        part = buffer[begin:end]
        if dtype.kind == "b" and part.max(initial=0) > 1:
            raise BundleError(f"{what} is boolean and must be bytes 0 and 1, not {part.max()}")
        tensors[name] = part.view(dtype).reshape(shape)
        covered = end
    if covered != buffer.size:
        raise BundleError(f"tensors must cover all {buffer.size} data bytes, not {covered}; bytes were added")
    return tensors


def _check_entry(what: str, entry: Any) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    """dtype, shape, first byte and end of a tensor, which agree with each other."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise BundleError(f"{what} must be an object of 'dtype', 'shape' and 'data_offsets', not {_brief.repr(entry)}")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        raise BundleError(f"the dtype of {what} must be one of {', '.join(DTYPES)}, not {_brief.repr(code)}")
    if not _are_sizes(shape) or len(shape) > MAX_DIMENSIONS:
        raise BundleError(
            f"the shape of {what} must be a list of at most {MAX_DIMENSIONS} non-negative integers, "
            f"not {_brief.repr(shape)}"
        )
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise BundleError(f"the data_offsets of {what} must be two non-negative integers, not {_brief.repr(offsets)}")
    itemsize, (begin, end) = DTYPES[code].itemsize, offsets
    # numpy computes the strides of empty arrays too, as if their zeros were ones.
    if math.prod(max(size, 1) for size in shape) * itemsize > sys.maxsize:
        raise BundleError(
            f"the shape of {what}, its zeros aside, must span at most {sys.maxsize} bytes, not {_brief.repr(shape)}"
        )
    if end - begin != math.prod(shape) * itemsize:
        raise BundleError(
            f"the data_offsets of {what} must span shape x item size = {math.prod(shape) * itemsize} bytes, "
            f"not {end - begin}"
        )
    return DTYPES[code], tuple(shape), begin, end


def _are_sizes(value: object) -> bool:
    return isinstance(value, list) and all(type(size) is int and size >= 0 for size in value)


def _check_digest(data: np.ndarray, start: int, strings: dict[str, str]) -> None:
    """The digest is that of the whole file with its own 64 characters set to "0"."""
    stated = strings.get(DIGEST_KEY)
    head = data[:start].tobytes()
    if stated is None or not re.fullmatch("[0-9a-f]{64}", stated) or head.count(stated.encode()) != 1:
        raise BundleError(
            f"{DIGEST_KEY!r} must be 64 lower-case hexadecimal characters that stand once in the header, "
            f"not {_brief.repr(stated)}; the file was altered, or never sealed"
        )
    at = head.index(stated.encode())
    actual = sha256(head[:at], BLANK_DIGEST, head[at + len(stated) :], data[start:].data)
    if actual != stated:
        raise BundleError(f"the SHA-256 of the file must be {stated}, not {actual}; the file was altered")


def _from_json(what: str, text: str | bytes) -> Any:
    try:
        return strict_json.loads(text.decode() if isinstance(text, bytes) else text)
    except RecursionError as error:
        raise BundleError(f"{what} must be JSON of moderate depth, but is nested too deeply") from error
    except ValueError as error:
        raise BundleError(f"{what} must be UTF-8 JSON with unique keys and finite numbers, but: {error}") from error
