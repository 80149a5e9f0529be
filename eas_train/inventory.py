"""Which images a training is made of, as its folder keeps it, and in what others differ."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eas_sdk.bank.atomic import write_atomically
from eas_train.data.imageset import ImageSet
from eas_train.data.splits import Images
from eas_train.pipeline import Training

FILE = "data.json.gz"
MOST = 200_000
"""Images that are listed; of more only what they come to is known."""
KEY = 8
"""Hex digits that tell an image from another of its name."""
NAMES = {
    "data": "images of --data",
    "others": "images of --others",
    "unlabelled": "images of --unlabelled",
    "start": "bundle of --from",
    "teacher": "teacher",
}

Listed = tuple[str, str, str]
"""The split, the class and the key of an image."""


@dataclass(frozen=True)
class Inventory:
    """All that a training reads.

    Attributes:
        digests: {where from: digests}, by the keys of `NAMES`.
        classes: {class: superclass}.
        images: {where from: {name: what it is}}.
    """

    digests: Mapping[str, Sequence[str]]
    classes: Mapping[str, str]
    images: Mapping[str, Mapping[str, Listed]]

    @classmethod
    def of(cls, training: Training, known: Inventory | None = None) -> Inventory:
        """What a training reads; `known` where it is the same, as to list images takes as long as to read them."""
        data, others, unlabelled = training.data, training.others, training.unlabelled
        parts: dict[str, dict[str, Images]] = {
            "data": {"training": data.train, "validation": data.validation, "test": data.test},
            "others": {} if others is None else {"training": others.train, "validation": others.validation},
            "unlabelled": {} if unlabelled is None else {"": unlabelled},
        }
        digests = {name: [images.digest for images in splits.values()] for name, splits in parts.items()}
        for name, given in (("start", training.origin), ("teacher", training.teacher)):
            digests[name] = [] if given is None else [given.digest]
        owners = {name: s.name for s in data.superclasses for name in s.class_names}
        if known is not None and (known.digests, known.classes) == (digests, owners):
            return known
        count = sum(len(images) for splits in parts.values() for images in splits.values())
        listed = {name: dict(_listed(splits)) for name, splits in parts.items()} if count <= MOST else {}
        return cls(digests, owners, listed)

    def keep(self, folder: Path) -> None:
        """Write it to a folder."""
        write_atomically(folder / FILE, [gzip.compress(json.dumps(asdict(self)).encode(), mtime=0)])

    @classmethod
    def kept(cls, folder: Path) -> Inventory | None:
        """What `keep` wrote; None where there is none, or it cannot be read."""
        try:
            data: dict[str, Any] = json.loads(gzip.decompress((folder / FILE).read_bytes()))
            images = {
                name: {k: (str(a), str(b), str(c)) for k, (a, b, c) in of.items()}
                for name, of in data["images"].items()
            }
            return cls(dict(data["digests"]), dict(data["classes"]), images)
        except (OSError, EOFError, zlib.error, ValueError, RecursionError, KeyError, TypeError, AttributeError):
            return None

    def other_than(self, before: Inventory) -> Iterator[str]:
        """In what it differs, in words."""
        yield from _regrouped(before.classes, self.classes)
        both = before.classes, self.classes
        known = {name for name in both[0] if both[0][name] == both[1].get(name)}
        for where, name in NAMES.items():
            if self.digests.get(where, []) != before.digests.get(where, []):
                old, new = before.images.get(where, {}), self.images.get(where, {})
                if where == "data":  # images of a class that moved, came or went are told by that
                    old, new = ({name: i for name, i in of.items() if i[1] in known} for of in (old, new))
                changes = ", ".join(_changes(old, new))
                if changes or where != "data" or len(known) == len(both[0]) == len(both[1]):
                    yield f"{name}: {changes}" if changes else f"not the same {name}"


def _listed(splits: Mapping[str, Images]) -> Iterator[tuple[str, Listed]]:
    for split, images in splits.items():
        several = isinstance(images, ImageSet) and len(set(images.sources)) > 1
        for i, target in enumerate(images.targets.tolist()):
            label = images.classes[target] if target >= 0 else ""
            if isinstance(images, ImageSet):
                name = f"{images.sources[i]}/{images.names[i]}" if several else images.names[i]
                key = hashlib.sha256(np.ascontiguousarray(images.images[i]).data).hexdigest()
            else:
                name, key = images.store.name(i), images.store.key(i)
            yield name, (split, label, key[:KEY])


def _regrouped(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    moved = [name for name in now if name in before and now[name] != before[name]]
    for names, change in (
        (moved, "moved from {before!r} to {now!r}"),
        ([name for name in now if name not in before], "is new"),
        ([name for name in before if name not in now], "is gone"),
    ):
        if names:
            first, more = names[0], f", and {len(names) - 1} more" if len(names) > 1 else ""
            yield f"class {first!r} {change.format(before=before.get(first), now=now.get(first))}{more}"


def _changes(before: Mapping[str, Listed], now: Mapping[str, Listed]) -> Iterator[str]:
    """How images that are listed differ; nothing where they are not listed."""
    if not before or not now:
        return
    both = [name for name in now if name in before]

    def differ(at: int) -> list[str]:
        return [name for name in both if now[name][at] != before[name][at]]

    found = {
        "added": [name for name in now if name not in before],
        "removed": [name for name in before if name not in now],
        "changed": differ(2),
        "of another class": differ(1),
    }
    if not any(found.values()):  # else a seeded draw divides them otherwise
        found = {"in another split": differ(0)}
    for change, names in found.items():
        if names:
            yield f"{len(names)} {change} (first: {min(names)})"
