"""Images of one's own: what a folder or a list is taken for, and what is said where it cannot be."""

from __future__ import annotations

import csv
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from eas_sdk.errors import DataError
from eas_train.data.listing import SPLITS, Listing
from eas_train.data.own_photos import list_others, list_own

EACH = 20


def grow(top: Path, *folders: str, each: int = EACH) -> Path:
    """Empty files, as nothing is decoded."""
    for folder in folders:
        (top / folder).mkdir(parents=True, exist_ok=True)
        for i in range(each):
            (top / folder / f"{i:02d}.jpg").touch()
    return top


def counts(listing: Listing) -> list[int]:
    return [len(listing.found[split]) for split in SPLITS]


def classes(listing: Listing) -> dict[str, tuple[str, ...]]:
    return {superclass.name: superclass.class_names for superclass in listing.superclasses}


def test_class_folders_are_one_superclass_named_after_the_folder(tmp_path: Path) -> None:
    listing = list_own(grow(tmp_path / "pets", "dog", "cat", ".ipynb_checkpoints"))
    assert classes(listing) == {"pets": ("cat", "dog")}
    assert counts(listing) == [28, 6, 6]
    assert listing.taken == "class/image; divided by a seeded draw, 15% each to validate and to test"


def test_superclass_folders(tmp_path: Path) -> None:
    listing = list_own(grow(tmp_path, "pets/dog", "pets/cat", "food/pie"))
    assert classes(listing) == {"food": ("pie",), "pets": ("cat", "dog")}
    assert listing.taken.startswith("superclass/class/image; divided by a seeded draw")


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "valid", "testing")])
@pytest.mark.parametrize("form", ["dog", "pets/dog"])
def test_parts_that_are_given_are_kept(tmp_path: Path, names: tuple[str, ...], form: str) -> None:
    for name, each in zip(names, (9, 2, 4), strict=True):
        grow(tmp_path, f"{name}/{form}", f"{name}/{form[:-3]}cat", each=each)
    listing = list_own(tmp_path)
    assert counts(listing) == [18, 4, 8]
    for split, name in zip(SPLITS, names, strict=True):
        assert {file.path.relative_to(tmp_path).parts[0] for file in listing.found[split]} == {name}
    assert listing.taken.endswith("divided as it is")


@pytest.mark.parametrize("other", ["val", "test"])
def test_of_two_parts_the_other_is_the_test_and_a_share_of_the_first_validates(tmp_path: Path, other: str) -> None:
    grow(tmp_path, "train/dog", "train/cat")
    listing = list_own(grow(tmp_path, f"{other}/dog", f"{other}/cat", each=5))
    assert counts(listing) == [34, 6, 10]
    assert {file.path.relative_to(tmp_path).parts[0] for file in listing.found["test"]} == {other}
    assert "is the test" in listing.taken


def test_a_folder_of_trains_is_a_class(tmp_path: Path) -> None:
    assert classes(list_own(grow(tmp_path / "traffic", "train", "bus"))) == {"traffic": ("bus", "train")}


def listed(path: Path, rows: list[dict[str, str]]) -> Path:
    if path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".json"])
@pytest.mark.parametrize("split", [False, True])
def test_lists(tmp_path: Path, suffix: str, split: bool) -> None:
    grow(tmp_path / "photos", "a", "b")
    rows = [
        {"File": f"../photos/{folder}/{i:02d}.jpg", "Label": "cat, old" if i % 2 else "dog", "note": "x"}
        | ({"split": "val" if i < 4 else "train"} if split else {})
        for folder in ("a", "b")
        for i in range(EACH)
    ]
    (tmp_path / "lists").mkdir()
    listing = list_own(listed(tmp_path / "lists" / f"mine{suffix}", rows))
    assert classes(listing) == {"mine": ("cat, old", "dog")}
    assert listing.top == tmp_path / "photos"
    assert counts(listing) == ([28, 4, 8] if split else [28, 6, 6])


def test_a_list_may_be_a_mapping_and_may_name_superclasses(tmp_path: Path) -> None:
    grow(tmp_path, "x", each=6)
    (tmp_path / "mine.json").write_text(json.dumps({f"x/{i:02d}.jpg": "ab"[i % 2] for i in range(6)}))
    assert classes(list_own(tmp_path / "mine.json")) == {"mine": ("a", "b")}
    rows = [{"path": f"x/{i:02d}.jpg", "class": "ab"[i % 2], "superclass": "ST"[i % 2]} for i in range(6)]
    assert classes(list_own(listed(tmp_path / "mine.csv", rows))) == {"S": ("a",), "T": ("b",)}


Make = Callable[[Path], Path]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda top: top / "none", "is neither"),
        (lambda top: grow(top, "a", each=0), "class folder .*a holds no image"),
        (lambda top: grow(top, "."), r"00\.jpg does not"),
        (lambda top: grow(top, "pets/dog", "cat"), "cat holds images, and .*pets folders"),
        (lambda top: grow(top, "pets/dog/brown"), "brown lies one level too deep"),
        (lambda top: grow(top, "a/x", "b/x"), "'x' is of 'a' in .* and of 'b'"),
        (lambda top: grow(top, "x", each=2), "at least 3 images.*x"),
        (lambda top: grow(top, "train/x", "val/x", "valid/x"), "one part `validation`.*val, valid"),
        (lambda top: grow(top, "train/x", "val/x", "more/x"), "and no other folder; .* has more"),
        (lambda top: grow(top, "train/x", "val/y"), "training images; of these .* none: y"),
        (lambda top: grow(top, "train/x", "val/p/x"), "one form; those of .* class/image and superclass/class/image"),
        (lambda top: listed(top / "a.csv", [{"path": "x.jpg", "label": "b"}]), r"a\.csv, row 2: there is no file"),
        (lambda top: listed(top / "a.csv", [{"path": "x.jpg", "lable": "b"}]), "row 2 lacks a 'label'.*lable"),
        (lambda top: listed(top / "a.json", [{"path": "a.json", "label": "b", "split": "vall"}]), "did you mean 'val'"),
        (
            lambda top: listed(top / "a.json", [{"path": "a.json", "label": "b", "split": s} for s in ("val", "")]),
            "for every image or for none",
        ),
        (lambda top: listed(top / "a.json", []), "lists no images"),
    ],
)
def test_what_cannot_be_taken_for_anything(tmp_path: Path, make: Make, told: str) -> None:
    path = make(tmp_path)
    with pytest.raises(DataError, match=told):
        list_own(path)


@pytest.mark.parametrize("text", ["[" * 100_000, "{", '"x"', "[1]"])
def test_a_list_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=r"a\.json (is no JSON|must hold)"):
        list_own(tmp_path / "a.json")


def test_names_are_one_form_of_unicode_whatever_form_the_folders_have(tmp_path: Path) -> None:
    """macOS writes the accents of file names apart from their letters."""
    nfc, nfd = (unicodedata.normalize(form, "pâté") for form in ("NFC", "NFD"))
    grow(tmp_path, f"train/{nfd}/{nfd}", f"val/{nfc}/{nfc}", f"test/{nfd}/{nfc}")
    listing = list_own(tmp_path)
    assert classes(listing) == {nfc: (nfc,)}
    assert counts(listing) == [EACH] * 3
    others = list_others(grow(tmp_path / "others", f"{nfd}/pie", "none/sky"), listing.superclasses)
    assert classes(others) == {nfc: ("pie",), "none": ("sky",)}
