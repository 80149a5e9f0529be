"""ImageNet's folders: which images become which split, and what is said where a class is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eas_sdk.errors import DataError, InputError
from eas_train.data.class_lists import ClassList, ListedClass, read_list
from eas_train.data.imagenet import list_imagenet
from eas_train.data.imageset import Superclass
from eas_train.data.listing import Listing, as_drawings, as_photos

CLASSES = ClassList(
    "three",
    "made up",
    (
        ListedClass("tench", "n01440764", "fish"),
        ListedClass("ray", "n01498041", "fish"),
        ListedClass("cock", "n3", "b"),
    ),
)
COUNTS = {"n01440764": 20, "n01498041": 10, "n3": 2, "n9": 4}  # n9 is not on the list


def names(listing: Listing, split: str) -> list[str]:
    return [file.path.name for file in listing.found[split]]


def draw(path: Path, grey: int, size: tuple[int, int] = (12, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (grey, grey, grey)).save(path, "JPEG")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for k, (wnid, count) in enumerate(COUNTS.items()):
        for i in range(count):
            draw(tmp_path / "train" / wnid / f"{wnid}_{i}.JPEG", 40 * k)
        for i in range(3):
            draw(tmp_path / "val" / wnid / f"ILSVRC2012_val_{i:08}.JPEG", 40 * k)
    return tmp_path


def test_val_is_the_test_split_and_a_share_of_train_validates(root: Path) -> None:
    splits = as_drawings(list_imagenet(root, CLASSES, validation_share=0.3), 8)
    assert splits.superclasses == (Superclass("fish", ("tench", "ray")), Superclass("b", ("cock",)))
    counts = [np.bincount(p.targets, minlength=3).tolist() for p in (splits.train, splits.validation, splits.test)]
    assert counts == [[14, 7, 1], [6, 3, 1], [3, 3, 3]]
    assert sorted(splits.train.names + splits.validation.names) == sorted(
        f"train/{c.id}/{c.id}_{i}.JPEG" for c in CLASSES.classes for i in range(COUNTS[c.id])
    )
    assert all(name.startswith("val/") for name in splits.test.names)
    for part in (splits.train, splits.validation, splits.test):
        assert part.images.shape[1:] == (8, 8, 4)
        assert (part.images[..., 3] == 255).all()
        for image, target, name in zip(part.images, part.targets, part.names, strict=True):
            assert CLASSES.classes[target].id == name.split("/")[1]
            assert abs(int(image[0, 0, 0]) - 40 * target) <= 2
            assert set(part.sources) == {root.name}


def test_the_choice_of_validation_follows_the_seed_and_not_other_classes(root: Path) -> None:
    first, again, other = (names(list_imagenet(root, CLASSES, seed=seed), "validation") for seed in (1, 1, 2))
    assert first == again
    assert first != other
    alone = ClassList("one", "made up", CLASSES.classes[1:2])
    chosen = names(list_imagenet(root, alone, validation_share=0.15, seed=1), "validation")
    assert chosen == [n for n in first if "n01498041" in n]


def test_by_default_few_images_give_15_percent_and_many_give_10_000(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(list_imagenet(root, CLASSES).found["validation"]) == 3 + 2 + 1
    monkeypatch.setattr("eas_train.data.imagenet.VALIDATION_IMAGES", 3.2)  # a tenth of the 32
    assert len(list_imagenet(root, CLASSES).found["validation"]) == 2 + 1 + 1


def test_missing_classes_are_named_in_order_and_counted_past_ten(root: Path) -> None:
    shutil.rmtree(root / "val" / "n3")
    shutil.rmtree(root / "val" / "n01498041")
    with pytest.raises(DataError, match=r"val must hold .* 'three'; it lacks n01498041 \(ray\), n3 \(cock\)$"):
        list_imagenet(root, CLASSES)
    ten = read_list("imagenet-10")
    first = min(ten.classes, key=lambda c: c.id)
    with pytest.raises(DataError, match=rf"lacks {first.id} \({first.name}\), .* and 50 more$"):
        list_imagenet(root, ten)


def test_wrong_layouts_name_the_path(root: Path) -> None:
    with pytest.raises(DataError, match=r"val/<id>/ .*train/train is no folder"):
        list_imagenet(root / "train", CLASSES)
    for image in (root / "train" / "n3").glob("*_1.JPEG"):
        image.unlink()
    with pytest.raises(DataError, match="at least 2 images, to train and to validate; too few: cock"):
        list_imagenet(root, CLASSES)
    for image in (root / "train" / "n3").iterdir():
        image.unlink()
    with pytest.raises(DataError, match=r"train must hold a folder with images .*; it lacks n3 \(cock\)$"):
        list_imagenet(root, CLASSES)


def test_validation_images_that_are_not_sorted_are_explained(root: Path) -> None:
    shutil.rmtree(root / "val")
    draw(root / "val" / "ILSVRC2012_val_00000001.JPEG", 0)
    with pytest.raises(DataError, match=r"lacks n01440764 .*; its images must be sorted into such folders first"):
        list_imagenet(root, CLASSES)


@pytest.mark.parametrize("share", [0, 1, -0.1, float("nan")])
def test_the_share_must_leave_both_parts(root: Path, share: float) -> None:
    with pytest.raises(InputError, match=rf"between 0 and 1, got {share}"):
        list_imagenet(root, CLASSES, validation_share=share)


def test_photos_stay_files_and_an_unreadable_one_is_found_when_it_is_asked_for(root: Path) -> None:
    (root / "val" / "n3" / "ILSVRC2012_val_00000009.JPEG").write_bytes(b"no image")
    (root / "val" / "n3" / "._ILSVRC2012_val_00000009.JPEG").write_bytes(b"what macOS leaves beside it")
    (root / "val" / "n3" / "boxes.txt").write_text("no image either")
    listing = list_imagenet(root, CLASSES)
    test = as_photos(listing).test
    assert [test.store.name(i) for i in range(len(test))][-2:] == [
        "val/n3/ILSVRC2012_val_00000002.JPEG",
        "val/n3/ILSVRC2012_val_00000009.JPEG",
    ]
    assert test.targets.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
    with pytest.raises(DataError, match=r"n3/ILSVRC2012_val_00000009\.JPEG cannot be read as an image"):
        test.store.read(9)
    with pytest.raises(DataError, match=r"n3/ILSVRC2012_val_00000009\.JPEG cannot be read as an image"):
        as_drawings(listing, 8)
