"""`data.html`: what a training is made of, on one page: photos as the network will see them, classes, copies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from eas_sdk.bank.atomic import write_atomically
from eas_sdk.errors import ImageError
from eas_sdk.image_file import read_image
from eas_train import html_page
from eas_train.before.check import Check, Copies, Member, tables
from eas_train.data.feed import AnyAugmentation, Asked, augmented
from eas_train.data.splits import Images, evenly

PAGE, DATA = "data.html", "check.json"
"""In the folder of a training."""
SHOWN = 48
"""Augmented images."""
PAIRS = 12
"""Groups of copies that are shown, with at most two images of each."""
SIDE = 96


def write_check(path: Path, data: Path, check: Check, mosaic: list[str]) -> None:
    """Write a check for people and for programs.

    Args:
        path: of the page; data: of the JSON file.
        mosaic: what `as_trained` made; may be empty.
    """
    parts = tables(check)
    if mosaic:
        parts[1:1] = [html_page.heading("As the network will see training images"), *mosaic]
    if check.copies:
        parts += [html_page.heading("The same, or nearly, in several splits or classes"), *_pairs(check)]
    # Names of files may hold bytes that are no text.
    write_atomically(path, [html_page.page(check.path.absolute().name, parts).encode(errors="replace")])
    write_atomically(data, [as_bytes(check)])


def as_bytes(check: Check) -> bytes:
    """A check as a JSON file."""
    return (json.dumps(check.as_json(), indent=1) + "\n").encode()


def as_trained(train: Images, settings: AnyAugmentation, size: int) -> list[str]:
    """Pictures of some training images of all classes, augmented as in training.

    Args:
        size: side of the network's input in pixels.

    Raises:
        DataError: naming one that cannot be read.
    """
    some = evenly(train, SHOWN)
    some = some.take(np.random.default_rng(0).permutation(len(some)))  # neighbours may be mixed with one another
    made = augmented(some, Asked(np.arange(len(some)), 0, size), settings, torch.device("cpu"))
    pixels = made.images.permute(0, 2, 3, 1).mul(255).round().byte().numpy()
    names = [some.classes[target] for target in made.targets.tolist()]
    figures = []
    for i, (image, name) in enumerate(zip(pixels, names, strict=True)):
        caption = name
        if made.own is not None and (own := float(made.own[i])) < 1:
            caption = f"{own:.0%} {name}, {1 - own:.0%} {names[i ^ 1]}"
        figures.append(html_page.captioned(html_page.photo(image, name), caption))
    return figures


def _pairs(check: Check) -> Iterator[str]:
    """Some of the copies, side by side."""
    place = check.path if check.path.is_dir() else check.path.absolute().parent
    for group in check.copies[:PAIRS]:
        for member in _two(group):
            with suppress(ImageError):
                pixels = read_image(place / member.file, SIDE)
                image = html_page.photo(pixels, member.class_name, longest=2 * SIDE)
                yield html_page.captioned(image, str(member))
        yield "<br>"
    if len(check.copies) > PAIRS:
        yield html_page.paragraph(f"And {len(check.copies) - PAIRS} more.")


def _two(group: Copies) -> tuple[Member, Member]:
    """The first, and the first that differs from it in more than its name."""
    first, *others = group.members
    where = first.split, first.class_name
    return first, next(each for each in others if (each.split, each.class_name) != where)
