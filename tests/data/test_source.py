"""Where images come from: which options go together, and which loader a class list leads to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from eas_sdk.errors import DataError, InputError
from eas_train.data.imageset import ImageSet
from eas_train.data.photoset import PhotoFiles, PhotoSet
from eas_train.data.source import LAYOUT_OF, LAYOUTS, Source


def draw(path: Path, grey: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (10, 10), (grey, grey, grey)).save(path, "PNG")


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    for k, name in enumerate(("duck", "owl", "axe")):
        for i in range(4):
            draw(tmp_path / "flat" / name / f"{i}.png", 20 * k)
    groups = {"birds": ["duck", "owl"], "tools": ["axe"]}
    superclasses = [{"name": s, "classes": [{"name": c, "id": c} for c in members]} for s, members in groups.items()]
    (tmp_path / "list.json").write_text(json.dumps({"name": "mine", "source": "me", "superclasses": superclasses}))
    return tmp_path


def test_a_class_list_gives_class_folders_their_superclasses(flat: Path) -> None:
    splits, others, attributions = Source(flat / "flat", classes=str(flat / "list.json")).load(8)
    assert [(s.name, s.class_names) for s in splits.superclasses] == [("birds", ("duck", "owl")), ("tools", ("axe",))]
    assert others is None
    assert attributions == ()
    assert splits.train.size == 8


def test_without_a_list_folders_are_superclasses(tmp_path: Path) -> None:
    for k, name in enumerate(("birds/duck", "tools/axe")):
        for i in range(4):
            draw(tmp_path / "tree" / name / f"{i}.png", 20 * k)
            draw(tmp_path / "others" / "none" / "car" / f"{i}.png", 90)
    splits, others, _ = Source(tmp_path / "tree", tmp_path / "others").load(8)
    assert splits.classes == ("duck", "axe")
    assert others is not None
    assert [s.name for s in others.superclasses] == ["birds", "tools", "none"]


def test_photos_are_the_same_images_and_stay_files(flat: Path) -> None:
    for i in range(4):
        draw(flat / "others" / "none" / "car" / f"{i}.png", 90)
    source = Source(flat / "flat", flat / "others", classes=str(flat / "list.json"))
    drawings, photos = source.load(8)[0], source.load(8, "photo")[0]
    assert photos.superclasses == drawings.superclasses
    for drawn, part in ((drawings.train, photos.train), (drawings.test, photos.test)):
        assert isinstance(part.store, PhotoFiles)
        assert tuple(part.store.name(i) for i in range(len(part))) == drawn.names
        assert part.targets.tolist() == drawn.targets.tolist()
    others = source.load(8, "photo")[1]
    assert others is not None
    assert isinstance(others.train, PhotoSet)


def test_what_a_list_leaves_out_of_tiny_imagenet_is_for_the_router(tmp_path: Path) -> None:
    lines = []
    for k, wnid in enumerate(("n1", "n2")):
        for i in range(4):
            draw(tmp_path / "tiny" / "train" / wnid / "images" / f"{i}.png", 20 * i + k)
        draw(tmp_path / "tiny" / "val" / "images" / f"{k}.png", 200 + k)
        draw(tmp_path / "others" / "fish" / "ray" / f"{k}.png", 250 + k)
        lines.append(f"{k}.png\t{wnid}\t0\t0\t9\t9\n")
    draw(tmp_path / "others" / "fish" / "ray" / "2.png", 252)
    (tmp_path / "tiny" / "val" / "val_annotations.txt").write_text("".join(lines))
    (tmp_path / "tiny" / "wnids.txt").write_text("n1\nn2\n")
    (tmp_path / "tiny" / "words.txt").write_text("n1\tgoldfish\nn2\tcannon, gun\n")
    superclasses = [{"name": "fish", "classes": [{"name": "goldfish", "id": "n1"}]}]
    (tmp_path / "list.json").write_text(json.dumps({"name": "mine", "source": "me", "superclasses": superclasses}))
    source = Source(tmp_path / "tiny", classes=str(tmp_path / "list.json"), layout="tiny-imagenet")
    for kind, made in (("drawing", ImageSet), ("photo", PhotoSet)):
        splits, others, _ = source.load(8, kind)
        assert isinstance(splits.train, made)
        assert splits.classes == ("goldfish",)
        assert others is not None
        assert isinstance(others.train, made)
        assert [(s.name, s.class_names) for s in others.superclasses] == [("fish", ()), ("none", ("cannon",))]
    given = replace(source, others=tmp_path / "others").load(8, "photo")[1]
    assert given is not None
    assert given.classes == ("ray",)


def test_emoji_are_drawings_and_cifar_is_photos(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="of kind 'photo' is for photos of --data; the emoji are drawings"):
        Source().load(8, "photo")
    with pytest.raises(InputError, match="of kind 'drawing' is for drawings; CIFAR-100 is photos"):
        Source(tmp_path, classes="cifar-100").load(8, "drawing")


@pytest.mark.parametrize("name", sorted(LAYOUT_OF))
def test_a_shipped_list_leads_to_the_loader_of_its_data_set(name: str, tmp_path: Path) -> None:
    wanted = {
        "imagenet": "ImageNet must lie in train/<id>/",
        "cars": "stanford_cars must hold",
        "cifar": "cifar-100-python must hold",
        "tiny-imagenet": "Tiny ImageNet must lie in",
    }
    with pytest.raises(DataError, match=wanted[LAYOUT_OF[name]]):
        Source(tmp_path, classes=name).load(8, "photo")
    with pytest.raises(DataError, match="missing"):  # as class folders, by the same list
        Source(tmp_path, classes=name, layout="flat").load(8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"others": Path("x")}, "--others is for images of --data"),
        ({"classes": "car-20"}, "--classes is for images of --data"),
        ({"layout": "tree"}, "--layout is for images of --data"),
        ({"folder": Path("x"), "cache": Path("y")}, "got both"),
        ({"folder": Path("x"), "layout": "heap"}, "a layout is one of"),
        ({"folder": Path("x"), "layout": "flat"}, "needs a class list"),
        ({"folder": Path("x"), "layout": "tree", "classes": "car-20"}, "leave out --classes"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Source(**options)  # type: ignore[arg-type]


def test_every_layout_of_a_shipped_list_is_known() -> None:
    assert set(LAYOUT_OF.values()) <= set(LAYOUTS)
