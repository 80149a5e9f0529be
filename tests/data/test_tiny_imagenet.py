"""Tiny ImageNet's folders: the official val is the test split, photos are there once, and the rest is for a router."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eas_sdk.errors import DataError, InputError
from eas_train.data.class_lists import ClassList, ListedClass
from eas_train.data.imageset import Superclass
from eas_train.data.listing import SPLITS, Listing, as_drawings, as_photos
from eas_train.data.tiny_imagenet import list_tiny_imagenet

CLASSES = ClassList(
    "mine",
    "made up",
    (ListedClass("dog", "n2", "pets"), ListedClass("goldfish", "n1", "sea"), ListedClass("ray", "n4", "sea")),
)
WORDS = {"n1": "goldfish, Carassius", "n2": "dog", "n3": "crane, a bird", "n4": "ray", "n5": "crane", "n6": "reel"}
TRAINING, TEST = 20, 3  # photos of each class


def draw(path: Path, colour: tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path, "JPEG")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Photos of other colours for each class and number; the val ones in an order of their own."""
    top = tmp_path / "tiny-imagenet-200"
    lines = []
    for k, wnid in enumerate(WORDS):
        for i in range(TRAINING):
            draw(top / "train" / wnid / "images" / f"{wnid}_{i}.JPEG", (40 * k, 10 * i, 0))
        (top / "train" / wnid / f"{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t0\t7\t7\n")
        for i in range(TEST):
            draw(top / "val" / "images" / f"val_{i * len(WORDS) + k}.JPEG", (40 * k, 10 * i, 255))
            lines.append((i * len(WORDS) + k, wnid))
    draw(top / "test" / "images" / "test_0.JPEG", (1, 1, 1))
    annotate(top, [f"val_{i}.JPEG\t{wnid}\t0\t0\t7\t7" for i, wnid in sorted(lines)])
    (top / "wnids.txt").write_text("\n".join(reversed(WORDS)) + "\n")
    (top / "words.txt").write_text("".join(f"{w}\t{words}\n" for w, words in {**WORDS, "n9": "unused"}.items()))
    return top


