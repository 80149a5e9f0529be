"""What a caller relies on when writing a bundle: values, bytes, interchange, atomicity."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eas_sdk.bank.container import DTYPES, Container, read
from eas_sdk.bank.container_writer import write
from eas_sdk.errors import InputError

EXAMPLE: dict[str, np.ndarray] = {
    "b.flags": np.array([True, False, True]),
    "a.half": np.array([[1.5, -2.0]], dtype=np.float16),
    "c.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "scalar": np.array(7, dtype=np.int64),
    "none": np.zeros((0, 5), dtype=np.int32),
    "bytes": np.arange(5, dtype=np.uint8),
}
SECTIONS: dict[str, object] = {"task": {"labels": ["cat", "größe 🐱"], "n": 2}, "arch": [3, 1.5, None, True]}

RESERVED = ("__metadata__", "eas.format", "eas.sha256")
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(lambda name: name not in RESERVED)
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | names,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
arrays = hnp.arrays(
    st.sampled_from(sorted(DTYPES.values(), key=str)), hnp.array_shapes(min_dims=0, min_side=0, max_side=4)
)


def assert_same_tensors(actual: Any, expected: Any) -> None:
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert actual[name].shape == array.shape
        assert actual[name].dtype == array.dtype
        assert actual[name].tobytes() == array.tobytes()  # bit for bit: NaN payloads and -0.0 too


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundles")


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(names, arrays, max_size=5), st.dictionaries(names, json_values, max_size=3))
def test_what_is_written_is_read_back(folder: Path, tensors: Any, metadata: Any) -> None:
    path = folder / "any.eas"
    size = write(path, tensors, metadata)
    container = read(path)
    assert size == path.stat().st_size
    assert_same_tensors(container.tensors, tensors)
    assert container.metadata == metadata
    for array in container.tensors.values():
        assert array.flags.aligned
        assert array.flags.c_contiguous
        assert not array.flags.writeable


def test_bytes_are_golden(tmp_path: Path) -> None:
    tensors = {"n": np.array([1, 258], np.int16), "w": np.array(1.0, np.float32)}
    write(tmp_path / "golden.eas", tensors, {"about": {"b": "é", "a": 1}})
    header = (
        '{"__metadata__":{"eas.format":"1","eas.sha256":'
        '"0000000000000000000000000000000000000000000000000000000000000000",'
        '"about":"{\\"a\\":1,\\"b\\":\\"é\\"}"},'
        '"w":{"dtype":"F32","shape":[],"data_offsets":[0,4]},'
        '"n":{"dtype":"I16","shape":[2],"data_offsets":[4,8]}}'
    ).encode()
    golden = b"\x38\x01\0\0\0\0\0\0" + header.ljust(0x138) + bytes.fromhex("0000803f 0100 0201")
    golden = golden.replace(b"0" * 64, hashlib.sha256(golden).hexdigest().encode())
    assert (tmp_path / "golden.eas").read_bytes() == golden


def test_bytes_do_not_depend_on_the_order_of_the_input(tmp_path: Path) -> None:
    sections = {"b": {"y": 1, "x": 2}, "a": 0}
    write(tmp_path / "one", EXAMPLE, sections)
    write(tmp_path / "two", dict(reversed(EXAMPLE.items())), {"a": 0, "b": {"x": 2, "y": 1}})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("length", range(0, 130, 13))
def test_data_starts_at_a_multiple_of_64_bytes(tmp_path: Path, length: int) -> None:
    write(tmp_path / "x", EXAMPLE, {"pad": "x" * length})
    raw = (tmp_path / "x").read_bytes()
    assert (8 + int.from_bytes(raw[:8], "little")) % 64 == 0


def test_layout_and_byte_order_of_the_input_do_not_matter(tmp_path: Path) -> None:
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    given_arrays = {"fortran": np.asfortranarray(base), "strided": base[::-2, ::3], "big": base.astype(">f4")}
    write(tmp_path / "x", given_arrays, {})
    container = read(tmp_path / "x")
    for name, array in given_arrays.items():
        np.testing.assert_array_equal(container.tensors[name], array)
        assert container.tensors[name].dtype == np.float32


def test_the_safetensors_library_reads_what_we_write(tmp_path: Path) -> None:
    safetensors_numpy = pytest.importorskip("safetensors.numpy")
    safetensors = pytest.importorskip("safetensors")
    write(tmp_path / "x", EXAMPLE, SECTIONS)
    assert_same_tensors(safetensors_numpy.load_file(tmp_path / "x"), EXAMPLE)
    with safetensors.safe_open(tmp_path / "x", framework="np") as file:
        strings = file.metadata()
    assert strings.pop("eas.format") == "1"
    assert len(strings.pop("eas.sha256")) == 64
    assert {key: json.loads(text) for key, text in strings.items()} == SECTIONS


def test_we_read_what_the_safetensors_library_writes(tmp_path: Path) -> None:
    safetensors_numpy = pytest.importorskip("safetensors.numpy")
    strings = {"eas.format": "1", "eas.sha256": "0" * 64, "task": '{"labels": ["a"]}'}
    path = tmp_path / "x"
    safetensors_numpy.save_file(EXAMPLE, path, metadata=strings)
    assert_same_tensors(read(path, verify=False).tensors, EXAMPLE)
    # Sealed by the recipe of docs/bundle-format.md.
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"0" * 64, hashlib.sha256(raw).hexdigest().encode()))
    container = read(path)
    assert_same_tensors(container.tensors, EXAMPLE)
    assert container.metadata == {"task": {"labels": ["a"]}}


@pytest.mark.parametrize(
    ("tensors", "metadata", "words"),
    [
        ({"x": np.zeros(2)}, {}, "'x'.*float32.*not float64"),
        ({"x": np.zeros(2, np.uint32)}, {}, "not uint32"),
        ({"x": np.zeros(2, np.complex64)}, {}, "not complex64"),
        ({"x": np.array([object()])}, {}, "not object"),
        ({"x": np.array(["s"])}, {}, "'x'"),
        ({"x": np.zeros(2, [("f", np.float32)])}, {}, "'x'"),
        ({"x": [1.0]}, {}, "numpy array, not list"),
        ({"x": np.float32(1)}, {}, "numpy array, not float32"),
        ({"__metadata__": np.zeros(2, np.int8)}, {}, "__metadata__"),
        ({3: np.zeros(2, np.int8)}, {}, "not 3"),
        ({"\ud800": np.zeros(2, np.int8)}, {}, "valid Unicode"),
        ({}, {"eas.format": 2}, "eas.format"),
        ({}, {"eas.sha256": ""}, "eas.sha256"),
        ({}, {"\udfff": 1}, "valid Unicode"),
        ({}, {"x": float("nan")}, "'x'"),
        ({}, {"x": [float("-inf")]}, "'x'"),
        ({}, {"x": 10**20}, "20 characters"),
        ({}, {"x": {1, 2}}, "set"),
        ({}, {"x": np.float32(1)}, "float32"),
        ({}, {"x": {1: 0, "1": 0}}, "'x'"),
        ({}, {"x": {None: 0, "null": 0}}, "'x'"),
        ({}, {"x": "\ud800"}, "surrogates"),
        ({}, {"x": "x" * 2**24}, "16777216.*tensor"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path: Path, tensors: Any, metadata: Any, words: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(InputError, match=words):
        write(path, tensors, metadata)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_deep_and_circular_metadata_is_refused(tmp_path: Path) -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    circular: list[object] = []
    circular.append(circular)
    for value in (deep, circular):
        with pytest.raises(InputError, match="'x' must be JSON"):
            write(tmp_path / "x", {}, {"x": value})
    assert os.listdir(tmp_path) == []


def test_more_dimensions_than_numpy_1_holds_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "x", {"x": np.zeros((1,) * 32, np.int8)}, {})
    assert read(tmp_path / "x").tensors["x"].ndim == 32
    if int(np.__version__.split(".")[0]) < 2:
        pytest.skip("this numpy makes no array of 33 dimensions")
    with pytest.raises(InputError, match="at most 32 dimensions, not 33"):
        write(tmp_path / "x", {"x": np.zeros((1,) * 33, np.int8)}, {})


def test_a_bundle_can_be_rewritten_from_its_own_arrays(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write(path, EXAMPLE, SECTIONS)
    first = read(path)
    write(path, {name: first.tensors[name] for name in ("c.weight", "bytes")}, {"version": 2})
    second = read(path)
    assert second.metadata == {"version": 2}
    np.testing.assert_array_equal(second.tensors["c.weight"], EXAMPLE["c.weight"])
    assert_same_tensors(first.tensors, EXAMPLE)  # the old map still shows the old file


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_a_failure_keeps_the_old_file_and_leaves_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    path = tmp_path / "x"
    write(path, EXAMPLE, {"version": 1})

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(error)):
        write(path, {}, {"version": 2})
    monkeypatch.undo()
    assert read(path).metadata == {"version": 1}
    assert os.listdir(tmp_path) == ["x"]


def test_a_full_disk_keeps_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    path = tmp_path / "x"
    write(path, EXAMPLE, SECTIONS)
    script = f"""
        import resource
        import numpy as np
        from eas_sdk.bank.container_writer import write

        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            write({str(path)!r}, {{"x": np.zeros(100_000, np.float32)}}, {{}})
        except OSError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert "cannot write a file here: File too large" in done.stdout
    assert str(path) in done.stdout
    assert_same_tensors(read(path).tensors, EXAMPLE)
    assert os.listdir(tmp_path) == ["x"]


def test_an_unwritable_target_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for target in (tmp_path / "absent" / "x", tmp_path / "file" / "x", tmp_path / "folder"):
        with pytest.raises(OSError, match="cannot write") as caught:
            write(target, {}, {})
        assert caught.value.filename == str(target)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


@pytest.mark.skipif(os.name == "nt", reason="symbolic links and file modes of POSIX")
def test_links_are_followed_and_the_umask_applies(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "store" / "x")
    old = os.umask(0o027)
    try:
        write(tmp_path / "link", EXAMPLE, {})
    finally:
        os.umask(old)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "store" / "x").stat().st_mode & 0o777 == 0o640
    assert isinstance(read(tmp_path / "link"), Container)
