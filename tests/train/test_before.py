"""Images that are looked at before a training: what is the same, what is remembered, what comes first."""

from __future__ import annotations

import dataclasses
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from scenes import ODD, copy, scene, spoil, tree

pytest.importorskip("torch")

import eas_train
from eas_train.before.alike import MOST_BITS, alike
from eas_train.before.look import Look, look, seems_whole
from eas_train.before.looks import doubtful_first, look_at


def seen(path: Path, image: Image.Image, **options: object) -> Look:
    image.save(path, **options)
    return look(path, digest=True)


def same(*looks: Look) -> bool:
    return alike(looks) == [list(range(len(looks)))]


@pytest.mark.parametrize(
    ("suffix", "size", "quality"),
    [(".jpg", (400, 300), 30), (".jpg", (90, 67), 90), (".jpg", (1200, 900), 80), (".webp", (300, 225), 50)],
)
def test_a_photo_is_the_same_at_another_size_and_compressed_again(
    tmp_path: Path, suffix: str, size: tuple[int, int], quality: int
) -> None:
    for seed in range(20):
        one = seen(tmp_path / "one.jpg", scene(seed, (400, 300)), quality=95)
        other = seen(tmp_path / f"other{suffix}", scene(seed, (400, 300)).resize(size), quality=quality)
        assert one.digest != other.digest
        assert same(one, other)


def test_a_photo_is_the_same_however_it_is_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn, to be done by whoever shows it
    turned = scene(0).transpose(Image.Transpose.ROTATE_90)
    lying = seen(tmp_path / "lying.jpg", turned, exif=exif, quality=90)
    assert ImageOps.exif_transpose(turned) is not None
    assert same(seen(tmp_path / "upright.jpg", scene(0), quality=90), lying)


