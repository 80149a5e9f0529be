"""Files that are there twice: which one is kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eas_sdk.errors import DataError
from eas_train.data.copies import without_copies
from eas_train.data.listing import Found


def write(folder: Path, contents: dict[str, bytes]) -> list[Found]:
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [Found("s", "c", folder / name) for name in contents]


def kept(*parts: list[Found]) -> list[list[str]]:
    return [[file.path.name for file in part] for part in without_copies(parts)]


def test_the_first_of_equal_files_is_kept_within_a_part_and_across_parts(tmp_path: Path) -> None:
    test = write(tmp_path, {"a": b"one", "b": b"two", "c": b"one"})
    train = write(tmp_path, {"d": b"three", "e": b"two", "f": b"three", "g": b"alone, and longer"})
    assert kept(test, train) == [["a", "b"], ["d", "g"]]
    assert kept(train, test) == [["d", "e", "g"], ["a"]]


def test_files_of_one_length_but_other_content_are_no_copies(tmp_path: Path) -> None:
    assert kept(write(tmp_path, {"a": b"12", "b": b"21", "c": b"", "d": b"1"})) == [["a", "b", "c", "d"]]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_only_files_of_equal_length_are_read(tmp_path: Path) -> None:
    alone = write(tmp_path, {"a": b"12"})
    os.mkfifo(tmp_path / "b")  # to read it would never end
    assert kept([*alone, Found("s", "c", tmp_path / "b")]) == [["a", "b"]]


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone cannot be read"):
        kept([Found("s", "c", tmp_path / "gone")])
