"""What a caller relies on when reading a bundle; and no file, however made, does worse than BundleError."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eas_sdk.bank.container import Container, read
from eas_sdk.bank.container_writer import write
from eas_sdk.errors import BundleError

ENTRY = {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}
MARK = {"eas.format": "1", "eas.sha256": "0" * 64}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundles") / "bundle.eas"


@pytest.fixture(scope="module")
def valid(path: Path) -> bytes:
    tensors = {"w": np.arange(5, dtype=np.float32), "n": np.array([True]), "none": np.zeros((0, 2), np.int16)}
    write(path, tensors, {"é": {"k": [1, "\n", 0.5]}})
    return path.read_bytes()


def pack(header: bytes | str | dict[str, Any], data: bytes = b"") -> bytes:
    """A container of this header, sealed where the header has room for a digest."""
    if isinstance(header, dict):
        header = json.dumps(header)
    text = header.encode() if isinstance(header, str) else header
    raw = len(text).to_bytes(8, "little") + text + data
    return raw.replace(b"0" * 64, hashlib.sha256(raw).hexdigest().encode())


def bundle(data: bytes = b"\1\2\3\4", **entries: object) -> bytes:
    return pack({"__metadata__": MARK, **entries}, data)


def fault(path: Path, raw: bytes, *, verify: bool = True) -> str:
    """The message with which `raw` is rejected."""
    path.write_bytes(raw)
    with pytest.raises(BundleError) as caught:
        read(path, verify=verify)
    message = str(caught.value)
    assert message.startswith(repr(str(path)))
    assert len(message) < 1000
    return message


def survives(path: Path, raw: bytes, *, verify: bool = False) -> Container | None:
    """Read `raw`: None for a BundleError, else a container whose arrays lie in the file."""
    path.write_bytes(raw)
    try:
        container = read(path, verify=verify)
    except BundleError:
        return None
    assert sum(array.nbytes for array in container.tensors.values()) <= len(raw)
    for array in container.tensors.values():
        array.copy()
    return container


def test_the_helper_makes_valid_bundles(path: Path) -> None:
    path.write_bytes(bundle(x=ENTRY))
    np.testing.assert_array_equal(read(path).tensors["x"], [1, 2, 3, 4])


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "empty"),
        (b"\0" * 7, "8 bytes of header length, not 7"),
        (b"\0" * 8, "begin with '{'"),
        ((2**24 + 1).to_bytes(8, "little") + b"{}", "at most 16777216 bytes, not 16777217"),
        (b"\xff" * 64, "at most 16777216 bytes, not 18446744073709551615"),
        ((9).to_bytes(8, "little") + b"{}      ", "within the 8 bytes that follow it, not 9"),
        (pack("[]"), "begin with '{'"),
        (pack(" {}"), "begin with '{'"),
        (pack(b'{"\xff":1}'), "UTF-8"),
        (pack("{"), "JSON"),
        (pack("{} {}"), "JSON"),
        (pack("{}\0"), "JSON"),
        (pack('{"x":1,"x":2}'), "'x' stands 2 times"),
        (pack('{"\\ud800":1}'), "surrogates"),
        (pack('{"x":NaN}'), "not NaN"),
        (pack('{"x":-Infinity}'), "not -Infinity"),
        (pack('{"x":1e999}'), "finite as float64, not 1e999"),
        (pack('{"x":' + "1" * 5000 + "}"), "20 characters, not 5000"),
        (pack('{"x":' * 100_000), "nested too deeply"),
        (pack('{"x":' + "[" * 100_000), "nested too deeply"),
        (pack("{}"), "no eas_sdk bundle"),
        (pack({"__metadata__": []}), "object of strings"),
        (pack({"__metadata__": {"a": 1}}), "object of strings, not {'a': 1}"),
        (pack({"__metadata__": {"a": "b"}}), "no eas_sdk bundle"),
        (pack({"__metadata__": {"eas.format": "2"}}), "'1', not '2'; update eas_sdk"),
        (pack({"__metadata__": {"eas.format": "1"}}), "64 lower-case hexadecimal characters.*not None"),
        (pack({"__metadata__": {"eas.format": "1", "eas.sha256": "abc"}}), "not 'abc'"),
        (pack({"__metadata__": {"eas.format": "1", "eas.sha256": "AB" * 32}}), "lower-case.*not 'ABAB"),
        (pack({"__metadata__": {**MARK, "eas.sha256": "ab" * 32, "s": f'"{"ab" * 32}"'}}), "stand once"),
        (pack('{"__metadata__":{"eas.format":"1","eas.sha256":"\\u0061' + "1" * 63 + '"}}'), "stand once"),
        (bundle(x=3), "'dtype', 'shape' and 'data_offsets', not 3"),
        (bundle(x={"dtype": "U8", "shape": [4]}), "'data_offsets', not"),
        (bundle(x={**ENTRY, "more": 1}), "'data_offsets', not"),
        (bundle(x={**ENTRY, "dtype": "F64"}), "I64, .*BOOL, not 'F64'"),
        (bundle(x={**ENTRY, "dtype": ["U8"]}), "not \\['U8'\\]"),
        (bundle(x={**ENTRY, "shape": 4}), "shape.*not 4"),
        (bundle(x={**ENTRY, "shape": [-4]}), "non-negative integers, not \\[-4\\]"),
        (bundle(x={**ENTRY, "shape": [-2, -2]}), "non-negative"),
        (bundle(x={**ENTRY, "shape": [4.0]}), "not \\[4.0\\]"),
        (bundle(x={**ENTRY, "shape": [4, True]}), "True"),
        (bundle(x={**ENTRY, "shape": ["4"]}), "'4'"),
        (bundle(x={**ENTRY, "shape": [[4]]}), "non-negative"),
        (bundle(x={**ENTRY, "shape": [4] + [1] * 32}), "at most 32"),
        (bundle(x={**ENTRY, "shape": [2**32, 2**32]}), "must span at most"),
        (bundle(x={**ENTRY, "shape": [0, 2**62, 4], "data_offsets": [0, 0]}), "must span at most"),
        (bundle(x={**ENTRY, "shape": [10**12]}), "1000000000000 bytes, not 4"),
        (bundle(x={**ENTRY, "shape": [3]}), "= 3 bytes, not 4"),
        (bundle(x={**ENTRY, "dtype": "F32"}), "= 16 bytes, not 4"),
        (bundle(x={**ENTRY, "data_offsets": [4, 0]}), "= 4 bytes, not -4"),
        (bundle(x={**ENTRY, "data_offsets": [-4, 0]}), "two non-negative"),
        (bundle(x={**ENTRY, "data_offsets": [0, 4, 4]}), "two non-negative"),
        (bundle(x={**ENTRY, "data_offsets": None}), "two non-negative"),
        (bundle(x={**ENTRY, "data_offsets": [1, 5]}), "leave a hole.*byte 0, not 1"),
        (bundle(x=ENTRY, y=ENTRY), "overlap.*byte 4, not 0"),
        (bundle(x=ENTRY, y={**ENTRY, "shape": [0], "data_offsets": [2, 2]}), "overlap.*byte 4, not 2"),
        (bundle(x={**ENTRY, "shape": [5], "data_offsets": [0, 5]}), "by byte 4, not 5; the file was cut"),
        (bundle(data=bytes(5), x=ENTRY), "all 5 data bytes, not 4"),
        (bundle(), "all 4 data bytes, not 0"),
        (bundle(x={**ENTRY, "dtype": "BOOL"}), "boolean.*0 and 1, not 4"),
        (pack({"__metadata__": {**MARK, "s": "{"}}), "metadata section 's' must be UTF-8 JSON"),
        (pack({"__metadata__": {**MARK, "s": "[NaN]"}}), "metadata section 's'.*not NaN"),
        (pack({"__metadata__": {**MARK, "s": '{"a":1,"a":1}'}}), "metadata section 's'.*'a' stands 2 times"),
        (pack({"__metadata__": {**MARK, "s": "[" * 100_000}}), "metadata section 's'.*nested too deeply"),
        (pack({"__metadata__": {**MARK, "s": "9" * 10**6}}), "metadata section 's'.*20 characters"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
def test_a_malformed_file_is_rejected_with_its_fault(path: Path, raw: bytes, words: str) -> None:
    assert re.search(words, fault(path, raw)), fault(path, raw)


def test_unaligned_data_is_rejected(path: Path) -> None:
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    text = json.dumps({"__metadata__": MARK, "x": entry})
    text += " " * (-len(text) % 4)
    assert survives(path, pack(text, bytes(4)), verify=True)
    assert "aligned in the file to 4 bytes" in fault(path, pack(text + " ", bytes(4)))


def test_hostile_values_are_shortened_in_messages(path: Path) -> None:
    long = "x" * 100_000
    deep = json.loads("[" * 400 + "]" * 400)
    for raw in (
        bundle(x={**ENTRY, "dtype": long}),
        bundle(x={**ENTRY, "shape": [-1] * 100_000}),
        bundle(x={**ENTRY, "shape": deep}),
        bundle(**{long: {**ENTRY, "shape": [3]}}),
        bundle(**{long: ENTRY, "y": ENTRY}),
        pack({"__metadata__": {**MARK, long: "{"}}),
        pack({"__metadata__": {**MARK, "s": f'{{"{long}":1,"{long}":1}}'}}),
        pack({"__metadata__": {long: 1}}),
    ):
        fault(path, raw)


def test_any_changed_byte_is_rejected(path: Path, valid: bytes) -> None:
    for position in range(len(valid)):
        for mask in (1, 128, 0x20, 0x29):  # also the case of a letter; a space into a tab
            altered = bytearray(valid)
            altered[position] ^= mask
            path.write_bytes(altered)
            with pytest.raises(BundleError):
                read(path)


def test_any_cut_and_any_addition_is_rejected(path: Path, valid: bytes) -> None:
    for length in range(len(valid)):
        fault(path, valid[:length], verify=False)
    for addition in (b"\0", b" ", valid):
        fault(path, valid + addition, verify=False)


def test_the_digest_is_skipped_on_request_only(path: Path, valid: bytes) -> None:
    altered = valid[:-3] + bytes([valid[-3] ^ 1]) + valid[-2:]
    assert "the file was altered" in fault(path, altered)
    path.write_bytes(altered)
    assert read(path, verify=False).tensors["w"].shape == (5,)


def test_the_digest_is_found_beside_strings_like_it(path: Path) -> None:
    zeros = "0" * 64
    write(path, {zeros: np.arange(3, dtype=np.int8), 'x"eas.sha256': np.zeros(1, np.int8)}, {"a": zeros})
    assert read(path).metadata == {"a": zeros}


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_random_changes_are_rejected(path: Path, valid: bytes, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(valid)))
    removed = data.draw(st.integers(0, 12))
    altered = valid[:position] + data.draw(st.binary(max_size=12)) + valid[position + removed :]
    survived = survives(path, altered, verify=True)
    assert (survived is not None) == (altered == valid)
    survives(path, altered)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
@example(b"PK\x03\x04" + bytes(40))
def test_random_bytes_are_rejected(path: Path, raw: bytes) -> None:
    assert survives(path, raw, verify=True) is None
    assert survives(path, pack(raw)) is None
    assert survives(path, pack(b'{"' + raw)) is None


sizes = st.integers(-1, 5) | st.sampled_from([2**31, 2**62, 2**63, 2**64, 10**19]) | st.floats() | st.none()
hostile = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["U8", "BOOL", "F32", "F16", "I64", "F64", ""]) | hostile,
        "shape": st.lists(sizes, max_size=4) | hostile,
        "data_offsets": st.tuples(sizes, sizes) | hostile,
    }
)
headers = st.fixed_dictionaries(
    {"__metadata__": st.just(MARK) | st.dictionaries(st.text(max_size=5), hostile, max_size=2).map(MARK.__or__)}
)


@settings(max_examples=300, deadline=None)
@given(headers, st.dictionaries(st.text(max_size=3), entries | hostile, max_size=3), st.binary(max_size=16))
def test_random_headers_are_survived(path: Path, header: Any, tensors: Any, data: bytes) -> None:
    survives(path, pack({**header, **tensors}, data))


def test_a_lying_header_allocates_nothing(path: Path) -> None:
    lies = [
        (2**24).to_bytes(8, "little") + b"{}",
        bundle(x={**ENTRY, "shape": [2**40]}),
        bundle(x={**ENTRY, "shape": [2**40], "data_offsets": [0, 2**40]}),
        bundle(x={**ENTRY, "shape": [0, 2**40], "data_offsets": [0, 0]}),
    ]
    for raw in lies:
        tracemalloc.start()
        fault(path, raw)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak_bytes < 2**20


def test_arrays_are_read_only_views_of_the_file(path: Path) -> None:
    write(path, {"big": np.zeros(2**20, np.float32)}, {})
    tracemalloc.start()
    array = read(path).tensors["big"]
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 2**20  # the tensor has 4 MiB
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.setflags(write=True)


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="needs the list of maps of Linux")
def test_the_map_is_released_with_the_last_array(tmp_path: Path) -> None:
    target = tmp_path / "mapped.eas"
    write(target, {"a": np.arange(9, dtype=np.int32), "b": np.arange(3, dtype=np.int8)}, {})

    def is_mapped() -> bool:
        return str(target) in Path("/proc/self/maps").read_text()

    def is_open() -> bool:
        return any(os.path.realpath(f"/proc/self/fd/{fd}") == str(target) for fd in os.listdir("/proc/self/fd"))

    container: Container | None = read(target)
    assert container is not None
    array = container.tensors["a"]
    container = None
    gc.collect()
    assert is_mapped()
    np.testing.assert_array_equal(array, np.arange(9))
    del array
    gc.collect()
    assert not is_mapped()
    assert not is_open()


def test_a_copy_does_not_need_the_file(tmp_path: Path, valid: bytes) -> None:
    target = tmp_path / "copied.eas"
    target.write_bytes(valid)
    copied, mapped = read(target, copy=True), read(target)
    assert (copied.metadata, copied.sha256) == (mapped.metadata, mapped.sha256)
    assert copied.sha256.encode() in valid
    target.write_bytes(b"")  # which ends programs that have it mapped
    del mapped
    assert copied.tensors["w"].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(BundleError, match="8 bytes of header"):
        read(target, copy=True)


def test_a_missing_file_is_reported_as_such(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent")


def test_other_things_than_files_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a folder"):
        read(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BundleError, match="Not a directory"):
        read(tmp_path / "file" / "x")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(BundleError, match="pipe"):
            read(tmp_path / "pipe")


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs the users of POSIX")
def test_a_file_without_permission_is_named(tmp_path: Path, valid: bytes) -> None:
    target = tmp_path / "secret.eas"
    target.write_bytes(valid)
    target.chmod(0)
    user = os.geteuid()
    if user == 0:  # root may read everything; nobody may not
        os.seteuid(65534)
    try:
        with pytest.raises(BundleError, match=r"secret\.eas.*readable file, but: Permission denied"):
            read(target)
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("wrong", [3, None, b"x".join])
def test_a_path_is_a_path(wrong: Any) -> None:
    with pytest.raises(TypeError):
        read(wrong)
