"""Folders of images: the layouts that are read, and the ones that are refused by name."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eas_sdk.errors import DataError, InputError
from eas_train.data.imageset import ImageSet, Superclass
from eas_train.data.listing import as_drawings
from eas_train.data.own_photos import list_others, list_own
from eas_train.data.photo import read_square
from eas_train.data.splits import Splits

TREE = {"pets": {"cat": 3, "dog": 10}, "sky": {"sun": 20}}


def draw(path: Path, size: tuple[int, int] = (8, 8), mode: str = "RGB", colour: object = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)  # type: ignore[arg-type]  # any colour that suits the mode


def grow(root: Path, tree: dict[str, dict[str, int]] = TREE) -> Path:
    for superclass, classes in tree.items():
        for class_name, count in classes.items():
            for i in range(count):
                draw(root / superclass / class_name / f"{i:02}.png", colour=(i, len(class_name), 0))
    return root


def load_folder(root: Path, size: int = 8, seed: int = 0) -> Splits[ImageSet]:
    return as_drawings(list_own(root, seed), size)


def parts(splits: Splits[ImageSet]) -> list[ImageSet]:
    return [splits.train, splits.validation, splits.test]


def test_divides_each_class_and_uses_every_image_once(tmp_path: Path) -> None:
    splits = load_folder(grow(tmp_path / "data"), size=8)
    assert splits.superclasses == (Superclass("pets", ("cat", "dog")), Superclass("sky", ("sun",)))
    counts = [[int((part.targets == c).sum()) for c in range(3)] for part in parts(splits)]
    assert counts == [[1, 6, 14], [1, 2, 3], [1, 2, 3]]
    names = [n for part in parts(splits) for n in part.names]
    assert sorted(names) == sorted(
        f"{s}/{c}/{i:02}.png" for s, classes in TREE.items() for c, count in classes.items() for i in range(count)
    )
    for part in parts(splits):
        assert set(part.sources) == {"data"}
        for image, target, name in zip(part.images, part.targets, part.names, strict=True):
            assert splits.classes[target] == name.split("/")[1]
            assert image[0, 0].tolist() == [int(name[-6:-4]), len(name.split("/")[1]), 0, 255]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names of files are text there")
@pytest.mark.parametrize("name", ["pets/k\udce4tzchen", "k\udce4fer/bee"])
def test_a_folder_that_is_not_named_in_utf_8_is_refused_before_any_training(tmp_path: Path, name: str) -> None:
    grow(tmp_path)
    for i in range(3):
        draw(tmp_path / name / f"{i}.png")
    with pytest.raises(DataError, match=r"text in UTF-8, folders' too; got 'k\\udce4"):
        list_own(tmp_path, 0)


def test_the_division_follows_the_seed_and_a_class_does_not_depend_on_others(tmp_path: Path) -> None:
    root = grow(tmp_path / "data")
    first, again, other = (load_folder(root, 8, seed) for seed in (1, 1, 2))
    assert [p.names for p in parts(first)] == [p.names for p in parts(again)]
    assert first.test.names != other.test.names
    shutil.rmtree(root / "pets")
    alone = load_folder(root, 8, 1)
    assert alone.test.names == tuple(n for n in first.test.names if n.startswith("sky"))


def test_uses_splits_that_are_there(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        grow(tmp_path / split, {"pets": {"cat": 1, "dog": 2}})
    shutil.rmtree(tmp_path / "test" / "pets" / "cat")
    splits = load_folder(tmp_path, 8)
    assert splits.classes == ("cat", "dog")
    assert splits.train.names == ("train/pets/cat/00.png", "train/pets/dog/00.png", "train/pets/dog/01.png")
    assert splits.test.targets.tolist() == [1, 1]


def test_a_superclass_may_be_called_train(tmp_path: Path) -> None:
    splits = load_folder(grow(tmp_path, {"train": {"steam": 3}, "boat": {"ferry": 3}}), 8)
    assert [s.name for s in splits.superclasses] == ["boat", "train"]


def test_a_class_may_be_called_like_an_image(tmp_path: Path) -> None:
    assert load_folder(grow(tmp_path, {"icons": {"logo.png": 3}}), 8).classes == ("logo.png",)


def test_many_images_show_their_progress(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_folder(grow(tmp_path / "few", {"s": {"c": 10}}), 2)
    assert capsys.readouterr() == ("", "")
    load_folder(grow(tmp_path / "many", {"s": {"c": 400}}), 2)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "400/400" in shown.err


def test_every_format_is_read_whatever_the_case(tmp_path: Path) -> None:
    for i, suffix in enumerate(("png", "jpg", "jpeg", "webp", "bmp", "PNG", "JPG")):
        draw(tmp_path / "s" / "c" / f"{i}.{suffix}", (9, 5), colour=(200, 100, 50))
    splits = load_folder(tmp_path, 4)
    images = np.concatenate([p.images for p in parts(splits)])
    assert images.shape == (7, 4, 4, 4)
    assert np.abs(images.astype(int) - (200, 100, 50, 255)).max() <= 4


def test_other_files_and_hidden_ones_are_passed_over(tmp_path: Path) -> None:
    root = grow(tmp_path, {"s": {"c": 3}})
    for path in (
        "notes.txt",
        ".DS_Store",
        ".cache/x/y.png",
        "s/readme.md",
        "s/c/.hidden.png",
        "s/c/labels.csv",
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("no image")
    assert sum(len(p) for p in parts(load_folder(root, 8))) == 3


def test_wrong_layouts_name_the_path(tmp_path: Path) -> None:
    def refused(message: str) -> None:
        with pytest.raises(DataError, match=message):
            load_folder(root, 8)
        shutil.rmtree(root)

    root = tmp_path / "data"
    with pytest.raises(DataError, match="is neither"):
        load_folder(root)
    root.mkdir()
    refused("data holds no images; they must lie in class/image or in superclass/class/image")
    grow(root, {"s": {"c": 3}})
    draw(root / "stray.png")
    refused(r"stray\.png does not")
    grow(root, {"s": {"c": 3}})
    draw(root / "s" / "stray.jpg")
    refused("s holds images, and .*s folders")
    grow(root, {"s": {"c": 3}})
    draw(root / "s" / "c" / "deep" / "x.png")
    refused("s/c/deep lies")
    grow(root, {"s": {"c": 3}})
    (root / "s" / "empty").mkdir()
    refused(r"class folder .*s/empty holds no image; allowed are \.png")
    grow(root, {"s": {"c": 3}, "t": {"c": 3}})
    refused("a class must have one superclass; 'c' is of 's' in .*s/c and of 't' in .*t/c")
    grow(root, {"s": {"c": 3, "few": 2, "one": 1}})
    refused(r"at least 3 images, .* too few: few \(2\), one \(1\)")
    for split in ("train", "validation", "test", "extra"):
        grow(root / split, {"s": {"c": 3}})
    refused("train, val and test, and no other folder; .* has extra")
    for split in ("train", "validation", "test"):
        grow(root / split, {"s": {"c": 3}})
    grow(root / "test", {"s": {"new": 1}})
    refused("every class must have training images; of these .* has none: new")
    for split, superclass in (("train", "s"), ("validation", "s"), ("test", "other")):
        grow(root / split, {superclass: {"c": 3}})
    refused("'c' is of 's' in .*train/s/c and of 'other' in .*test/other/c")


def test_an_unreadable_image_is_named_at_every_length(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    for suffix in ("png", "jpg", "webp", "bmp"):
        path = tmp_path / f"x.{suffix}"
        noise.save(path)
        whole = path.read_bytes()
        for length in range(0, len(whole) - 20, max(1, len(whole) // 40)):
            path.write_bytes(whole[:length])
            with pytest.raises(DataError, match=rf"x\.{suffix} cannot be read as an image"):
                read_square(path, 8)


def test_a_photograph_is_cropped_to_its_centre(tmp_path: Path) -> None:
    photo = np.zeros((10, 30, 3), np.uint8)
    photo[:, 10:20] = (0, 200, 0)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    assert (read_square(tmp_path / "photo.png", 10) == (0, 200, 0, 255)).all()


def test_a_drawing_with_alpha_is_kept_whole_in_a_transparent_square(tmp_path: Path) -> None:
    drawing = np.zeros((10, 30, 4), np.uint8)
    drawing[:, 1:] = (200, 0, 0, 128)
    Image.fromarray(drawing).save(tmp_path / "drawing.png")
    square = read_square(tmp_path / "drawing.png", 30)
    assert (square[:10, :, 3] == 0).all()
    assert (square[20:, :, 3] == 0).all()
    assert (square[10:20, 1:] == (200, 0, 0, 128)).all()


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    photo = Image.new("RGB", (20, 20), (0, 0, 200))
    photo.paste((200, 0, 0), (0, 0, 20, 10))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    photo.save(tmp_path / "photo.png", exif=exif)
    square = read_square(tmp_path / "photo.png", 20)
    assert square[0, 0].tolist() == [0, 0, 200, 255]
    assert square[19, 0].tolist() == [200, 0, 0, 255]


def test_every_colour_mode_becomes_rgba(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 128 << 8, np.uint16)).save(tmp_path / "deep.png")
    Image.new("L", (4, 4), 128).save(tmp_path / "grey.png")
    Image.new("1", (4, 4), 1).save(tmp_path / "bit.png")
    Image.new("CMYK", (4, 4), (0, 0, 0, 127)).save(tmp_path / "cmyk.jpg")
    Image.new("P", (4, 4), 0).save(tmp_path / "palette.png")
    for name, value in (
        ("deep.png", 128),
        ("grey.png", 128),
        ("bit.png", 255),
        ("cmyk.jpg", 128),
        ("palette.png", 0),
    ):
        assert np.abs(read_square(tmp_path / name, 4).astype(int) - (value, value, value, 255)).max() <= 2, name


def test_size_must_be_positive(tmp_path: Path) -> None:
    draw(tmp_path / "x.png")
    with pytest.raises(InputError, match="at least 1 pixel, got 0"):
        read_square(tmp_path / "x.png", 0)
    with pytest.raises(InputError, match="at least 1 pixel, got -1"):
        load_folder(grow(tmp_path / "data"), -1)


def test_other_classes_are_of_the_same_superclasses_or_of_none(tmp_path: Path) -> None:
    known = (Superclass("pets", ("cat", "dog")), Superclass("sky", ("sun",)))
    tree = {"sky": {"moon": 3}, "none": {"fork": 4, "cup": 3}}
    found = as_drawings(list_others(grow(tmp_path / "others", tree), known), 8)
    assert found.superclasses == (
        Superclass("pets", ()),
        Superclass("sky", ("moon",)),
        Superclass("none", ("cup", "fork")),
    )
    names = [n for part in parts(found) for n in part.names]
    assert len(names) == 10
    for part in parts(found):
        for target, name in zip(part.targets, part.names, strict=True):
            assert found.classes[target] == name.split("/")[1]
    with pytest.raises(DataError, match=r"\(pets, sky\), or 'none'.*has cars"):
        list_others(grow(tmp_path / "odd", {"cars": {"bus": 3}}), known)
