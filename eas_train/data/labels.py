"""Which emoji become classes, and which icon of a style draws which class.

A class is the slug of an emojibase label; its superclass follows from its Unicode subgroup. Kept are the
classes that at least `MIN_STYLES` whole styles draw under that slug, most drawn first (ties in Unicode order), up
to `MAX_CLASSES` a superclass.

A kept class then collects at most one icon a style, found by its formal Unicode character name, else by its
label; each as a slug or with the words joined, which is how fxemoji spells names. The formal name comes first
because it never changed its meaning: in fxemoji `sunglasses` is a smiling face, and sunglasses are
`darksunglasses`.

Aliases count as names, except those that flip or turn the drawing, and those that lead to the icon of another
emoji: in two styles `cricket`, the insect, is an old alias of `cricket-game`, the bat. Of numbered variants (`owl-1`,
`owl-2`) the first is taken.

All other emoji serve a router, which tells superclasses apart and rejects what belongs to none: those in the subgroups
of a superclass, and, as a superclass `NONE` of its own, the rest but for `PASSED_OVER`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eas_sdk.errors import DataError
from eas_train.data.imageset import Superclass
from eas_train.data.packages import read_json

MIN_STYLES = 7
MAX_CLASSES = 20

SUBGROUPS: dict[str, tuple[str, ...]] = {
    "mammals": ("animal-mammal",),
    "birds": ("animal-bird",),
    "sea-life": ("animal-marine", "animal-reptile", "animal-amphibian"),
    "insects": ("animal-bug",),
    "plants": ("plant-flower", "plant-other"),
    "produce": ("food-fruit", "food-vegetable"),
    "meals": ("food-prepared", "food-asian"),
    "treats": ("food-sweet", "drink"),
    "vehicles": ("transport-ground", "transport-water", "transport-air"),
    "places": ("place-building", "place-religious", "place-geographic"),
    "play": ("sport", "musical-instrument", "game"),
    "clothing": ("clothing",),
    "tools": ("tool", "science", "office"),
    "sky": ("sky-weather",),
}

NONE = "none"

PASSED_OVER = (
    *("country-flag", "subdivision-flag", "keycap", "skin-tone", "hair-style", "family", "person", "person-gesture"),
    *("person-role", "person-fantasy", "person-activity", "person-sport", "person-resting"),
    *("cat-face", "monkey-face", "place-other", "place-map"),
)
"""Near-copies by the hundred (by country, number, gender, hair), and what a superclass shows too."""


@dataclass(frozen=True)
class Label:
    """One emoji: slugs of its label and of its formal Unicode name (may be empty), subgroup, order."""

    slug: str
    formal: str
    subgroup: str
    order: int


@dataclass(frozen=True)
class Plan:
    """The chosen classes by superclass and, for each style, the icon that draws each class: {class: icon}."""

    superclasses: tuple[Superclass, ...]
    icons: dict[str, dict[str, str]]


def slug(text: str) -> str:
    """Lower case ASCII, punctuation dropped, words joined by '-': `"Woman’s hat"` gives `"womans-hat"`."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", re.sub(r"[^a-z0-9\s_-]", "", plain)))


def read_labels(tarball: Path) -> list[Label]:
    """The emoji of an emojibase-data tarball that have a subgroup, without skin-tone variants.

    Raises:
        DataError: where the tarball does not have emojibase's layout.
    """
    emoji = read_json(tarball, "package/en/data.json")
    groups = read_json(tarball, "package/meta/groups.json")
    formal = read_json(tarball, "package/meta/unicode-names.json")
    try:
        return [
            Label(
                slug=slug(e["label"]),
                formal=slug(formal.get(e["hexcode"], "")),
                subgroup=groups["subgroups"][str(e["subgroup"])],
                order=e["order"],
            )
            for e in emoji
            if "subgroup" in e
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{tarball} does not have the layout of emojibase-data: {error!r}") from None


def icon_names(icons: Mapping[str, Any], labels: Sequence[Label]) -> dict[str, str]:
    """{name: icon} of an iconify set: every icon, and the aliases that draw the same emoji (see above)."""
    names = {name: name for name in icons["icons"]}
    slugs = {label.slug for label in labels}
    for alias, entry in icons.get("aliases", {}).items():
        parent = entry["parent"]
        if set(entry) <= {"parent", "hidden"} and parent in icons["icons"] and parent not in slugs:
            names.setdefault(alias, parent)
    for label in slugs:
        if f"{label}-1" in icons["icons"]:
            names.setdefault(label, f"{label}-1")
    return names


def choose(labels: Sequence[Label], names: Mapping[str, Mapping[str, str]], counted: Sequence[str]) -> Plan:
    """Apply the rule of this module to `names`, {style: {name: icon}}; `counted` are the styles that choose classes.

    Raises:
        DataError: where a superclass keeps no class, or two classes have the same slug.
    """
    superclasses = []
    for name, subgroups in SUBGROUPS.items():
        members = [label for label in labels if label.subgroup in subgroups]
        drawn = [(sum(m.slug in names[style] for style in counted), m) for m in members]
        kept = sorted((c for c in drawn if c[0] >= MIN_STYLES), key=lambda c: (-c[0], c[1].order))
        if not kept:
            raise DataError(f"superclass {name!r} keeps no class: none is drawn by {MIN_STYLES} styles")
        superclasses.append(Superclass(name, tuple(m.slug for _, m in kept[:MAX_CLASSES])))
    chosen = [c for s in superclasses for c in s.class_names]
    if len(set(chosen)) != len(chosen):
        twice = sorted({c for c in chosen if chosen.count(c) > 1})
        raise DataError(f"two emoji have the same label slug: {', '.join(twice)}")
    by_slug = {label.slug: label for label in labels}
    classes = [by_slug[c] for c in chosen]
    return Plan(tuple(superclasses), {style: _match(classes, table) for style, table in names.items()})


def others(labels: Sequence[Label], names: Mapping[str, Mapping[str, str]], plan: Plan) -> Plan:
    """What `plan` leaves, of the same superclasses and of `NONE`, which comes last; no icon of it is used again."""
    chosen = {c for s in plan.superclasses for c in s.class_names}
    left = {label.slug: label for label in labels if label.slug not in chosen and label.subgroup not in PASSED_OVER}
    owner = {subgroup: name for name, subgroups in SUBGROUPS.items() for subgroup in subgroups}
    members: dict[str, list[Label]] = {name: [] for name in (*SUBGROUPS, NONE)}
    for label in left.values():
        members[owner.get(label.subgroup, NONE)].append(label)
    classes = [label for group in members.values() for label in group]
    return Plan(
        tuple(Superclass(name, tuple(label.slug for label in group)) for name, group in members.items()),
        {style: _match(classes, table, plan.icons[style].values()) for style, table in names.items()},
    )


def _match(classes: Sequence[Label], names: Mapping[str, str], used: Iterable[str] = ()) -> dict[str, str]:
    """{class: icon}; formal names of all classes before labels, and no icon for two classes, nor any of `used`."""
    found: dict[str, str] = {}
    taken = set(used)
    for texts in ([c.formal for c in classes], [c.slug for c in classes]):
        for label, text in zip(classes, texts, strict=True):
            icons = [names[name] for name in (text, text.replace("-", "")) if name and name in names]
            free = [icon for icon in icons if icon not in taken]
            if label.slug not in found and free:
                found[label.slug] = free[0]
                taken.add(free[0])
    return {c.slug: found[c.slug] for c in classes if c.slug in found}
