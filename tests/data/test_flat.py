"""Class folders with a class list: names or ids, divided or not, and folders that are wrong."""

from __future__ import annotations

import json
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eas_sdk.errors import DataError
from eas_train.data.class_lists import ClassList, ListedClass, read_list
from eas_train.data.flat import list_flat
from eas_train.data.imageset import ImageSet, Superclass
from eas_train.data.listing import as_drawings
from eas_train.data.own_photos import list_own
from eas_train.data.splits import Splits

CLASSES = ClassList(
    "mine",
    "made up",
    (ListedClass("sun", "s1", "sky"), ListedClass("dog", "p1", "pets"), ListedClass("cat", "p2", "pets")),
)


def load_flat(root: Path, classes: ClassList, size: int, seed: int = 0) -> Splits[ImageSet]:
    return as_drawings(list_flat(root, classes, seed), size)


def grow(root: Path, counts: dict[str, int]) -> Path:
    for folder, count in counts.items():
        for i in range(count):
            path = root / folder / f"{i:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (6, 4), (i, len(folder), 0)).save(path)
    return root


def test_folders_bear_names_or_ids_and_the_list_orders_them(tmp_path: Path) -> None:
    splits = load_flat(grow(tmp_path / "data", {"cat": 3, "p1": 10, "sun": 20}), CLASSES, 8)
    assert splits.superclasses == (Superclass("sky", ("sun",)), Superclass("pets", ("dog", "cat")))
    parts = (splits.train, splits.validation, splits.test)
    assert [np.bincount(p.targets).tolist() for p in parts] == [[14, 6, 1], [3, 2, 1], [3, 2, 1]]
    folder_of = {"sun": "sun", "dog": "p1", "cat": "cat"}
    names = [n for p in parts for n in p.names]
    assert len(set(names)) == 33
    for part in parts:
        assert set(part.sources) == {"data"}
        for image, target, name in zip(part.images, part.targets, part.names, strict=True):
            assert name.split("/")[0] == folder_of[splits.classes[target]]
            assert image[0, 0].tolist() == [int(name[-6:-4]), len(name.split("/")[0]), 0, 255]


def test_a_folder_and_the_list_may_write_a_name_in_different_forms(tmp_path: Path) -> None:
    nfc, nfd = (unicodedata.normalize(form, "pâté") for form in ("NFC", "NFD"))
    tree = {"name": "m", "source": "s", "superclasses": [{"name": "x", "classes": [{"name": nfd, "id": "1"}]}]}
    (tmp_path / "list.json").write_text(json.dumps(tree), encoding="utf-8")
    for i, form in enumerate((nfc, nfd)):
        listing = list_flat(grow(tmp_path / str(i), {form: 3}), read_list(tmp_path / "list.json"))
        assert listing.superclasses == (Superclass("x", (nfc,)),)


def test_classes_are_divided_as_in_a_folder_with_superclasses(tmp_path: Path) -> None:
    flat = load_flat(grow(tmp_path / "flat", {"cat": 10, "dog": 10, "sun": 10}), CLASSES, 4, seed=3)
    deep = list_own(grow(tmp_path / "deep", {"pets/cat": 10, "pets/dog": 10, "sky/sun": 10}), seed=3)
    assert set(flat.test.names) == {"/".join(file.path.parts[-2:]) for file in deep.found["test"]}
    assert load_flat(tmp_path / "flat", CLASSES, 4, seed=4).test.names != flat.test.names


def test_splits_that_are_there_are_used_and_only_training_must_be_complete(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        grow(tmp_path / split, {"sun": 1, "dog": 2, "cat": 1})
    shutil.rmtree(tmp_path / "test" / "cat")
    splits = load_flat(tmp_path, CLASSES, 4)
    assert splits.test.names == ("test/sun/00.png", "test/dog/00.png", "test/dog/01.png")
    assert splits.test.targets.tolist() == [0, 1, 1]
    shutil.rmtree(tmp_path / "train" / "cat")
    with pytest.raises(DataError, match=r"folders of .*train must bear .* of 'mine'; missing: cat$"):
        load_flat(tmp_path, CLASSES, 4)


def test_wrong_and_missing_folders_are_named(tmp_path: Path) -> None:
    root = tmp_path / "data"

    def refused(message: str) -> None:
        with pytest.raises(DataError, match=message):
            load_flat(root, CLASSES, 4)
        shutil.rmtree(root, ignore_errors=True)

    refused("data must be a folder of class folders, and it is no folder")
    root.mkdir()
    refused("missing: cat, dog, sun$")
    grow(root, {"sun": 3, "dogg": 3, "cat": 3})
    refused("'mine'; not on the list: dogg; missing: dog$")
    grow(root, {"sun": 3, "dog": 3, "cat": 3, "cow": 3})
    refused("'mine'; not on the list: cow$")
    grow(root, {"sun": 3, "dog": 3, "cat": 3, "p1": 3})
    refused("a class must have one folder; 'dog' has .*data/dog and .*data/p1")
    grow(root, {"sun": 3, "dog": 2, "cat": 3})
    refused(r"at least 3 images, .* too few: dog \(2\)")
    grow(root, {"sun": 3, "dog": 3, "cat": 3, ".": 1})
    refused(r"images must lie in class folders below .*, and .*data/00\.png does not")
    grow(root, {"sun": 3, "dog": 3, "cat/deep": 3})
    refused("cat/deep lies one level too deep")
    grow(root, {"sun": 3, "dog": 3, "cat": 3})
    for image in (root / "cat").iterdir():
        image.unlink()
    refused("class folder .*cat holds no image")
    grow(root, {"sun": 3, "dog": 3, "cat": 3})
    (root / "cat" / "01.png").write_bytes(b"no image")
    refused(r"cat/01\.png cannot be read as an image")
    for split in ("train", "validation", "test"):
        grow(root / split, {"sun": 1, "dog": 1, "cat": 1})
    shutil.rmtree(root / "test")
    (root / "test").mkdir()
    refused("test holds no images; they must lie in class folders")


def test_a_name_that_is_its_own_id_is_one_folder(tmp_path: Path) -> None:
    classes = ClassList("same", "made up", (ListedClass("sun", "sun", "sky"),))
    assert len(load_flat(grow(tmp_path, {"sun": 4}), classes, 4).train) == 2
