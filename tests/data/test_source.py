"""Where images come from: which options go together, and which loader a class list leads to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from eas_sdk.errors import DataError, InputError
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


@pytest.mark.parametrize("name", sorted(LAYOUT_OF))
def test_a_shipped_list_leads_to_the_loader_of_its_data_set(name: str, tmp_path: Path) -> None:
    wanted = {"imagenet": "train/<id>/", "cars": "cars_meta.mat", "cifar": "cifar-100-binary"}[LAYOUT_OF[name]]
    with pytest.raises(DataError, match=wanted):
        Source(tmp_path, classes=name).load(8)
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
