"""Writing files: all or nothing, whatever stands at the path, and nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from eas_sdk.bank.atomic import making, write_atomically

posix = pytest.mark.skipif(os.name == "nt", reason="pipes, devices and signals of POSIX")

WRITERS = {
    "file": """
import sys, time
from eas_sdk.bank.atomic import replacing

with replacing(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    print("half", flush=True)
    time.sleep(60)
""",
    "folder": """
import sys, time
from pathlib import Path
from eas_sdk.bank.atomic import making

path = Path(sys.argv[1])
with making(path.parent, path) as folder:
    (folder / "deep").mkdir()
    (folder / "deep" / "file").write_bytes(b"half")
    print("half", flush=True)
    time.sleep(60)
""",
}


def test_a_block_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert write_atomically(path, [b"who", memoryview(b"le")]) == 5

    def parts() -> Iterator[bytes]:
        yield b"half"
        raise OSError("disk full")

    with pytest.raises(OSError, match="cannot write a file here: disk full"):
        write_atomically(path, parts())
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


@posix
def test_a_pipe_and_a_device_are_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        found: list[bytes] = []
        reader = threading.Thread(target=lambda: found.append((tmp_path / "pipe").read_bytes()))  # noqa: B023
        reader.start()
        write_atomically(tmp_path / name, [b"through"])
        reader.join(10)
        assert found == [b"through"]
    (tmp_path / "null").symlink_to(os.devnull)
    write_atomically(tmp_path / "null", [b"away"])
    assert sorted(os.listdir(tmp_path)) == ["link", "null", "pipe"]
    assert (tmp_path / "pipe").is_fifo()
    assert Path(os.devnull).is_char_device()


@posix
def test_a_link_to_itself_is_told_and_kept(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="cannot write a file here: Too many levels"):
        write_atomically(tmp_path / "loop", [b"x"])
    assert (tmp_path / "loop").is_symlink()


@posix
@pytest.mark.parametrize("kind", WRITERS)
def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path: Path, kind: str) -> None:
    theirs, writers = tmp_path / "theirs", []
    theirs.mkdir()
    place = tmp_path / "place"
    place.mkdir()
    for name in ("killed", "alive"):
        command = [sys.executable, "-c", WRITERS[kind], str(place / name)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        writers.append(writer)
    try:
        writers[0].kill()
        writers[0].wait()
        other, link = place / ".eas-0123456789abcdef.tmp.txt", place / ".eas-0123456789abcdef.tmp"
        other.write_bytes(b"of somebody else")
        link.symlink_to(theirs)
        before = sorted(place.iterdir())
        assert len(before) == 4
        write_atomically(place / "file", [b"x"])
        assert sorted(place.iterdir()) == sorted([*before, place / "file"])  # it may be about to be locked
        for path in before:
            os.utime(path, (0, 0))
        write_atomically(place / "file", [b"x"])
        left = set(before) & set(place.iterdir())
        assert len(left) == 3  # that of the living writer is the third one
        assert {other, link} < left
        assert theirs.is_dir()
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
            writer.stdout.close()  # type: ignore[union-attr]


def test_what_is_made_in_a_folder_leaves_it_and_the_rest_is_removed(tmp_path: Path) -> None:
    with making(tmp_path, tmp_path / "mine") as made:
        assert made.parent == tmp_path
        (made / "made").write_bytes(b"made")
        (made / "more").mkdir()
        (made / "made").rename(tmp_path / "mine")
    assert [(f.name, f.read_bytes()) for f in tmp_path.iterdir()] == [("mine", b"made")]
    with pytest.raises(FileNotFoundError, match="cannot write a file here") as caught, making(tmp_path, "mine") as made:
        (made / "missing" / "made").mkdir()
    assert caught.value.filename == "mine"
    with pytest.raises(FileNotFoundError) as caught, making(tmp_path, "mine"):
        (tmp_path / "elsewhere" / "made").mkdir()
    assert caught.value.filename == str(tmp_path / "elsewhere" / "made")
    assert [f.name for f in tmp_path.iterdir()] == ["mine"]
