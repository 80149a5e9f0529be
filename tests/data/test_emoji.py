"""The emoji cache from end to end: ten small styles, served by a stand-in for npm and drawn by resvg."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eas_sdk.errors import DataError
from eas_train.data.command import prepare
from eas_train.data.emoji import OTHERS, SIZE, cache_folder, load_emoji
from eas_train.data.imageset import superclass_of_class
from eas_train.data.labels import NONE, SUBGROUPS
from eas_train.data.raster import rasterise, svg_document
from eas_train.data.styles import ATTRIBUTIONS, EMOJIBASE, STYLES, Package, Style

pytest.importorskip("resvg_py")

SQUARE = '<path fill="#c00" d="M4 4h8v8h-8z"/>'
BROKEN = '<path fill="#c00" d="M4 4h8v8h-8z">'  # not closed


def small_world(npm: Any) -> tuple[tuple[Style, ...], Package]:
    """The ten styles with one class a superclass; two drawings of `noto` are broken or empty."""
    labels = [*(f"thing {name}" for name in SUBGROUPS), "rare bird", "smile"]
    subgroups = [*(members[0] for members in SUBGROUPS.values()), "animal-bird", "face-smiling"]
    emojibase = npm.publish(
        "emojibase-data",
        {
            "en/data.json": [
                {"label": label, "hexcode": f"1F{i:03}", "subgroup": i, "order": i} for i, label in enumerate(labels)
            ],
            "meta/groups.json": {"subgroups": {str(i): s for i, s in enumerate(subgroups)}},
            "meta/unicode-names.json": {},
        },
    )
    styles = []
    for style in STYLES:
        icons = {label.replace(" ", "-"): {"body": SQUARE} for label in labels}
        if style.name != "twemoji":
            del icons["rare-bird"]
        if style.name == "noto":
            icons["thing-birds"] = {"body": BROKEN}
            icons["thing-sky"] = {"body": ""}
        if style.name == "streamline-emojis":
            style = replace(style, misnamed=("thing-sea-life",))
        if style.name == "emojione-v1":
            del icons["thing-tools"]
        package = npm.publish(style.package.name, {"icons.json": {"icons": icons, "width": 16, "height": 16}})
        styles.append(replace(style, package=package))
    return tuple(styles), emojibase


def test_prepare_builds_reports_and_goes_on(npm: Any, tmp_path: Path, without_npm: Callable[[], None]) -> None:
    styles, emojibase = small_world(npm)
    report = prepare(tmp_path / "cache", quiet=True, styles=styles, emojibase=emojibase)
    assert json.loads(json.dumps(report)) == report
    assert report["splits"] == {"train": 8 * 14 - 3, "validation": 13, "test": 14}
    assert report["styles"]["noto"]["drawings"] == 12
    assert report["superclasses"]["birds"] == {"classes": 1, "train": 7, "validation": 1, "test": 1}
    assert [(f["style"], f["icon"]) for f in report["left_out"]] == [
        ("noto", "thing-birds"),
        ("noto", "thing-sky"),
    ]
    assert len(npm.calls) == 11
    assert report["others"]["birds"] == {"classes": 1, "train": 1, "validation": 0, "test": 0}
    assert report["others"][NONE] == {"classes": 1, "train": 8, "validation": 1, "test": 1}
    odd = load_emoji(tmp_path / "cache", kind=OTHERS)
    assert [odd.classes[t] for t in odd.train.targets].count("rare-bird") == 1
    assert set(odd.test.names) == {"smile"}

    splits = load_emoji(tmp_path / "cache")
    assert splits.train.images.shape == (109, SIZE, SIZE, 4)
    assert set(splits.test.sources) == {"emojione"}
    assert set(splits.validation.sources) == {"emojione-v1"}
    assert len(set(splits.train.sources)) == 8
    assert [s.name for s in splits.superclasses] == list(SUBGROUPS)
    assert superclass_of_class(splits.superclasses).tolist() == list(range(14))
    for image, target, name in zip(splits.test.images, splits.test.targets, splits.test.names, strict=True):
        assert splits.classes[target] == name
        assert image[SIZE // 2, SIZE // 2].tolist() == [204, 0, 0, 255]
        assert image[0, 0, 3] == 0

    # A finished style is not drawn again, and nothing is fetched again.
    without_npm()
    files = sorted((tmp_path / "cache").rglob("images.npy"))
    assert len(files) == 20
    before = [f.stat().st_mtime_ns for f in files]
    again = prepare(tmp_path / "cache", quiet=True, styles=styles, emojibase=emojibase)
    assert [f.stat().st_mtime_ns for f in files] == before
    assert {**again, "left_out": 0} == {**report, "left_out": 0}
    assert [f["icon"] for f in again["left_out"]] == ["thing-birds", "thing-sky"]


def test_a_damaged_or_missing_style_is_named_and_drawn_again(npm: Any, tmp_path: Path) -> None:
    styles, emojibase = small_world(npm)
    with pytest.raises(DataError, match="must be built by `eas data` first"):
        load_emoji(tmp_path)
    prepare(tmp_path, quiet=True, styles=styles, emojibase=emojibase)
    whole = load_emoji(tmp_path)
    pixels = tmp_path / "styles" / "twemoji" / "images.npy"
    pixels.write_bytes(pixels.read_bytes()[:-1])
    (tmp_path / "styles" / "fxemoji" / "manifest.json").unlink()
    untouched = tmp_path / "styles" / "openmoji" / "images.npy"
    drawn_at = untouched.stat().st_mtime_ns
    with pytest.raises(DataError, match=r"twemoji.*truncated"):
        load_emoji(tmp_path)
    prepare(tmp_path, quiet=True, styles=styles, emojibase=emojibase)
    np.testing.assert_array_equal(load_emoji(tmp_path).train.images, whole.train.images)
    assert untouched.stat().st_mtime_ns == drawn_at


def test_a_style_whose_package_changed_is_drawn_again(npm: Any, tmp_path: Path) -> None:
    styles, emojibase = small_world(npm)
    prepare(tmp_path, quiet=True, styles=styles, emojibase=emojibase)
    blue = {f"thing-{name}": {"body": SQUARE.replace("c00", "00c")} for name in SUBGROUPS}
    package = npm.publish(styles[-1].package.name, {"icons.json": {"icons": blue}}, version="2.0.0")
    prepare(tmp_path, quiet=True, styles=(*styles[:-1], replace(styles[-1], package=package)), emojibase=emojibase)
    assert load_emoji(tmp_path).test.images[0, SIZE // 2, SIZE // 2].tolist() == [0, 0, 204, 255]


def test_a_package_of_another_layout_is_named(npm: Any, tmp_path: Path) -> None:
    styles, emojibase = small_world(npm)
    package = npm.publish(styles[0].package.name, {"icons.json": ["no icons"]}, version="2.0.0")
    with pytest.raises(DataError, match=r"iconify-json/noto 2\.0\.0 does not have the layout of an iconify set"):
        prepare(
            tmp_path,
            quiet=True,
            styles=(replace(styles[0], package=package), *styles[1:]),
            emojibase=emojibase,
        )


def test_the_summary_is_printed_unless_quiet(npm: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    styles, emojibase = small_world(npm)
    prepare(tmp_path, styles=styles, emojibase=emojibase)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "emojione-v1" in printed.err
    assert "left out noto/thing-sky: it has no visible pixel" in printed.err


def test_a_drawing_keeps_its_aspect_and_is_centred() -> None:
    icons = {
        "icons": {"wide": {"body": '<path d="M8 4h32v16h-32z"/>', "left": 8, "top": 4, "width": 32}},
        "height": 16,
    }
    alpha = rasterise(svg_document(icons, "wide", 64), 64)[..., 3]
    assert (alpha[16:48] == 255).all()
    assert (alpha[:16] == 0).all()
    assert (alpha[48:] == 0).all()


def test_alpha_is_straight() -> None:
    icons = {"icons": {"x": {"body": '<path fill="#f00" fill-opacity=".5" d="M0 0h16v16h-16z"/>'}}}
    pixel = rasterise(svg_document(icons, "x", 8), 8)[4, 4].tolist()
    assert pixel[:3] == [255, 0, 0]
    assert 127 <= pixel[3] <= 128


@pytest.mark.parametrize(
    "svg", ["", "no svg", "<svg", '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>']
)
def test_what_cannot_be_drawn_is_a_data_error(svg: str) -> None:
    with pytest.raises(DataError):
        rasterise(svg, 8)


def test_the_cache_folder_is_the_argument_then_the_variable_then_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EAS_CACHE", str(tmp_path / "variable"))
    assert cache_folder(tmp_path / "argument") == tmp_path / "argument"
    assert cache_folder() == tmp_path / "variable"
    monkeypatch.delenv("EAS_CACHE")
    assert cache_folder().name == "emoji-v1"
    assert "eas_sdk" in cache_folder().parts


def test_pins_and_attributions_are_complete() -> None:
    assert [s.name for s in STYLES if s.split == "test"] == ["emojione"]
    assert [s.name for s in STYLES if s.split == "validation"] == ["emojione-v1"]
    assert len({s.name for s in STYLES}) == 10
    for package in (EMOJIBASE, *(s.package for s in STYLES)):
        assert len(package.integrity) == len("sha512-") + 88
    for style in STYLES:
        for part in (style.author, style.url, style.licence, style.licence_url, style.package.version):
            assert part in ATTRIBUTIONS[style.name]
