"""`eas check`, and what `eas train` says of images of one's own before it begins."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from recipes import TINY
from scenes import ODD, again, copy, scene, spoil, tree

pytest.importorskip("torch")

from eas_train import checkpoint
from eas_train.before import command
from eas_train.inventory import Inventory


def words(text: str) -> str:
    """Whatever the width of a table."""
    return " ".join(text.split())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two superclasses of two classes each, without a fault."""
    return tree(tmp_path / "photos", "birds/duck", "birds/owl", f"tools/{ODD}", "tools/saw")


def test_a_folder_without_fault(eas, photos: Path) -> None:
    (photos / "birds" / "owl" / ".hidden").touch()
    (photos / "tools" / "saw" / "a.HEIC").touch()
    (photos / "tools" / "notes.txt").touch()
    result = eas("check", photos)
    assert result.exit_code == 0, result.output
    said = words(result.stdout)
    assert "superclass/class/image; divided by a seeded draw" in said
    assert "2 superclasses, 4 classes, 32 train, 8 validation, 8 test images" in said
    assert "duck birds 8 2 2" in said
    assert "1 .heic" in said
    assert "1 .txt" in said
    assert "hidden" not in said
    assert said.endswith("nothing here stops a training")


def test_files_that_cannot_be_read_are_listed_each_with_its_reason(eas, photos: Path) -> None:
    reasons = spoil(photos / "birds" / "owl")
    result = eas("check", photos)
    assert result.exit_code == 1
    for name, reason in reasons.items():
        (line,) = (line for line in result.stdout.splitlines() if name in line)
        assert line.strip().startswith("birds/owl/")
        assert reason in line
    assert "stops a training: 3 of 51 files cannot be read; --skip-bad leaves them out" in result.stdout
    found = json.loads(eas("check", photos, "--json").stdout)
    assert not found["ok"]
    assert {each["file"].removeprefix("birds/owl/") for each in found["unreadable"]} == set(reasons)
    assert found["images"] == {"train": 35, "validation": 8, "test": 8}
    assert (found["looked_at"], found["files"]) == (51, 51)


def test_copies_across_splits_and_classes(eas, tmp_path: Path) -> None:
    top = tree(tmp_path / "photos", *(f"{split}/{name}" for split in ("train", "val", "test") for name in "ab"))
    copy(top / "train" / "a" / "00.jpg", top / "test" / "a" / "copy.jpg")
    again(top / "val" / "b" / "01.jpg", top / "train" / "b" / "again.jpg")
    copy(top / "train" / "a" / "02.jpg", top / "train" / "b" / "other class.jpg")
    copy(top / "train" / "a" / "03.jpg", top / "train" / "a" / "harmless.jpg")
    result = eas("check", top, "--json")
    assert result.exit_code == 0, "copies are no reason not to begin"
    found = json.loads(result.stdout)
    assert [(each["exact"], [member["file"] for member in each["files"]]) for each in found["copies"]] == [
        (True, ["train/a/00.jpg", "test/a/copy.jpg"]),
        (True, ["train/a/02.jpg", "train/b/other class.jpg"]),
        (False, ["train/b/again.jpg", "val/b/01.jpg"]),
    ]
    assert found["repeated"] == 1
    warnings = " ".join(found["warnings"])
    assert "4 images are in another split too" in warnings
    assert "2 images are of another class too" in warnings
    assert "train/a/00.jpg (a, train) = test/a/copy.jpg (a, test)" in warnings


