"""Class lists: those that ship agree with the paper, and user files that are wrong are refused by name."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from eas_sdk.errors import DataError
from eas_train.data.class_lists import ClassList, ListedClass, listed, read_list
from eas_train.data.imageset import Superclass

TREE: dict[str, Any] = {
    "name": "mine",
    "source": "made up",
    "superclasses": [
        {"name": "Dog", "classes": [{"name": "Pug", "id": "n1"}, {"name": "Beagle", "id": "n2"}]},
        {"name": "Cat", "classes": [{"name": "Lion", "id": "n3"}]},
    ],
}


def write(path: Path, tree: Any) -> Path:
    path.write_text(json.dumps(tree), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "superclasses", "each", "id_form"),
    [
        ("imagenet-10", 10, 6, r"n\d{8}"),
        ("imagenet-12", 12, 20, r"n\d{8}"),
        ("car-20", 20, 3, r"[A-Z].* (19|20)\d\d"),
        ("cifar-100", 20, 5, r"[a-z_]+"),
    ],
)
def test_shipped_lists_have_the_size_of_the_paper(name: str, superclasses: int, each: int, id_form: str) -> None:
    classes = read_list(name)
    assert classes.name == name
    assert [len(s.class_names) for s in classes.superclasses] == [each] * superclasses
    assert not [c.id for c in classes.classes if not re.fullmatch(id_form, c.id)]


def test_shipped_lists_keep_the_order_of_the_paper() -> None:
    ten, twelve = read_list("imagenet-10"), read_list("imagenet-12")
    assert " ".join(s.name for s in ten.superclasses) == "Dog Bird Insect Monkey Car Cat Truck Fruit Fungus Boat"
    names = "Dog Structure Bird Clothing Vehicle Reptile Carnivore Insect Instrument Food Furniture Primate"
    assert " ".join(s.name for s in twelve.superclasses) == names
    assert ten.superclasses[5].class_names == ("Leopard", "Snow leopard", "Jaguar", "Lion", "Cougar", "Lynx")


def test_the_list_of_photos_groups_181_classes_of_tiny_imagenet() -> None:
    photos = read_list("photos")
    assert photos.name == "photos"
    assert len(photos.classes) == 181
    assert len(photos.superclasses) == 15
    assert min(len(s.class_names) for s in photos.superclasses) >= 8
    assert not [c.id for c in photos.classes if not re.fullmatch(r"n\d{8}", c.id)]
    known = {"chihuahua": "n02085620", "banana": "n07753592", "goldfish": "n01443537"}
    assert {c.name: c.id for c in photos.classes if c.name in known} == known


def test_lists_that_share_a_class_give_it_one_id() -> None:
    ids: dict[str, set[str]] = {}
    for name in ("imagenet-10", "imagenet-12"):
        for c in read_list(name).classes:
            ids.setdefault(c.name, set()).add(c.id)
    assert all(len(found) == 1 for found in ids.values())
    assert len(ids) < 60 + 240
    # Fixed points of ImageNet-1k; the corgi Cardigan is n02113186.
    known = {"Chihuahua": "n02085620", "Cock": "n01514668", "Cardigan": "n02963159", "Kite": "n01608432"}
    assert {name: ids[name] for name in known} == {name: {wnid} for name, wnid in known.items()}


def test_the_make_of_a_car_is_its_superclass() -> None:
    classes = read_list("car-20").classes
    odd = {c.id for c in classes if c.id != f"{c.superclass} {c.name}"}
    assert odd == {"Ferrari 458 Italia Coupe 2012"}


def test_a_user_file_is_read(tmp_path: Path) -> None:
    classes = read_list(write(tmp_path / "mine.json", {**TREE, "comment": "ü"}))
    assert classes == ClassList(
        "mine",
        "made up",
        (ListedClass("Pug", "n1", "Dog"), ListedClass("Beagle", "n2", "Dog"), ListedClass("Lion", "n3", "Cat")),
        "ü",
    )
    assert classes.superclasses == (Superclass("Dog", ("Pug", "Beagle")), Superclass("Cat", ("Lion",)))
    assert read_list(str(write(tmp_path / "again.json", TREE))).classes == classes.classes


@pytest.mark.parametrize("name", ["imagenet-11", "", "../lists/car-20", "mine.json", "mine.txt", "a\0b"])
def test_an_unknown_list_names_those_that_ship(name: str) -> None:
    with pytest.raises(
        DataError, match="one of car-20, cifar-100, imagenet, imagenet-10, imagenet-12, photos; got"
    ) as refused:
        read_list(name)
    assert repr(name) in str(refused.value)


@pytest.mark.parametrize(
    "text", [b"", b"{", b'{"name": "\xff"}', b"[" * 100_000], ids=["empty", "cut", "latin-1", "deep"]
)
def test_what_is_no_json_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "mine.json").write_bytes(text)
    with pytest.raises(DataError, match=r"mine\.json is not JSON"):
        read_list(tmp_path / "mine.json")


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ((), [], r"the file must be an object with name, source, superclasses; got \[\]"),
        (("superclasses",), {}, "superclasses must be a list of at least one entry; got {}"),
        (("superclasses",), [], "superclasses must be a list of at least one entry"),
        (("source",), 3, "source must be text, .*; got 3"),
        (("comment",), None, "comment must be text, .*; got None"),
        (("extra",), 1, "the file may have name, source, superclasses, comment only; it has extra"),
        (("superclasses", 1), "Cat", r"superclasses\[1\] must be an object with name, classes; got 'Cat'"),
        (("superclasses", 1), {"name": "Cat"}, r"superclasses\[1\] must have name, classes; it lacks classes"),
        (("superclasses", 1, "name"), "Dog", "each superclass must be there once; more than once: Dog"),
        (("superclasses", 1, "name"), "", r"superclasses\[1\]\.name must be text, not empty"),
        (("superclasses", 1, "classes"), [], r"superclasses\[1\]\.classes must be a list"),
        (("superclasses", 0, "classes", 1, "name"), "Pug", "each class name of 'mine' .* more than once: Pug"),
        (("superclasses", 1, "classes", 0, "id"), "n2", "each id of 'mine' must be there once; .*: n2"),
        (
            ("superclasses", 1, "classes", 0, "id"),
            "Pug",
            "a class name of .* the id of another class: Pug",
        ),
        (("superclasses", 1, "classes", 0, "id"), " n3", r"superclasses\[1\]\.classes\[0\]\.id must be text.*' n3'"),
    ],
)
def test_a_wrong_list_names_the_place_and_the_value(
    tmp_path: Path, place: tuple[Any, ...], value: Any, message: str
) -> None:
    tree = copy.deepcopy(TREE)
    node: Any = tree
    for key in place[:-1]:
        node = node[key]
    if place:
        node[place[-1]] = value
    path = write(tmp_path / "mine.json", tree if place else value)
    with pytest.raises(DataError, match=rf"mine\.json is not a class list: {message}"):
        read_list(path)


def test_a_list_made_by_hand_is_checked_too() -> None:
    with pytest.raises(DataError, match="at least one class; 'x' holds none"):
        ClassList("x", "y", ())
    scattered = (ListedClass("a", "1", "A"), ListedClass("b", "2", "B"), ListedClass("c", "3", "A"))
    with pytest.raises(DataError, match="'x' must be ordered by superclass"):
        ClassList("x", "y", scattered)


def test_a_message_names_ten_and_counts_the_rest() -> None:
    assert listed("abc") == "a, b, c"
    assert listed("abcdefghij") == "a, b, c, d, e, f, g, h, i, j"
    assert listed("abcdefghijkl") == "a, b, c, d, e, f, g, h, i, j and 2 more"
