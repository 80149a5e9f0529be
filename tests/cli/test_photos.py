"""The photos that ship: they are read, they are of classes that the photo bank knows, and it is told whose they are."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import pytest

from eas_sdk.image_file import read_image

PHOTOS = Path(str(importlib.resources.files("eas_sdk") / "assets" / "photos"))
FILES = sorted(PHOTOS.glob("*/*.jpg"))


def test_there_are_enough_photos_of_enough_kinds() -> None:
    assert len(FILES) >= 24
    assert len({path.parent.name for path in FILES}) >= 8


def test_every_photo_has_a_line_that_says_whose_it_is() -> None:
    rows = [line.split("|") for line in (PHOTOS / "ATTRIBUTION.md").read_text("utf-8").splitlines() if ".jpg" in line]
    told = {row[1].strip(): [cell.strip() for cell in row[2:6]] for row in rows}
    assert set(told) == {f"{path.parent.name}/{path.name}" for path in FILES}
    allowed = ("public domain", "CC0-1.0", "CC-BY-", "MIT")
    for name, (title, author, licence, source) in told.items():
        assert title, name
        assert author, name
        assert source.startswith(("http", "PyPI package", "Debian package")), name
        assert licence.startswith(allowed), name
        assert not licence.startswith("CC-BY") or author != "not stated", name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_photo_is_a_small_square_of_a_class_of_imagenet(path: Path) -> None:
    pixels = read_image(path)
    assert pixels.shape == (224, 224, 3)
    assert path.stat().st_size < 40_000
    assert b"Exif" not in path.read_bytes()[:4096]


def test_their_folders_are_superclasses_and_their_names_classes() -> None:
    read_list = pytest.importorskip("eas_train.data.class_lists").read_list
    known = {(c.superclass, c.name) for c in read_list("imagenet").classes}
    assert {(path.parent.name, path.stem) for path in FILES} <= known