def test_other_photos_other_colours_and_plain_images_are_not_the_same(tmp_path: Path) -> None:
    looks = [seen(tmp_path / "a.png", scene(seed)) for seed in range(300)]
    assert alike(looks) == []
    red = scene(0).getchannel("R")
    other = Image.merge("RGB", (red, red, red)), Image.merge("RGB", (red, red, red.point(lambda v: v // 2)))
    assert not same(*(seen(tmp_path / "a.png", image) for image in other))
    plain = [seen(tmp_path / "a.png", Image.new("L", (90, 90), grey)) for grey in (250, 252, 250)]
    assert alike(plain) == [[0, 2]], "only where they are the same file"


def test_of_many_all_that_differ_in_few_bits_are_found() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (3000, 256), dtype=np.uint8)
    for i in range(100):  # each a copy of another, with up to so many bits changed
        bits[i] = bits[2900 + i]
        bits[i, rng.choice(256, i % (MOST_BITS + 1), replace=False)] ^= 1
    grey = bytes([99, 99, 99])
    assert alike([Look("", bytes(np.packbits(row)) + grey) for row in bits]) == [[i, 2900 + i] for i in range(100)]


def test_one_leads_to_the_next() -> None:
    looks = [Look("", bytes([(1 << min(i, 8)) - 1]) + bytes(31) + bytes(3)) for i in range(9)]
    assert same(*looks, *[looks[0]] * 5000)


def test_what_was_looked_at_is_remembered_until_it_changes(tmp_path: Path) -> None:
    top = tree(tmp_path / "photos", "a")
    files = sorted(top.rglob("*.jpg"))
    first = look_at(top, files)
    states = {path: path.stat() for path in files}
    for path, state in states.items():  # nothing is there to be read
        path.write_bytes(bytes(state.st_size))
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert look_at(top, files) == first
    os.utime(files[0], ns=(0, states[files[0]].st_mtime_ns + 1))
    files[1].write_bytes(b"longer" * 9999)
    now = look_at(top, files)
    assert [bool(now[path].error) for path in files] == [True, True] + [False] * 10


def test_what_could_not_be_read_is_tried_again(tmp_path: Path) -> None:
    top = tree(tmp_path / "photos", "a")
    file = top / "a" / "00.jpg"
    target = tmp_path / "elsewhere.jpg"
    file.rename(target)
    file.symlink_to(tmp_path / "nowhere.jpg")
    assert look_at(top, [file])[file].error == "No such file or directory"
    target.rename(tmp_path / "nowhere.jpg")
    assert look_at(top, [file])[file].error == ""
    other = top / "a" / "01.jpg"
    content, state = other.read_bytes(), other.stat()
    nothing = bytes(len(content))
    for written, error in ((nothing, True), (nothing, True), (content, False)):
        other.write_bytes(written)
        os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
        assert bool(look_at(top, [other])[other].error) == error


@pytest.mark.parametrize("content", [b"", b"no gzip", b"\x1f\x8b\x08\x00cut"])
def test_a_memory_that_cannot_be_read_or_written_is_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    top = tree(tmp_path / "photos", "a", each=3)
    files = sorted(top.rglob("*.jpg"))
    first = look_at(top, files)
    (kept,) = (Path(os.environ["EAS_CACHE_DIR"]) / "looks").iterdir()
    kept.write_bytes(content)
    assert look_at(top, files) == first
    (tmp_path / "file").touch()
    monkeypatch.setenv("EAS_CACHE_DIR", str(tmp_path / "file"))
    assert look_at(top, files) == first


def test_files_that_do_not_end_as_they_should_come_first(tmp_path: Path) -> None:
    top = tree(tmp_path / "photos", "a")
    for name in ("fine.png", "fine.gif", "fine.webp", "fine.bmp"):
        scene(1).save(top / "a" / name)
    fine = sorted((top / "a").iterdir())
    assert all(map(seems_whole, fine))
    broken = {top / "a" / name for name in spoil(top / "a")}
    (top / "a" / "cut.gif").write_bytes((top / "a" / "fine.gif").read_bytes()[:-40])
    broken.add(top / "a" / "cut.gif")
    order = doubtful_first([*fine, *sorted(broken)], math.inf)
    assert set(order[:4]) == broken
    assert order[4:] == fine
    assert doubtful_first([*fine, *sorted(broken)], -math.inf) == [*fine, *sorted(broken)], "where there is no time"


def test_a_check_from_python(tmp_path: Path) -> None:
    top = tree(tmp_path / "photos", "duck", ODD)
    found = eas_train.check(top)
    assert found.ok
    assert repr(found) == f"<Check '{top}': 24 images of 2 classes, 1 warnings, ok>"
    assert found.images == {"train": 16, "validation": 4, "test": 4}
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.path = top  # type: ignore[misc]
    spoil(top / "duck")
    copy(top / "duck" / "00.jpg", top / ODD / "copy.jpg")
    found = eas_train.check(str(top))
    assert (found.ok, len(found.unreadable), len(found.copies)) == (False, 3, 1)
    assert found.copies[0].classes == {"duck", ODD}
    assert "3 unreadable" in repr(found)
    html = found._repr_html_()
    assert html.count("<table") == 2
    assert not re.search(r"<(html|head|body|script|b)\b", html)
    page = tmp_path / "page.html"
    assert eas_train.check(top, page=page) == found
    assert page.is_file()


def test_without_what_cannot_be_read_too_little_may_be_left(tmp_path: Path) -> None:
    top = tree(tmp_path / "photos", "duck", "owl", each=5)
    for name in ("00.jpg", "01.jpg", "02.jpg"):
        (top / "owl" / name).write_bytes(b"")
    found = eas_train.check(top)
    assert len(found.problems) == 2
    assert "without those: a class must have at least 3 images" in found.problems[1]


@pytest.mark.skipif(os.name != "posix", reason="file systems that take any bytes for a name")
def test_names_of_files_may_be_no_text(tmp_path: Path) -> None:
    top = tree(tmp_path / "photos", "duck", "owl")
    odd = top / "owl" / os.fsdecode(b"caf\xe9.jpg")
    odd.write_bytes(b"")
    copy(top / "duck" / "00.jpg", top / "owl" / os.fsdecode(b"\xff.jpg"))
    found = eas_train.check(top, page=tmp_path / "page.html")
    assert found.unreadable[0].file == f"owl/{odd.name}"
    assert "owl/caf?.jpg" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "owl/caf?.jpg" in found._repr_html_()