def test_classes_with_few_images(eas, tmp_path: Path) -> None:
    top = tree(tmp_path / "photos", "train/duck", "train/owl", "val/duck", "val/owl")
    tree(top / "train", "jay", each=2, seed=99)
    result = eas("check", top)
    assert result.exit_code == 0
    assert "fewer than 10 images to train on: jay (1)" in result.stdout, "one of the two validates"
    tree(tmp_path / "photos2", "duck", "owl")
    tree(tmp_path / "photos2", "jay", each=2, seed=99)
    refused = eas("check", tmp_path / "photos2")
    assert refused.exit_code == 1, "a class that is to be divided needs three"
    assert "jay photos2 2" in words(refused.stdout), "the images are told all the same"
    assert "stops a training: a class must have at least 3 images" in refused.stdout


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_lists(eas, photos: Path, suffix: str) -> None:
    files = sorted(path for path in photos.rglob("*.jpg") if path.parent.name != "saw")
    rows = [{"path": str(path.relative_to(photos)), "label": path.parent.name} for path in files]
    rows.append({"path": "broken", "label": "owl"})
    (photos / "broken").write_text("no image")
    mine = photos / f"mine{suffix}"
    if suffix == ".json":
        mine.write_text(json.dumps(rows))
    else:
        with mine.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, ["path", "label"])
            table.writeheader()
            table.writerows(rows)
    found = json.loads(eas("check", mine, "--json").stdout)
    assert [each["class"] for each in found["classes"]] == ["duck", ODD, "owl"]
    assert [each["file"] for each in found["unreadable"]] == ["broken"]
    assert found["passed_over"] == {}


def test_what_is_taken_for_nothing_stops_a_training(eas, tmp_path: Path) -> None:
    (tmp_path / "photos" / "owl").mkdir(parents=True)
    (tmp_path / "photos" / "owl" / "a.heic").touch()
    result = eas("check", tmp_path / "photos")
    assert result.exit_code == 1
    assert "holds no image" in result.stdout
    assert "1 .heic" in result.stdout
    missing = eas("check", tmp_path / "nowhere")
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert "nowhere" in missing.stderr
    assert eas("check", tmp_path / "photos", "-o", tmp_path / "page.txt").exit_code == 2


@pytest.mark.parametrize("name", ["all", "auto"])
def test_what_a_training_refuses_later_is_told_by_the_check(eas, photos: Path, name: str) -> None:
    (photos / "birds").rename(photos / name)
    result = eas("check", photos)
    assert result.exit_code == 1
    assert f"rename '{name}'" in result.stdout


def test_a_page_shows_photos_as_a_network_sees_them(eas, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    spoil(photos / "birds" / "owl")
    copy(photos / "birds" / "duck" / "00.jpg", photos / "birds" / "owl" / "twice.jpg")
    page = tmp_path / "check.html"
    assert eas("check", photos, "-o", page).exit_code == 1
    html = page.read_text(encoding="utf-8")
    augmented, _, rest = html.partition("<h2>Classes</h2>")
    assert augmented.count("data:image/jpeg") == 33, "of all training images that can be read"
    assert rest.count("data:image/jpeg") == 2, "a copy beside what it is a copy of"
    assert "<b>" not in html
    assert "naïve &lt;b&gt;" in html
    assert not re.search(r"(src|href)='(?!data:)", html), "needs no other file"
    assert json.loads(page.with_suffix(".json").read_text()) == json.loads(eas("check", photos, "--json").stdout)


RECIPE = TINY.replace("batch_size = 4\n", "batch_size = 4\naugmentation = { kind = 'photo', mixup = 1.0 }\n", 1)


@pytest.fixture
def train(eas, tmp_path: Path):
    """Run `eas train`, of the supernet alone, on a folder."""
    (tmp_path / "tiny.toml").write_text(RECIPE)

    def run(data: Path, out: Path, *options: object):
        arguments = ("--recipe", tmp_path / "tiny.toml", "--data", data, "--out", out, "--device", "cpu")
        return eas("train", *arguments, "--stage", "supernet", *options)

    return run


def test_a_training_that_could_not_read_its_images_does_not_begin(train, photos: Path, tmp_path: Path) -> None:
    reasons = spoil(photos / "birds" / "owl")
    result = train(photos, tmp_path / "run")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    for part in (*reasons, *reasons.values(), "3 of 51", "--skip-bad"):
        assert part in result.stderr
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_read_is_left_out_as_if_it_were_not_there(eas, train, photos: Path, tmp_path: Path) -> None:
    clean = train(photos, tmp_path / "clean")
    assert clean.exit_code == 0, clean.output
    reasons = spoil(photos / "birds" / "owl")
    result = train(photos, tmp_path / "run", "--skip-bad")
    assert result.exit_code == 0, result.output
    for part in (f"left out of {photos}: 3 of 51 files", *reasons, "32 train", str(tmp_path / "run" / "data.html")):
        assert part in result.stderr
    owners = [checkpoint.owner(tmp_path / name / "supernet.pt") for name in ("clean", "run")]
    assert owners[0] == owners[1]
    assert train(photos, tmp_path / "clean", "--skip-bad").exit_code == 0, "and a training goes on with the same"
    shown = json.loads((tmp_path / "run" / "check.json").read_text())
    assert shown["ok"]
    assert len(shown["unreadable"]) == 3
    html = (tmp_path / "run" / "data.html").read_text(encoding="utf-8")
    assert "Left out, as it cannot be read" in html
    assert re.search(r"<figcaption>\d+% duck, \d+% ", html), "photos are mixed as the recipe has it"
    assert eas("diagnose", tmp_path / "run", "--device", "cpu").exit_code == 0, "which loads the same images"


def test_a_class_of_which_nothing_can_be_read_is_not_left_out(train, photos: Path, tmp_path: Path) -> None:
    for image in (photos / "tools" / "saw").iterdir():
        image.write_bytes(b"")
    result = train(photos, tmp_path / "run", "--skip-bad")
    assert result.exit_code == 2
    assert "of these all are left out: saw" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_images_for_the_router_are_checked_too(train, photos: Path, tmp_path: Path) -> None:
    others = tree(tmp_path / "others", "none/sky", "birds/jay", seed=500)
    names = {path.relative_to(others).as_posix() for path in others.rglob("*.jpg")}
    reasons = spoil(others / "none" / "sky")
    refused = train(photos, tmp_path / "run", "--others", others)
    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"error: {others}: 3 of 27 files")
    result = train(photos, tmp_path / "run", "--others", others, "--skip-bad")
    assert result.exit_code == 0, result.output
    kept = json.loads((tmp_path / "run" / "run.json").read_text())["source"]
    assert kept["left_out"] == []
    assert set(kept["others_left_out"]) == {f"none/sky/{name}" for name in reasons}
    read = Inventory.kept(tmp_path / "run").images["others"]
    assert read
    assert set(read) <= names


