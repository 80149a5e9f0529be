"""`eas data`: fetch and rasterise the emoji data set, and say what came of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from eas_sdk.errors import MissingDependency
from eas_train.data.emoji import OTHERS, Failure, build_style, cache_folder, load_emoji, make_plans
from eas_train.data.imageset import ImageSet, superclass_of_class
from eas_train.data.packages import fetch
from eas_train.data.splits import Splits
from eas_train.data.styles import EMOJIBASE, STYLES, Package, Style


def prepare(
    cache: str | os.PathLike[str] | None = None,
    *,
    quiet: bool = False,
    styles: Sequence[Style] = STYLES,
    emojibase: Package = EMOJIBASE,
) -> dict[str, Any]:
    """Build the emoji cache as far as it is not built yet, and return a summary as JSON-able data.

    A run that was stopped goes on where it was: verified packages and finished styles are kept. Progress and,
    unless `quiet`, tables go to standard error.

    Args:
        cache: the folder; `emoji.cache_folder` gives the default.

    Raises:
        MissingDependency: where npm, resvg-py, Pillow, rich or platformdirs is absent.
        DataError: where a package cannot be fetched, verified or read.
    """
    try:
        from eas_train.progress import progress
    except ImportError as error:
        raise MissingDependency(f"progress needs rich ({error})", "train") from None
    folder = cache_folder(cache)
    packages = [emojibase, *(style.package for style in styles)]
    with progress("fetch", len(packages)) as update:
        for done, package in enumerate(packages, start=1):
            fetch(package, folder / "packages")
            update(done, package.name)
    plans = make_plans(folder, styles, emojibase)
    failures: list[Failure] = []
    with progress("rasterise", sum(len(icons) for plan in plans.values() for icons in plan.icons.values())) as update:
        drawn = 0
        for kind, plan in plans.items():
            for style in styles:

                def advance(icon: str, style: Style = style) -> None:
                    nonlocal drawn
                    drawn += 1
                    update(drawn, f"{style.name}/{icon}")

                failures += build_style(style, plan, folder, kind, advance=advance)
    report = summary(load_emoji(folder, styles=styles), failures, styles)
    report["others"] = counts(load_emoji(folder, styles=styles, kind=OTHERS))
    report["cache"] = str(folder)
    if not quiet:
        print_summary(report)
    return report


def summary(splits: Splits[ImageSet], failures: Sequence[Failure], styles: Sequence[Style] = STYLES) -> dict[str, Any]:
    """What the splits hold, as JSON-able data: counts by style, split and superclass; what was left out."""
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {
        "size_px": splits.train.size,
        "classes": len(splits.classes),
        "splits": {name: len(part) for name, part in parts.items()},
        "styles": {
            style.name: {
                "split": style.split,
                "drawings": parts[style.split].sources.count(style.name),
                "attribution": style.attribution,
            }
            for style in styles
        },
        "superclasses": counts(splits),
        "left_out": [{"style": f.style, "icon": f.icon, "reason": f.reason} for f in failures],
    }


def counts(splits: Splits[ImageSet]) -> dict[str, dict[str, int]]:
    """Classes and drawings of each superclass."""
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    of_class = superclass_of_class(splits.superclasses)
    return {
        s.name: {
            "classes": len(s.class_names),
            **{name: int(np.sum(of_class[part.targets] == i)) for name, part in parts.items()},
        }
        for i, s in enumerate(splits.superclasses)
    }


def print_summary(report: dict[str, Any]) -> None:
    """Print the report of `prepare` to standard error as tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=True)
    styles = Table("style", "split", "drawings", title="Drawings by style")
    for name, style in report["styles"].items():
        styles.add_row(name, style["split"], str(style["drawings"]))
    groups = Table("superclass", "classes", "train", "validation", "test", title="Drawings by superclass")
    for name, group in report["superclasses"].items():
        groups.add_row(name, *(str(value) for value in group.values()))
    groups.add_section()
    groups.add_row("all", str(report["classes"]), *(str(value) for value in report["splits"].values()))
    rest = Table("superclass", "emoji", "train", "validation", "test", title="Drawings of other emoji, for the router")
    for name, group in report["others"].items():
        rest.add_row(name, *(str(value) for value in group.values()))
    console.print(styles, groups, rest)
    for failure in report["left_out"]:
        console.print(f"left out {failure['style']}/{failure['icon']}: {failure['reason']}", markup=False)
    console.print(f"{report['size_px']} px, in {report['cache']}", markup=False, soft_wrap=True)
