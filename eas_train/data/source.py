"""Where the images of a training come from: the emoji, or a folder in one of the known layouts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eas_sdk.errors import InputError
from eas_train.data.class_lists import ClassList, read_list

if TYPE_CHECKING:
    from eas_train.data.splits import Images, Splits

LAYOUTS = ("tree", "flat", "imagenet", "cars", "cifar")
"""superclass/class/image; class/image with a class list; and three public data sets as they are unpacked."""

LAYOUT_OF = {"imagenet-10": "imagenet", "imagenet-12": "imagenet", "car-20": "cars", "cifar-100": "cifar"}
"""The layout that goes with a shipped class list; any other list is for class folders."""


@dataclass(frozen=True)
class Source:
    """What to load.

    Attributes:
        folder: the images; None means the emoji.
        others: images of other classes, for the router; with a folder in the layout "tree" or "flat".
        cache: where the emoji are.
        classes: a class list, by name or file; every layout but "tree" needs one.
        layout: one of `LAYOUTS`; by default that which goes with the class list.

    Raises:
        InputError: options that exclude each other, or one that is missing.
    """

    folder: Path | None = None
    others: Path | None = None
    cache: Path | None = None
    classes: str | None = None
    layout: str | None = None

    def __post_init__(self) -> None:
        if self.folder is None:
            for name in ("others", "classes", "layout"):
                if getattr(self, name) is not None:
                    raise InputError(f"--{name} is for images of --data; the emoji bring their own")
        elif self.cache is not None:
            raise InputError("images come from --data or from the emoji --cache; got both")
        if self.layout is not None and self.layout not in LAYOUTS:
            raise InputError(f"a layout is one of {LAYOUTS}; got {self.layout!r}")
        if (self.layout not in (None, "tree")) and self.classes is None:
            raise InputError(f"--layout {self.layout} needs a class list, --classes NAME or FILE.json")
        if self.layout == "tree" and self.classes is not None:
            raise InputError("--layout tree takes its classes from the folders; leave out --classes")

    def load(self, side: int) -> tuple[Splits[Images], Splits[Images] | None, tuple[str, ...]]:
        """The images with sides of so many pixels, those of other things, and whose work they are.

        Raises:
            DataError: naming what is missing or wrong.
            MissingDependency: a package that reads them is not installed.
        """
        from eas_train.data.emoji import OTHERS, load_emoji
        from eas_train.data.folder import load_folder, load_others
        from eas_train.data.styles import STYLES

        if self.folder is None:
            return load_emoji(self.cache), load_emoji(self.cache, kind=OTHERS), tuple(s.attribution for s in STYLES)
        splits: Splits[Images]
        if self.classes is None:
            splits = load_folder(self.folder, side)
        else:
            load = _loader(self.layout or LAYOUT_OF.get(self.classes, "flat"))
            splits = load(self.folder, read_list(self.classes), side)
        return splits, None if self.others is None else load_others(self.others, splits.superclasses, side), ()


def _loader(layout: str) -> Callable[[Path, ClassList, int], Splits[Images]]:
    from eas_train.data.cars import load_cars
    from eas_train.data.cifar import load_cifar
    from eas_train.data.flat import load_flat
    from eas_train.data.imagenet import load_imagenet

    loaders: dict[str, Callable[[Path, ClassList, int], Splits[Images]]] = {
        "flat": load_flat,
        "imagenet": load_imagenet,
        "cars": load_cars,
        "cifar": load_cifar,
    }
    return loaders[layout]
