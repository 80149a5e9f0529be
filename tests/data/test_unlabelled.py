"""A folder of photos that nobody has labelled."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from eas_sdk.errors import DataError
from eas_train.data.imageset import Superclass
from eas_train.data.photoset import UNLABELLED, PhotoSet
from eas_train.data.unlabelled import unlabelled_photos

SUPERCLASSES = (Superclass("pets", ("cat", "dog")),)


def draw(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 7)).save(path)


def names(photos: PhotoSet) -> list[str]:
    return [photos.store.name(i) for i in range(len(photos))]


def test_every_image_below_the_folder_is_taken_in_the_order_of_paths(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/a/deep/1.JPG", "a.jpg", "b/10.webp", "c/1.bmp"):
        draw(tmp_path / name)
    for name in ("b/notes.txt", ".hidden.png", ".cache/x.png", "b/.x.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no image")
    (tmp_path / "folder.png").mkdir()
    photos = unlabelled_photos(tmp_path, SUPERCLASSES)
    assert names(photos) == ["a.jpg", "b/10.webp", "b/2.png", "b/a/deep/1.JPG", "c/1.bmp"]
    assert photos.targets.tolist() == [UNLABELLED] * 5
    assert photos.superclasses == SUPERCLASSES


def test_links_are_followed_and_circles_end(tmp_path: Path) -> None:
    draw(tmp_path / "set" / "a" / "1.png")
    draw(tmp_path / "elsewhere" / "2.png")
    (tmp_path / "set" / "a" / "up").symlink_to(tmp_path / "set", target_is_directory=True)
    (tmp_path / "set" / "b").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "set" / "a", target_is_directory=True)
    (tmp_path / "set" / "self.png").symlink_to(tmp_path / "set" / "self.png")
    (tmp_path / "set" / "gone.png").symlink_to(tmp_path / "gone.png")
    assert names(unlabelled_photos(tmp_path / "set", SUPERCLASSES)) == ["a/1.png", "b/2.png"]


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("no image")
    with pytest.raises(DataError, match=r"holds no images; they may lie at any depth, and end in \.png"):
        unlabelled_photos(tmp_path, SUPERCLASSES)
    with pytest.raises(DataError, match=r"x\.txt is none"):
        unlabelled_photos(tmp_path / "x.txt", SUPERCLASSES)