def annotate(top: Path, lines: list[str]) -> None:
    (top / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")


def names(listing: Listing, split: str) -> list[str]:
    return [file.path.relative_to(listing.top).as_posix() for file in listing.found[split]]


def counts(listing: Listing) -> list[list[int]]:
    parts = as_photos(listing)
    return [
        np.bincount(part.targets, minlength=len(parts.classes)).tolist()
        for part in (parts.train, parts.validation, parts.test)
    ]


@pytest.mark.parametrize("above", [True, False])
def test_the_official_val_is_the_test_and_a_tenth_of_train_validates(top: Path, above: bool) -> None:
    listing, _ = list_tiny_imagenet(top.parent if above else top, CLASSES)
    assert listing.superclasses == (Superclass("pets", ("dog",)), Superclass("sea", ("goldfish", "ray")))
    assert counts(listing) == [[18] * 3, [2] * 3, [3] * 3]
    assert names(listing, "test") == [f"val/images/val_{i}.JPEG" for i in (0, 1, 3, 6, 7, 9, 12, 13, 15)]
    assert sorted(names(listing, "train") + names(listing, "validation")) == sorted(
        f"train/{c.id}/images/{c.id}_{i}.JPEG" for c in CLASSES.classes for i in range(TRAINING)
    )
    red = {"dog": 40, "goldfish": 0, "ray": 120}
    splits = as_drawings(listing, 8)
    for part in (splits.train, splits.validation, splits.test):
        wanted = [red[part.classes[t]] for t in part.targets]
        assert np.abs(part.images[:, 0, 0, 0].astype(int) - wanted).max() <= 4


def test_the_choice_of_validation_follows_the_seed_and_the_share(top: Path) -> None:
    first, again, other = (names(list_tiny_imagenet(top, CLASSES, seed=s)[0], "validation") for s in (1, 1, 2))
    assert first == again != other
    assert counts(list_tiny_imagenet(top, CLASSES, validation_share=0.5)[0])[1] == [10] * 3
    with pytest.raises(InputError, match="between 0 and 1, got 0"):
        list_tiny_imagenet(top, CLASSES, validation_share=0)


def test_classes_that_the_list_leaves_out_are_of_no_superclass(top: Path) -> None:
    listing, others = list_tiny_imagenet(top, CLASSES)
    assert others is not None
    assert others.superclasses == (
        Superclass("pets", ()),
        Superclass("sea", ()),
        Superclass("none", ("crane n3", "crane n5", "reel")),
    )
    assert counts(others) == [[18] * 3, [2] * 3, [3] * 3]
    assert names(others, "test") == [f"val/images/val_{i}.JPEG" for i in (2, 4, 5, 8, 10, 11, 14, 16, 17)]
    assert all(name.split("/")[1] in ("n3", "n5", "n6") for name in names(others, "train"))
    (top / "words.txt").write_text("n1\tgoldfish\n")
    unnamed = list_tiny_imagenet(top, CLASSES)[1]
    assert unnamed is not None
    assert unnamed.superclasses[-1].class_names == ("n3", "n5", "n6")
    whole = ClassList("all", "made up", tuple(ListedClass(f"c{w}", w, "s") for w in WORDS))
    assert list_tiny_imagenet(top, whole)[1] is None
    assert listing.top == top


def test_a_photo_that_is_there_twice_is_kept_once_and_test_wins(top: Path) -> None:
    train, val = top / "train", top / "val" / "images"
    shutil.copy(train / "n1/images/n1_3.JPEG", train / "n1/images/n1_4.JPEG")  # in one class
    shutil.copy(train / "n1/images/n1_5.JPEG", train / "n4/images/n4_5.JPEG")  # in two
    shutil.copy(val / "val_0.JPEG", train / "n2/images/n2_0.JPEG")  # in test and train
    shutil.copy(val / "val_2.JPEG", train / "n3/images/n3_0.JPEG")  # among the others
    shutil.copy(train / "n2/images/n2_7.JPEG", val / "val_5.JPEG")  # in train, and in test of the others
    listing, others = list_tiny_imagenet(top, CLASSES)
    assert others is not None
    kept = {split: names(listing, split) for split in SPLITS}
    gone = {f"train/{w}/images/{w}_{i}.JPEG" for w, i in (("n1", 4), ("n4", 5), ("n2", 0))}
    assert "val/images/val_0.JPEG" in kept["test"]
    assert not gone & {*kept["train"], *kept["validation"]}
    assert [sum(split) for split in zip(*counts(listing)[:2], strict=True)] == [19, 19, 19]
    assert [sum(split) for split in zip(*counts(others)[:2], strict=True)] == [19, 20, 20]
    assert counts(others)[2] == [3, 3, 2]
    assert "train/n2/images/n2_7.JPEG" in kept["train"] + kept["validation"]


def test_what_is_missing_or_wrong_is_named(top: Path) -> None:
    def refused(message: str, classes: ClassList = CLASSES) -> None:
        with pytest.raises(DataError, match=message):
            list_tiny_imagenet(top, classes)

    unknown = ClassList("odd", "made up", (ListedClass("unicorn", "n7", "horses"),))
    refused(r"train must hold a folder with images for each class of 'odd'; it lacks n7 \(unicorn\)$", unknown)
    annotations = (top / "val" / "val_annotations.txt").read_text().splitlines()
    for line in ("val_0.JPEG n1", "../val_0.JPEG\tn1", "/etc/x.JPEG\tn1", "..\tn1", "\tn1"):
        annotate(top, [annotations[0], line])
        refused(rf"annotations\.txt must give in each line .*val/images, a tab, .*; line 2 is {re.escape(repr(line))}$")
    annotate(top, [line for line in annotations if "\tn4\t" not in line])
    refused(r"annotations\.txt must name photos of each class of 'mine'; it names none of n4 \(ray\)$")
    annotate(top, annotations)
    (top / "val" / "images" / "val_3.JPEG").unlink()
    refused(r"val/images must hold what val_annotations\.txt names; it lacks val_3\.JPEG$")
    for name in ("words.txt", "wnids.txt", "val/val_annotations.txt"):
        (top / name).unlink()
        refused(rf"{name} is a text file of Tiny ImageNet and cannot be read")
    shutil.rmtree(top / "train")
    refused("must lie in train/<id>/images/ and val/ below one folder; .* has no train/")
