"""Stanford Cars: its MATLAB files as the devkit has them, and ones that are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eas_sdk.errors import DataError
from eas_train.data.cars import load_cars
from eas_train.data.class_lists import ClassList, ListedClass, read_list
from eas_train.data.imageset import Superclass

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


@pytest.fixture
def root(tmp_path: Path) -> Path:
    annotate(tmp_path / "devkit" / "cars_train_annos.mat", TRAIN, len(TRAIN))
    annotate(tmp_path / "devkit" / "cars_test_annos.mat", None, len(TEST))
    annotate(tmp_path / "cars_test_annos_withlabels.mat", TEST, len(TEST))
    meta(tmp_path / "devkit" / "cars_meta.mat", NAMES)
    for folder, labels in (("cars_train", TRAIN), ("cars_test", TEST)):
        (tmp_path / folder).mkdir()
        for i, label in enumerate(labels):
            Image.new("RGB", (12, 8), (40 * label, 0, 0)).save(tmp_path / folder / f"{i + 1:05}.jpg")
    return tmp_path


def test_images_come_with_the_classes_of_the_annotations(root: Path) -> None:
    splits = load_cars(root, CLASSES, 8)
    assert splits.superclasses == (Superclass("Audi", ("R8 Coupe 2012",)), Superclass("Acura", ("RL Sedan 2012",)))
    parts = (splits.train, splits.validation, splits.test)
    assert [np.bincount(p.targets).tolist() for p in parts] == [[2, 4], [1, 1], [2, 1]]
    assert sorted(splits.train.names + splits.validation.names) == [
        f"cars_train/{i + 1:05}.jpg" for i, label in enumerate(TRAIN) if label in (2, 3)
    ]
    assert splits.test.names == ("cars_test/00001.jpg", "cars_test/00002.jpg", "cars_test/00004.jpg")
    for part in parts:
        assert part.images.shape[1:] == (8, 8, 4)
        assert (part.images[..., 3] == 255).all()
        assert np.abs(part.images[:, 0, 0, 0].astype(int) - np.array([120, 80])[part.targets]).max() <= 3


def test_the_choice_of_validation_follows_the_seed_and_the_share(root: Path) -> None:
    chosen = {load_cars(root, CLASSES, 4, seed=seed).validation.names for seed in range(8)}
    assert len(chosen) > 1
    assert load_cars(root, CLASSES, 4, seed=3).validation.names in chosen
    assert len(load_cars(root, CLASSES, 4, validation_share=0.6).validation) == 2 + 3


def test_test_labels_may_lie_in_the_devkit(root: Path) -> None:
    before = load_cars(root, CLASSES, 4).test
    (root / "cars_test_annos_withlabels.mat").rename(root / "devkit" / "cars_test_annos_withlabels.mat")
    assert load_cars(root, CLASSES, 4).test.names == before.names
    (root / "devkit" / "cars_test_annos_withlabels.mat").rename(root / "devkit" / "cars_test_annos.mat")
    assert load_cars(root, CLASSES, 4).test.names == before.names


def test_test_annotations_without_classes_are_explained(root: Path) -> None:
    (root / "cars_test_annos_withlabels.mat").unlink()
    with pytest.raises(DataError, match=r"cars_test_annos\.mat has bbox_x1, .*fname: get cars_test_annos_withlabels"):
        load_cars(root, CLASSES, 4)
    (root / "devkit" / "cars_test_annos.mat").unlink()
    with pytest.raises(DataError, match=r"devkit/cars_test_annos_withlabels\.mat is missing"):
        load_cars(root, CLASSES, 4)


def test_classes_that_the_data_set_lacks_are_named(root: Path) -> None:
    with pytest.raises(DataError, match=r"'car-20' must be .* its 4: Acura Integra Type R 2001, .* and 49 more"):
        load_cars(root, read_list("car-20"), 4)
    hummer = ClassList("one", "made up", (ListedClass("Hummer", NAMES[0], "AM General"),))
    with pytest.raises(DataError, match=rf"withlabels\.mat must name images of every class; .* {NAMES[0]}$"):
        load_cars(root, hummer, 4)


def test_missing_and_unreadable_images_are_named(root: Path) -> None:
    (root / "cars_train" / "00003.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"cars_train/00003\.jpg cannot be read as an image"):
        load_cars(root, CLASSES, 4)
    for name in ("00003.jpg", "00002.jpg", "00001.jpg"):  # the first is of a class that is not read
        (root / "cars_train" / name).unlink()
    with pytest.raises(DataError, match=r"cars_train must hold .*; it lacks 00002\.jpg, 00003\.jpg$"):
        load_cars(root, CLASSES, 4)


def test_wrong_annotations_are_named(root: Path) -> None:
    path = root / "devkit" / "cars_train_annos.mat"
    annotate(path, [0, *TRAIN[1:]], len(TRAIN))
    with pytest.raises(DataError, match=r"must give classes 1\.\.4 and file names; got 0 and '00001\.jpg'"):
        load_cars(root, CLASSES, 4)
    annotate(path, [5, *TRAIN[1:]], len(TRAIN))
    with pytest.raises(DataError, match="got 5 and"):
        load_cars(root, CLASSES, 4)
    annotate(path, TRAIN, len(TRAIN), fname="../{:05}.jpg")
    with pytest.raises(DataError, match=r"got 1 and '\.\./00001\.jpg'"):
        load_cars(root, CLASSES, 4)
    sio.savemat(path, {"annotations": np.arange(3)})
    with pytest.raises(DataError, match=r"cars_train_annos\.mat has no fields"):
        load_cars(root, CLASSES, 4)
    sio.savemat(path, {"other": np.arange(3)})
    with pytest.raises(DataError, match="must hold the variable 'annotations', and does not"):
        load_cars(root, CLASSES, 4)
    meta(root / "devkit" / "cars_meta.mat", [np.arange(2), "x"])
    with pytest.raises(DataError, match=r"cars_meta\.mat must hold class names"):
        load_cars(root, CLASSES, 4)


def test_a_cut_file_is_named_at_every_length(root: Path) -> None:
    path = root / "devkit" / "cars_meta.mat"
    whole = path.read_bytes()
    for length in range(0, len(whole) - 8, max(1, len(whole) // 40)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"cars_meta\.mat (cannot be read|must hold)"):
            load_cars(root, CLASSES, 4)


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cars_meta\.mat is missing; Stanford Cars has cars_train/"):
        load_cars(tmp_path, CLASSES, 4)
