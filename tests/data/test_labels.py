"""Which emoji become classes, and which icon draws which class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_sdk.errors import DataError
from eas_train.data.labels import NONE, SUBGROUPS, Label, choose, icon_names, others, read_labels, slug
from eas_train.data.packages import fetch

STYLES = [f"style-{i}" for i in range(9)]
# One emoji in each superclass, so that none is empty.
BASE = [Label(f"base-{name}", "", subgroups[0], 0) for name, subgroups in SUBGROUPS.items()]


def plan_of(labels: list[Label], names: dict[str, list[str]]) -> tuple[tuple[str, ...], dict[str, dict[str, str]]]:
    """The chosen mammals besides the base, and {class: {style: icon}}; all styles have the base icons too."""
    base = [label.slug for label in BASE]
    plan = choose([*BASE, *labels], {s: {n: n for n in [*base, *names.get(s, [])]} for s in STYLES}, STYLES)
    mammals = next(s for s in plan.superclasses if s.name == "mammals").class_names
    classes = tuple(c for c in mammals if c != "base-mammals")
    return classes, {c: {s: plan.icons[s][c] for s in STYLES if c in plan.icons[s]} for c in classes}


def mammal(name: str, order: int = 1, formal: str = "") -> Label:
    return Label(name, formal, "animal-mammal", order)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Tiger Face", "tiger-face"),
        ("woman’s hat", "womans-hat"),
        ("piñata", "pinata"),
        ("T-Rex", "t-rex"),
        ("flag: Côte d’Ivoire", "flag-cote-divoire"),
        ("  pool  8 ball ", "pool-8-ball"),
        ("…", ""),
    ],
)
def test_slug(text: str, expected: str) -> None:
    assert slug(text) == expected


@given(st.text())
def test_a_slug_is_its_own_slug(text: str) -> None:
    assert slug(slug(text)) == slug(text)
    assert set(slug(text)) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_a_class_needs_seven_styles() -> None:
    names = {s: ["dog"] * (i < 7) + ["cat"] * (i < 6) for i, s in enumerate(STYLES)}
    classes, icons = plan_of([mammal("dog"), mammal("cat")], names)
    assert classes == ("dog",)
    assert icons["dog"] == dict.fromkeys(STYLES[:7], "dog")


def test_the_most_drawn_come_first_then_unicode_order_up_to_twenty() -> None:
    labels = [mammal(f"m{order}", order) for order in range(1, 31)]
    # Orders 1 to 10 are drawn by 7 styles, the rest by 9, and are listed in reverse.
    names = {s: [x.slug for x in labels if x.order > 10 or i < 7] for i, s in enumerate(STYLES)}
    classes, _ = plan_of(labels[::-1], names)
    # The twentieth is base-mammals, which has order 0 and nine styles.
    assert classes == tuple(f"m{order}" for order in range(11, 30))


def test_words_may_be_joined_but_that_does_not_make_a_class() -> None:
    names = {s: ["water-ox" if i < 7 else "waterox"] for i, s in enumerate(STYLES)}
    classes, icons = plan_of([mammal("water-ox")], names)
    assert classes == ("water-ox",)
    assert icons["water-ox"][STYLES[8]] == "waterox"
    names = {s: ["water-ox" if i < 6 else "waterox"] for i, s in enumerate(STYLES)}
    assert plan_of([mammal("water-ox")], names)[0] == ()


def test_the_formal_name_wins_over_the_label() -> None:
    names = {s: ["shades"] for s in STYLES}
    names[STYLES[0]] = ["shades", "darkshades"]  # here "shades" is something else
    _, icons = plan_of([mammal("shades", formal="dark-shades")], names)
    assert icons["shades"][STYLES[0]] == "darkshades"
    assert icons["shades"][STYLES[1]] == "shades"


def test_an_icon_draws_one_class_only_and_the_formal_name_decides() -> None:
    # "ewe" is formally SHEEP. A style that calls its ewe "sheep" must not draw the class "sheep" with it too.
    labels = [mammal("sheep", 1), mammal("ewe", 2, formal="sheep")]
    names = {s: ["sheep", "ewe"] if i else ["sheep"] for i, s in enumerate(STYLES)}
    _, icons = plan_of(labels, names)
    assert icons["ewe"][STYLES[0]] == "sheep"
    assert STYLES[0] not in icons["sheep"]


def test_aliases_count_unless_they_turn_the_drawing_or_lead_to_another_emoji() -> None:
    icons: dict[str, Any] = {
        "icons": {"bear-face": {}, "cricket-game": {}, "arrow-left": {}},
        "aliases": {
            "bear": {"parent": "bear-face"},
            "cricket": {"parent": "cricket-game"},
            "arrow-right": {"parent": "arrow-left", "hFlip": True},
            "lost": {"parent": "gone"},
        },
    }
    labels = [mammal("bear"), mammal("cricket"), mammal("cricket-game")]
    own = {name: name for name in icons["icons"]}
    assert icon_names(icons, labels) == {**own, "bear": "bear-face"}


def test_of_numbered_variants_the_first_is_taken_unless_there_is_a_plain_one() -> None:
    icons = {"icons": {name: {} for name in ("owl-1", "owl-2", "dog", "dog-1", "tree-1")}}
    found = icon_names(icons, [mammal("owl"), mammal("dog")])
    assert (found["owl"], found["dog"]) == ("owl-1", "dog")
    assert "tree" not in found


def test_styles_that_are_no_whole_sets_draw_classes_and_do_not_choose_them() -> None:
    counted, partial = STYLES[:8], STYLES[8]
    base = {label.slug: label.slug for label in BASE}
    names = {s: base | {"dog": "dog"} | ({} if i < 2 else {"cat": "cat"}) for i, s in enumerate(STYLES)}
    plan = choose([*BASE, mammal("dog", 1), mammal("cat", 2)], names, counted)
    assert next(s for s in plan.superclasses if s.name == "mammals").class_names == ("base-mammals", "dog")
    assert plan.icons[partial]["dog"] == "dog"


def test_a_superclass_without_classes_and_two_equal_slugs_are_errors() -> None:
    names = {s: {label.slug: label.slug for label in BASE} for s in STYLES}
    with pytest.raises(DataError, match="'birds' keeps no class: none is drawn by 7 styles"):
        choose([label for label in BASE if label.slug != "base-birds"], names, STYLES)
    with pytest.raises(DataError, match="same label slug: base-birds"):
        choose([*BASE, Label("base-birds", "", "animal-bird", 9)], names, STYLES)


def test_reads_emojibase_without_emoji_that_have_no_subgroup(npm: Any, tmp_path: Path) -> None:
    files: dict[str, Any] = {
        "en/data.json": [
            {
                "label": "Tiger’s face",
                "hexcode": "1F42F",
                "subgroup": 34,
                "order": 5,
                "skins": [{"label": "x"}],
            },
            {"label": "regional indicator A", "hexcode": "1F1E6"},
        ],
        "meta/groups.json": {"subgroups": {"34": "animal-mammal"}},
        "meta/unicode-names.json": {"1F42F": "TIGER FACE"},
    }
    tarball = fetch(npm.publish("emojibase-data", files), tmp_path)
    assert read_labels(tarball) == [Label("tigers-face", "tiger-face", "animal-mammal", 5)]
    del files["en/data.json"][0]["order"]
    tarball = fetch(npm.publish("emojibase-data", files), tmp_path)
    with pytest.raises(DataError, match="does not have the layout of emojibase-data"):
        read_labels(tarball)


def test_what_is_left_is_of_a_superclass_or_of_none() -> None:
    labels = [
        *BASE,
        *(mammal(name) for name in ("dog", "okapi")),
        Label("grinning-face", "", "face-smiling", 3),
        Label("flag-peru", "", "country-flag", 4),
        Label("happy-cat", "", "cat-face", 5),
    ]
    base = [label.slug for label in BASE]
    drawn = {
        s: [*base, "dog", *(["okapi"] if i < 3 else []), "grinning-face", "flag-peru", "happy-cat"]
        for i, s in enumerate(STYLES)
    }
    names = {s: {name: name for name in found} for s, found in drawn.items()}
    plan = choose(labels, names, STYLES)
    left = others(labels, names, plan)
    assert [s.name for s in left.superclasses] == [*SUBGROUPS, NONE]
    assert {s.name: s.class_names for s in left.superclasses if s.class_names} == {
        "mammals": ("okapi",),
        NONE: ("grinning-face",),
    }
    assert left.icons[STYLES[0]] == {"okapi": "okapi", "grinning-face": "grinning-face"}
    assert left.icons[STYLES[8]] == {"grinning-face": "grinning-face"}


def test_an_icon_of_a_class_is_not_used_again() -> None:
    labels = [*BASE, mammal("dog"), mammal("hound", formal="dog")]
    names = {s: {name: name for name in [*(label.slug for label in BASE), "dog"]} for s in STYLES}
    left = others(labels, names, choose(labels, names, STYLES))
    assert left.icons[STYLES[0]] == {}
