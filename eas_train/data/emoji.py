"""Emoji by ten design teams as an image set: built once into a cache folder, then loaded from there.

    <cache>/packages/*.tgz          verified npm tarballs
    <cache>/styles/<style>/         the image set of a finished style
    <cache>/others/<style>/         its drawings of all other emoji, for a router

Splits are by style: test = emojione, validation = emojione-v1, training = the other eight.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eas_sdk.errors import DataError, MissingDependency
from eas_train.data import imageset
from eas_train.data.imageset import ImageSet
from eas_train.data.labels import Plan, choose, icon_names, others, read_labels
from eas_train.data.packages import fetch, read_json
from eas_train.data.raster import rasterise, renderer_version, svg_document
from eas_train.data.splits import Splits
from eas_train.data.styles import EMOJIBASE, STYLES, Package, Style

CLASSES, OTHERS = "styles", "others"

SIZE = 96
"""Side of the cached drawings in pixels."""

Advance = Callable[[str], None]
"""Called after each finished package or drawing, with its name."""


@dataclass(frozen=True)
class Failure:
    """A drawing that could not be rasterised and was left out."""

    style: str
    icon: str
    reason: str


def cache_folder(cache: str | os.PathLike[str] | None = None) -> Path:
    """The argument, else $EAS_CACHE, else `emoji-v1` in the user's cache folder for eas_sdk.

    Raises:
        MissingDependency: where the last is needed and platformdirs is not installed.
        DataError: where the last is needed and the user has no home folder.
    """
    if cache is not None:
        return Path(cache).expanduser()
    if os.environ.get("EAS_CACHE"):
        return Path(os.environ["EAS_CACHE"]).expanduser()
    try:
        import platformdirs
    except ImportError:
        raise MissingDependency(
            "finding the user's cache folder needs platformdirs, or the variable EAS_CACHE", "train"
        ) from None
    folder = Path(platformdirs.user_cache_dir("eas_sdk"))
    if not folder.is_absolute():
        raise DataError("the drawings are kept in EAS_CACHE or the home folder; this user has neither")
    return folder / "emoji-v1"


def make_plans(cache: Path, styles: Sequence[Style] = STYLES, emojibase: Package = EMOJIBASE) -> dict[str, Plan]:
    """Choose classes and icons from the packages, which are fetched where they are not in the cache yet.

    Returns:
        "styles": what the classes are and who draws them; "others": all other emoji (see labels.py). The names are
        those of the folders in the cache.

    Raises:
        MissingDependency, DataError: as `packages.fetch`, `read_labels` and `choose` do.
    """
    labels = read_labels(fetch(emojibase, cache / "packages"))
    names = {
        style.name: {n: i for n, i in icon_names(_icons(style, cache), labels).items() if i not in style.misnamed}
        for style in styles
    }
    plan = choose(labels, names, counted=[style.name for style in styles if style.whole])
    return {CLASSES: plan, OTHERS: others(labels, names, plan)}


def build_style(
    style: Style,
    plan: Plan,
    cache: Path,
    kind: str = CLASSES,
    size: int = SIZE,
    advance: Advance = lambda name: None,
) -> list[Failure]:
    """Rasterise one style into the cache unless the same is already there; returns the drawings left out.

    Args:
        kind: `CLASSES` or `OTHERS`, whose plan it is.

    Raises:
        MissingDependency: where resvg-py or Pillow is not installed.
        DataError: where the style's package cannot be read.
    """
    wanted, folder, origin = plan.icons[style.name], cache / kind / style.name, _origin(style, plan, size)
    done = _finished(folder, origin)
    if done is not None:
        for icon in wanted.values():
            advance(icon)
        return [Failure(style.name, i, "left out when built") for i in wanted.values() if i not in done.names]
    icons = _icons(style, cache)
    classes = tuple(c for s in plan.superclasses for c in s.class_names)
    pixels, targets, names, failures = [], [], [], []
    for class_name, icon in wanted.items():
        try:
            pixels.append(rasterise(svg_document(icons, icon, size), size))
            targets.append(classes.index(class_name))
            names.append(icon)
        except DataError as error:
            failures.append(Failure(style.name, icon, str(error)))
        advance(icon)
    images = np.stack(pixels) if pixels else np.zeros((0, size, size, 4), np.uint8)
    sources = (style.name,) * len(names)
    drawn = ImageSet(images, np.asarray(targets, np.int64), classes, plan.superclasses, sources, tuple(names))
    imageset.save(drawn, folder, origin=origin)
    return failures


def load_emoji(
    cache: str | os.PathLike[str] | None = None, *, styles: Sequence[Style] = STYLES, kind: str = CLASSES
) -> Splits[ImageSet]:
    """The three splits from a cache that `command.prepare` has built.

    Args:
        kind: `CLASSES`, or `OTHERS`: emoji of the same superclasses and of none, for a router.

    Raises:
        DataError: where a style is missing, damaged, or was built with other classes; it says what to run.
    """
    folder = cache_folder(cache)
    try:
        sets = {style.name: imageset.load(folder / kind / style.name) for style in styles}
        return Splits(
            imageset.concatenate([sets[s.name] for s in styles if s.split == "train"]),
            imageset.concatenate([sets[s.name] for s in styles if s.split == "validation"]),
            imageset.concatenate([sets[s.name] for s in styles if s.split == "test"]),
        )
    except DataError as error:
        raise DataError(f"the emoji cache {folder} must be built by `eas data` first: {error}") from None


def _finished(folder: Path, origin: str) -> ImageSet | None:
    """The image set of `folder` if it is whole and of this origin."""
    try:
        return imageset.load(folder) if imageset.read_manifest(folder)["origin"] == origin else None
    except DataError:
        return None


def _icons(style: Style, cache: Path) -> Mapping[str, Any]:
    icons = read_json(fetch(style.package, cache / "packages"), "package/icons.json")
    if not isinstance(icons, dict) or not isinstance(icons.get("icons"), dict):
        raise DataError(f"{style.package.name} {style.package.version} does not have the layout of an iconify set")
    return icons


def _origin(style: Style, plan: Plan, size: int) -> str:
    """A digest of all that the pixels and labels of a style depend on."""
    superclasses = [[s.name, s.class_names] for s in plan.superclasses]
    recipe = [style.package.integrity, size, renderer_version(), plan.icons[style.name], superclasses]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()
