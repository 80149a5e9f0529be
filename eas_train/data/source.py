"""Where the images of a training come from: the emoji, or a folder in one of the known layouts."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from eas_sdk.errors import InputError
from eas_train.data.class_lists import ClassList, read_list

if TYPE_CHECKING:
    from eas_train.data.listing import Listing
    from eas_train.data.splits import Images, Splits

UNLABELLED = "unlabelled"

Kind = Literal["drawing", "photo"]
"""Drawings are decoded once, to squares in memory; photos stay files."""

LAYOUTS = ("tree", "flat", "shards", "imagenet", "cars", "cifar", "tiny-imagenet", UNLABELLED)
"""Folders or lists of one's own (`own_photos`); class/image with a class list; tar shards with one; four public data
sets as they are unpacked; and photos that only a published network says anything of."""

LAYOUT_OF = {
    "imagenet": "imagenet",
    "imagenet-10": "imagenet",
    "imagenet-12": "imagenet",
    "car-20": "cars",
    "cifar-100": "cifar",
    "photos": "tiny-imagenet",
}
"""The layout that goes with a shipped class list; any other list is for class folders."""


@dataclass(frozen=True)
class Source:
    """What to load.

    Attributes:
        folder: the images, or the list of them; None means the emoji.
        others: images of other classes, for the router, see `own_photos.list_others`; by default what the class list
            leaves out of the layout "tiny-imagenet", and none in any other.
        cache: where the emoji are.
        classes: a class list, by name or file; every layout but "tree" needs one.
        layout: one of `LAYOUTS`; by default that which goes with the class list.
        left_out, others_left_out: names of files (see `own_photos.Own`) of the folder and of `others` that are taken
            as if they were not there.

    Raises:
        InputError: options that exclude each other, or one that is missing.
    """

    folder: Path | None = None
    others: Path | None = None
    cache: Path | None = None
    classes: str | None = None
    layout: str | None = None
    left_out: tuple[str, ...] = ()
    others_left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.folder is None:
            for name in ("others", "classes", "layout"):
                if getattr(self, name) is not None:
                    raise InputError(f"--{name} is for images of --data; the emoji bring their own")
        elif self.cache is not None:
            raise InputError("images come from --data or from the emoji --cache; got both")
        if self.layout is not None and self.layout not in LAYOUTS:
            raise InputError(f"a layout is one of {LAYOUTS}; got {self.layout!r}")
        if (self.layout not in (None, "tree", UNLABELLED)) and self.classes is None:
            raise InputError(f"--layout {self.layout} needs a class list, --classes NAME or FILE.json")
        if self.layout == "tree" and self.classes is not None:
            raise InputError("--layout tree takes its classes from the folders; leave out --classes")
        if self.layout == UNLABELLED and self.classes not in (None, "imagenet"):
            raise InputError(
                f"--layout {UNLABELLED} takes the classes of the published network that a recipe begins with, the list "
                f"'imagenet'; got --classes {self.classes}"
            )

    def load(self, side: int, kind: Kind = "drawing") -> tuple[Splits[Images], Splits[Images] | None, tuple[str, ...]]:
        """The images, those of other things, and whose work they are.

        Args:
            side: of drawings, in pixels; photos keep their own.
            kind: what images are taken as, which is what the augmentation is for. A photo that cannot be read is
                found only when it is asked for.

        Raises:
            DataError: naming what is missing or wrong.
            InputError: the images are of the other kind only: the emoji are drawings, CIFAR-100 and shards photos.
            MissingDependency: a package that reads them is not installed.
        """
        from eas_train.data.listing import as_drawings, as_photos
        from eas_train.data.own_photos import list_others

        if self.folder is None:
            return self._emoji(kind)

        def made(listing: Listing) -> Splits[Images]:
            return as_drawings(listing, side) if kind == "drawing" else as_photos(listing)

        splits: Splits[Images]
        if self._layout == "cifar":
            splits, rest = self._cifar(self.folder, kind), None
        elif self._layout == "shards":
            splits, rest = self._shards(self.folder, kind), None
        else:
            listing, rest = self._listing(self.folder)
            logging.getLogger(__name__).info("%s: %s", self.folder, listing)
            splits = made(listing)
        if self.others is not None:
            rest = list_others(self.others, splits.superclasses, without=self.others_left_out)
        return splits, None if rest is None else made(rest), ()

    @property
    def is_own(self) -> bool:
        """Whether the images are one's own, in a folder or a list that is taken as it is found."""
        return self.folder is not None and self._layout == "tree"

    @property
    def _layout(self) -> str:
        if self.layout is not None:
            return self.layout
        return "tree" if self.classes is None else LAYOUT_OF.get(self.classes, "flat")

    def _emoji(self, kind: Kind) -> tuple[Splits[Images], Splits[Images], tuple[str, ...]]:
        from eas_train.data.emoji import OTHERS, load_emoji
        from eas_train.data.styles import STYLES

        if kind == "photo":
            raise InputError(
                "an augmentation of kind 'photo' is for photos of --data; the emoji are drawings, of kind 'drawing'"
            )
        return load_emoji(self.cache), load_emoji(self.cache, kind=OTHERS), tuple(s.attribution for s in STYLES)

    def _cifar(self, folder: Path, kind: Kind) -> Splits[Images]:
        from eas_train.data.cifar import load_cifar

        if kind == "drawing":
            raise InputError("an augmentation of kind 'drawing' is for drawings; CIFAR-100 is photos, of kind 'photo'")
        return load_cifar(folder, read_list(str(self.classes)))

    def _shards(self, folder: Path, kind: Kind) -> Splits[Images]:
        from eas_train.data.shard_splits import load_shards

        if kind == "drawing":
            raise InputError("an augmentation of kind 'drawing' is for drawings; shards hold photos, of kind 'photo'")
        return load_shards(folder, read_list(str(self.classes)))

    def _listing(self, folder: Path) -> tuple[Listing, Listing | None]:
        """The images, and what the class list leaves out where that serves as `others`."""
        from eas_train.data.cars import list_cars
        from eas_train.data.flat import list_flat
        from eas_train.data.imagenet import list_imagenet
        from eas_train.data.own_photos import list_own
        from eas_train.data.tiny_imagenet import list_tiny_imagenet

        if self._layout == "tree":
            return list_own(folder, without=self.left_out), None
        classes = read_list(str(self.classes))
        if self._layout == "tiny-imagenet":
            return list_tiny_imagenet(folder, classes)
        listers: dict[str, Callable[[Path, ClassList], Listing]] = {
            "flat": list_flat,
            "imagenet": list_imagenet,
            "cars": list_cars,
        }
        return listers[self._layout](folder, classes), None
