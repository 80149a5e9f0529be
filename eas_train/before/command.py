"""`eas check`, and what `eas train` checks before it begins."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from eas_sdk.errors import DataError, InputError
from eas_sdk.extras import training_packages
from eas_train.before.check import Check

if TYPE_CHECKING:
    from eas_train.data.listing import Listing
    from eas_train.data.source import Source
    from eas_train.pipeline import Training

BEFORE_S = 15.0
"""That a training looks at its images before it begins, at most; what it did not come to may stop it later."""
BAD = "mend or remove them, or leave them out with --skip-bad"


def check(path: str | os.PathLike[str], *, page: str | os.PathLike[str] | None = None) -> Check:
    """What a training would find in a folder or a list of images: `eas check`.

    Every file is opened, decoded at a small size and compared with all others; what was looked at is kept in the user's
    cache folder, so that only new files are looked at again.

    Args:
        path: images in any form that `train` takes as `data` without `classes` and `layout`.
        page: an .html file to write, with a mosaic of photos as a network sees them in training; what was found goes
            beside it, as .json.

    Raises:
        DataError: there is nothing at `path`.
        InputError: `page` is no .html file.
        MissingDependency: the packages of the extra `train` are not installed.
    """
    with training_packages():
        from eas_train.before.examine import examine, unlisted
        from eas_train.data.own_photos import find_own
    place, html = Path(path), None if page is None else Path(page)
    if html is not None and html.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"a page is a file .html; got {html}")
    if not place.exists():
        raise DataError(f"images lie in a folder, or a file lists them; there is no {place}")
    listing = None
    try:
        found, listing = examine(find_own(place))
    except DataError as error:
        found = unlisted(place, error)
    if html is not None:
        with training_packages():
            from eas_train.before.page import write_check
        write_check(html, html.with_suffix(".json"), found, [] if listing is None else _mosaic(listing))
    return found


def before_training(source: Source, *, skip_bad: bool) -> tuple[Source, Check | None]:
    """What is trained on, and what the check of it found, where images are one's own.

    Args:
        skip_bad: leave out files that cannot be read; all are looked at then.

    Raises:
        InputError: images are not one's own, and files of them are to be left out.
        DataError: files cannot be read; it names them. Or as `list_own` does.
    """
    from eas_train.before.examine import examine, unreadable_of
    from eas_train.data.own_photos import find_own

    if not source.is_own or source.folder is None:
        if skip_bad:
            raise InputError("--skip-bad is for images of your own, --data DIR or FILE without --classes and --layout")
        return source, None
    began, found, left_out = time.monotonic(), [], []
    for place in (source.folder, source.others):
        if place is None:
            continue
        own = find_own(place)
        if not skip_bad:
            own.listing()  # what is known at once is told before files are opened
        seconds = None if skip_bad else max(0.0, BEFORE_S - (time.monotonic() - began))
        found.append(examine(own, seconds=seconds, skip_bad=skip_bad)[0])
        left_out.append(tuple(each.file for each in found[-1].unreadable))
        if left_out[-1]:
            said = unreadable_of(found[-1].unreadable, found[-1].files)
            if not skip_bad:
                raise DataError(f"{place}: {said}; {BAD}")
            logging.getLogger(__name__).info("left out of %s: %s", place, said)
    return replace(source, left_out=left_out[0], others_left_out=left_out[-1] if source.others else ()), found[0]


def keep(training: Training, found: Check) -> None:
    """Keep what was found in the folder of a training that begins, with pictures of its images; say what to know."""
    from eas_train.before.page import DATA, PAGE, as_bytes, as_trained, write_check

    tell = logging.getLogger(__name__).info
    for text in found.warnings:
        tell("%s", text)
    page, data = training.folder / PAGE, training.folder / DATA
    if page.is_file() and data.is_file() and data.read_bytes() == as_bytes(found):
        return
    supernet = training.recipe.supernet
    size = supernet.search_space().input_sizes[-1]
    write_check(page, data, found, as_trained(training.data.train, supernet.augmentation, size))
    tell("what it is made of, and how the network will see it: %s", page)


def _mosaic(listing: Listing) -> list[str]:
    """Photos as a training of one's own shows them to the largest network of the bundle that it begins with."""
    from eas_sdk.bank.bundle import read
    from eas_sdk.bank.shipped import bundle_file
    from eas_train.before.page import as_trained
    from eas_train.data.listing import as_photos
    from eas_train.own import TRANSFER
    from eas_train.recipe import Recipe

    with bundle_file(None) as file:
        size = read(file).space.input_sizes[-1]
    return as_trained(as_photos(listing).train, Recipe.read(TRANSFER).supernet.augmentation, size)
