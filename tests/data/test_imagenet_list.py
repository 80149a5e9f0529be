"""The list of all ImageNet classes: each is there once, and no superclass is too small or too large to be of use."""

from __future__ import annotations

import json
from importlib.resources import files

from eas_train.data.class_lists import read_list
from eas_train.data.labels import slug

IMAGENET = read_list("imagenet")
IDS = [wnid for wnid, _ in json.loads((files("eas_train") / "pretrained" / "imagenet-1000.json").read_text("utf-8"))]


def test_every_class_of_imagenet_is_there_once() -> None:
    assert IMAGENET.name == "imagenet"
    assert sorted(c.id for c in IMAGENET.classes) == sorted(IDS)


def test_there_are_25_to_35_superclasses_of_8_to_120_classes() -> None:
    assert 25 <= len(IMAGENET.superclasses) <= 35
    assert not {s.name: len(s.class_names) for s in IMAGENET.superclasses if not 8 <= len(s.class_names) <= 120}


def test_names_are_short_plain_and_there_once() -> None:
    classes, superclasses = [c.name for c in IMAGENET.classes], [s.name for s in IMAGENET.superclasses]
    # A task may name a superclass or a class, so that no class may be called like a superclass.
    names = [*classes, *superclasses, "all", "auto", "none"]
    assert len(set(names)) == len(names)
    assert not [name for name in names if name != slug(name) or len(name) > 30]
    assert not [name for name in superclasses if len(name.split("-")) > 3]


def test_classes_keep_the_order_of_imagenet_within_a_superclass() -> None:
    place = {wnid: i for i, wnid in enumerate(IDS)}
    for superclass in IMAGENET.superclasses:
        places = [place[c.id] for c in IMAGENET.classes if c.superclass == superclass.name]
        assert places == sorted(places), superclass.name


def test_words_of_two_meanings_have_two_names() -> None:
    known = {
        "crane-bird": "n02012849",
        "construction-crane": "n03126707",
        "cardigan-corgi": "n02113186",
        "cardigan": "n02963159",
        "maillot": "n03710637",
        "one-piece-swimsuit": "n03710721",
        "corn": "n12144580",
        "ear-of-corn": "n13133613",
        "sunglasses": "n04356056",
        "missile": "n03773504",
        "projectile": "n04008634",
    }
    assert {c.name: c.id for c in IMAGENET.classes if c.name in known} == known
