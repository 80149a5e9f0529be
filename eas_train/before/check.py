"""What a check of images found, for Python, notebooks and programs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eas_train import html_page

FEW = 10
"""Training images of a class below which it is pointed out."""
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class OfClass:
    """How many images there are of a class, by split; the one key "" where they could not be divided."""

    superclass: str
    name: str
    images: Mapping[str, int]

    @property
    def trained(self) -> int:
        """Images that train, as far as that is known."""
        return self.images.get("train", self.images.get("", 0))


@dataclass(frozen=True)
class Unreadable:
    """A file that cannot be read as an image, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class Member:
    """A file among its copies: its split ("" where images could not be divided) and its class."""

    file: str
    split: str
    class_name: str

    def __str__(self) -> str:
        return f"{self.file} ({self.class_name}, {self.split})" if self.split else f"{self.file} ({self.class_name})"


@dataclass(frozen=True)
class Copies:
    """Files that show the same.

    Attributes:
        exact: whether they have the same content; else they are the same photo at another size, or compressed again.
    """

    exact: bool
    members: tuple[Member, ...]

    @property
    def splits(self) -> frozenset[str]:
        """That they lie in."""
        return frozenset(member.split for member in self.members)

    @property
    def classes(self) -> frozenset[str]:
        """That they are of."""
        return frozenset(member.class_name for member in self.members)


@dataclass(frozen=True, repr=False)
class Check:
    """What a training would find in a folder or a list of images; a notebook shows it as tables.

    Attributes:
        path: the folder or the list.
        taken: what it was taken for, in words; may be empty.
        classes: of the images, sorted by superclass.
        unreadable: files that are no images, or damaged; a training that leaves them out has no problem with them.
        passed_over: files that are not looked at, by suffix.
        copies: of images in several splits, or of several classes.
        repeated: images that are copies of another one of the same class and split.
        looked_at: files that were opened, of `files`.
        files: of the images.
        problems: what stops a training, in words.
        warnings: what does not, but should be known.
    """

    path: Path
    taken: str
    classes: tuple[OfClass, ...]
    unreadable: tuple[Unreadable, ...]
    passed_over: Mapping[str, int]
    copies: tuple[Copies, ...]
    repeated: int
    looked_at: int
    files: int
    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing stops a training."""
        return not self.problems

    @property
    def splits(self) -> tuple[str, ...]:
        """Those that images are in, in order."""
        seen = {split for each in self.classes for split in each.images}
        return tuple(split for split in ("", *SPLITS) if split in seen)

    @property
    def images(self) -> dict[str, int]:
        """How many there are, by split."""
        return {split: sum(each.images.get(split, 0) for each in self.classes) for split in self.splits}

    def __str__(self) -> str:
        superclasses = len({each.superclass for each in self.classes})
        counts = ", ".join(f"{count} {split}".rstrip() for split, count in self.images.items()) or "no"
        said = f"{superclasses} superclasses, {len(self.classes)} classes, {counts} images"
        return f"{self.taken}; {said}" if self.taken else said

    def __repr__(self) -> str:
        parts = [f"{sum(self.images.values())} images of {len(self.classes)} classes"]
        if self.unreadable:
            parts.append(f"{len(self.unreadable)} unreadable")
        if self.warnings:
            parts.append(f"{len(self.warnings)} warnings")
        parts.append("ok" if self.ok else f"problems: {len(self.problems)}")
        return f"<Check {str(self.path)!r}: {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        made = html_page.inline(html_page.page(str(self.path), tables(self)))
        return made.encode(errors="replace").decode()  # names of files may hold bytes that are no text

    def as_json(self) -> dict[str, Any]:
        """All of it, as `eas check --json` prints it."""
        return {
            "path": os.path.abspath(self.path),
            "ok": self.ok,
            "taken": self.taken,
            "images": self.images,
            "classes": [
                {"superclass": each.superclass, "class": each.name, "images": dict(each.images)}
                for each in self.classes
            ],
            "unreadable": [{"file": each.file, "reason": each.reason} for each in self.unreadable],
            "passed_over": dict(self.passed_over),
            "copies": [
                {
                    "exact": each.exact,
                    "files": [
                        {"file": member.file, "split": member.split, "class": member.class_name}
                        for member in each.members
                    ],
                }
                for each in self.copies
            ],
            "repeated": self.repeated,
            "looked_at": self.looked_at,
            "files": self.files,
            "problems": list(self.problems),
            "warnings": list(self.warnings),
        }


def by_class(check: Check, classes: Sequence[OfClass]) -> html_page.Table:
    """Classes and how many images each has."""
    columns = ["class", "superclass", *(split or "images" for split in check.splits)]
    return columns, [
        [each.name, each.superclass, *(str(each.images.get(split, 0)) for split in check.splits)] for each in classes
    ]


def tables(check: Check) -> list[str]:
    """A check as parts of a page."""
    parts = [html_page.paragraph(f"{check}.")]
    parts += [html_page.paragraph(f"Stops a training: {text}") for text in check.problems]
    parts += [html_page.paragraph(text) for text in check.warnings]
    parts += [html_page.heading("Classes"), html_page.table(by_class(check, check.classes))]
    if check.unreadable:
        rows = [[each.file, each.reason] for each in check.unreadable]
        what = "Left out, as it cannot be read" if check.ok else "Cannot be read"
        parts += [html_page.heading(what), html_page.table((["file", "why"], rows))]
    return parts