def test_a_training_warns_once_it_begins(train, tmp_path: Path) -> None:
    top = tree(tmp_path / "photos", "duck", "owl", each=6)
    copy(top / "duck" / "00.jpg", top / "owl" / "copy.jpg")
    said = train(top, tmp_path / "run").stderr
    assert "fewer than 10 images to train on: duck (4), owl (5)" in said
    assert "2 images are of another class too, the same or nearly" in said
    assert said.index("training 'tiny'") < said.index("fewer than 10")


def test_a_check_before_a_training_ends_after_its_time_and_says_so(
    train, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "BEFORE_S", 0.0)
    result = train(photos, tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "1 of 48 files were looked at, in 0 s; `eas check` looks at all" in result.stderr
    whole = train(photos, tmp_path / "run", "--skip-bad")
    assert "were looked at" not in whole.stderr


def test_only_images_of_ones_own_can_be_left_out(eas, photos: Path, tmp_path: Path) -> None:
    for options in ((), ("--data", photos, "--classes", "photos"), ("--data", photos, "--layout", "unlabelled")):
        result = eas("train", "--skip-bad", *options, "--out", tmp_path / "run")
        assert result.exit_code == 2
        assert "--skip-bad is for images of your own" in result.stderr


def test_drawings_are_checked_as_well(eas, tmp_path: Path) -> None:
    top = tree(tmp_path / "drawings", "duck", "owl", each=4)
    scene(7).save(top / "owl" / "whole.png")
    (top / "owl" / "cut.png").write_bytes((top / "owl" / "whole.png").read_bytes()[:-200])
    (tmp_path / "tiny.toml").write_text(TINY)
    arguments = (
        "train",
        "--recipe",
        tmp_path / "tiny.toml",
        "--data",
        top,
        "--out",
        tmp_path / "run",
        "--device",
        "cpu",
    )
    assert "owl/cut.png" in eas(*arguments).stderr
    result = eas(*arguments, "--stage", "supernet", "--skip-bad")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "run" / "data.html").is_file()
