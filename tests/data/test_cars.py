"""Stanford Cars: its MATLAB files as the devkit has them, and ones that are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eas_sdk.errors import DataError
from eas_train.data.cars import list_cars
from eas_train.data.class_lists import ClassList, ListedClass, read_list
from eas_train.data.imageset import Superclass
from eas_train.data.listing import Listing, as_drawings, as_photos

sio = pytest.importorskip("scipy.io")

NAMES = ["AM General Hummer SUV 2000", "Acura RL Sedan 2012", "Audi R8 Coupe 2012", "BMW X3 SUV 2012"]
CLASSES = ClassList(
    "two",
    "made up",
    (ListedClass("R8 Coupe 2012", NAMES[2], "Audi"), ListedClass("RL Sedan 2012", NAMES[1], "Acura")),
)
TRAIN = [1, 2, 2, 3, 2, 4, 3, 2, 2, 3]  # labels, which count from 1
TEST = [2, 3, 4, 3]


def annotate(path: Path, labels: list[int] | None, count: int, fname: str = "{:05}.jpg") -> None:
    """A file of the devkit: a 1 x N struct array of boxes, the class where there are labels, and the file name."""
    fields = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", *(["class"] if labels else []), "fname"]
    rows = np.empty((1, count), [(name, object) for name in fields])
    for i in range(count):
        label = [np.uint8(labels[i])] if labels else []
        rows[0, i] = (np.uint16(1), np.uint16(1), np.uint16(9), np.uint16(7), *label, fname.format(i + 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    sio.savemat(path, {"annotations": rows})


def meta(path: Path, names: list[Any]) -> None:
    cells = np.empty((1, len(names)), object)
    cells[0, :] = names
    sio.savemat(path, {"class_names": cells})


def names(listing: Listing, split: str) -> list[str]:
    return [file.path.relative_to(listing.top).as_posix() for file in listing.found[split]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    top = tmp_path / "stanford_cars"
    annotate(top / "devkit" / "cars_train_annos.mat", TRAIN, len(TRAIN))
    annotate(top / "devkit" / "cars_test_annos.mat", None, len(TEST))
    annotate(top / "cars_test_annos_withlabels.mat", TEST, len(TEST))
    meta(top / "devkit" / "cars_meta.mat", NAMES)
    for folder, labels in (("cars_train", TRAIN), ("cars_test", TEST)):
        (top / folder).mkdir()
        for i, label in enumerate(labels):
            Image.new("RGB", (12, 8), (40 * label, 0, 0)).save(top / folder / f"{i + 1:05}.jpg")
    return top


@pytest.mark.parametrize("above", [True, False])
def test_images_come_with_the_classes_of_the_annotations(root: Path, above: bool) -> None:
    listing = list_cars(root.parent if above else root, CLASSES)
    assert listing.superclasses == (Superclass("Audi", ("R8 Coupe 2012",)), Superclass("Acura", ("RL Sedan 2012",)))
    splits = as_drawings(listing, 8)
    parts = (splits.train, splits.validation, splits.test)
    assert [np.bincount(p.targets).tolist() for p in parts] == [[2, 4], [1, 1], [2, 1]]
    assert sorted(splits.train.names + splits.validation.names) == [
        f"cars_train/{i + 1:05}.jpg" for i, label in enumerate(TRAIN) if label in (2, 3)
    ]
    assert splits.test.names == ("cars_test/00001.jpg", "cars_test/00002.jpg", "cars_test/00004.jpg")
    for part in parts:
        assert np.abs(part.images[:, 0, 0, 0].astype(int) - np.array([120, 80])[part.targets]).max() <= 3
    photos = as_photos(listing).test
    assert photos.targets.tolist() == splits.test.targets.tolist()
    assert tuple(photos.store.name(i) for i in range(3)) == splits.test.names


def test_the_folder_may_be_the_working_directory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    assert len(list_cars(".", CLASSES).found["test"]) == 3
    monkeypatch.chdir(root.parent)
    assert len(list_cars("", CLASSES).found["test"]) == 3


def test_the_choice_of_validation_follows_the_seed_and_the_share(root: Path) -> None:
    chosen = [names(list_cars(root, CLASSES, seed=seed), "validation") for seed in range(8)]
    assert len({tuple(part) for part in chosen}) > 1
    assert names(list_cars(root, CLASSES, seed=3), "validation") == chosen[3]
    assert len(list_cars(root, CLASSES, validation_share=0.6).found["validation"]) == 2 + 3


def test_what_is_missing_is_told_with_what_must_be_there(root: Path, tmp_path: Path) -> None:
    (root / "cars_test_annos_withlabels.mat").unlink()
    with pytest.raises(DataError, match=r"stanford_cars must hold .*withlabels\.mat.* wrong for the test split:"):
        list_cars(root, CLASSES)
    with pytest.raises(DataError, match=r"nowhere/stanford_cars must hold cars_train/, .* wrong for the train split:"):
        list_cars(tmp_path / "nowhere", CLASSES)


def test_classes_that_the_data_set_lacks_are_named(root: Path) -> None:
    with pytest.raises(DataError, match=r"'car-20' must be .* its 4: Acura Integra Type R 2001, .* and 49 more"):
        list_cars(root, read_list("car-20"))
    hummer = ClassList("one", "made up", (ListedClass("Hummer", NAMES[0], "AM General"),))
    with pytest.raises(DataError, match=rf"cars_test must name images of every class; .* {NAMES[0]}$"):
        list_cars(root, hummer)


def test_missing_images_are_named(root: Path) -> None:
    for name in ("00003.jpg", "00002.jpg", "00001.jpg"):  # the first is of a class that is not read
        (root / "cars_train" / name).unlink()
    with pytest.raises(DataError, match=r"cars_train must hold .*; it lacks 00002\.jpg, 00003\.jpg$"):
        list_cars(root, CLASSES)


@pytest.mark.parametrize("fname", ["../cars_test/{:05}.jpg", "/etc/{:05}.jpg", "x/../{:05}.jpg", "..", ".", "x/{}"])
def test_a_file_outside_of_its_folder_is_refused(root: Path, fname: str) -> None:
    annotate(root / "devkit" / "cars_train_annos.mat", TRAIN, len(TRAIN), fname)
    with pytest.raises(DataError, match=r"must give file names in .*cars_train and classes 1\.\.4; got '/.*' and 1$"):
        list_cars(root, CLASSES)


def test_wrong_annotations_are_refused(root: Path) -> None:
    path = root / "devkit" / "cars_train_annos.mat"
    annotate(path, [5, *TRAIN[1:]], len(TRAIN))
    with pytest.raises(DataError, match=r"classes 1\.\.4; got '.*cars_train/00001\.jpg' and 5$"):
        list_cars(root, CLASSES)
    annotate(path, None, len(TRAIN))
    with pytest.raises(DataError, match=r"wrong for the train split: .*class"):
        list_cars(root, CLASSES)
    for wrong in ({"annotations": np.arange(3)}, {"other": np.arange(3)}):
        sio.savemat(path, wrong)
        with pytest.raises(DataError, match="wrong for the train split:"):
            list_cars(root, CLASSES)


def test_a_cut_file_is_refused_at_every_length(root: Path) -> None:
    path = root / "devkit" / "cars_meta.mat"
    whole = path.read_bytes()
    for length in range(0, len(whole) - 8, max(1, len(whole) // 40)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"devkit/ with cars_meta\.mat .* wrong for the train split:"):
            list_cars(root, CLASSES)
