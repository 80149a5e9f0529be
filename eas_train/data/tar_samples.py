"""The samples of one tar shard, as WebDataset groups its members: where each image lies, and what its label says.

Members that follow one another and agree up to the first dot of their file names are one sample: `000017.jpg`,
`000017.cls`, `000017.json`. Only headers and labels are read, and nothing is unpacked: a member's name never becomes
a path.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from eas_sdk.errors import DataError
from eas_sdk.image_file import SUFFIXES

IMAGES = tuple(suffix[1:] for suffix in SUFFIXES)
LABEL_KEYS = ("cls", "label")
"""Of a sample's JSON, where it has no member `.cls`."""
MOST_LABEL_BYTES = 1 << 24
MOST_IMAGE_BYTES = 2**30
MOST_PADDING_BYTES = 1 << 20
"""Zeros after the last member; tar writes 1,024 and fills up a record, of 10,240 if nobody asks for another."""
META = re.compile(r"__[^/]*__($|/)")
"""Members that WebDataset passes over."""


class Sample(NamedTuple):
    """A sample with an image.

    Attributes:
        offset: of the image's first byte in the shard; length: in bytes.
        label: the text of `.cls`, or what JSON has under one of `LABEL_KEYS`; None where there is neither.
    """

    offset: int
    length: int
    label: str | None


def read_samples(shard: Path) -> list[Sample]:
    """The samples of a shard that have an image, in their order.

    Raises:
        DataError: naming the shard: it cannot be read, is no tar file, compressed, cut off or damaged; or naming the
            sample too: it has a member twice, several images, or a label that is none.
    """
    from webdataset.tariterators import group_by_keys

    try:
        with tarfile.open(shard, "r:") as archive:
            found = (_sample(archive, grouped) for grouped in group_by_keys(_members(archive, os.fspath(shard))))
            return [sample for sample in found if sample is not None]
    except DataError as error:
        raise DataError(f"{shard}: {error}") from None
    # Broken headers surface as anything that parsing a number or a text raises. webdataset adds arguments to its own.
    except Exception as error:
        why = error.args[0] if error.args and isinstance(error.args[0], str) else error
        raise DataError(f"a shard is a whole tar file, not compressed; {shard} cannot be read: {why}") from None


def _members(archive: tarfile.TarFile, shard: str) -> Iterator[dict[str, Any]]:
    """The files of an archive as `group_by_keys` takes them, with headers in place of content."""
    before = -1
    while (member := archive.next()) is not None:
        archive.members.clear()  # type: ignore[attr-defined]  # its stubs lack it; a large shard's would fill memory
        if member.size < 0 or archive.offset <= before:
            raise tarfile.ReadError(f"member {member.name!r} does not say where the next one begins")
        before = archive.offset
        if member.isreg() and not META.match(member.name):
            yield {"fname": member.name, "data": member, "__url__": shard}
    _check_end(archive)


def _check_end(archive: tarfile.TarFile) -> None:
    """tarfile takes anything that is no header for the end, and a file that was cut off between two members too."""
    file = archive.fileobj
    assert file is not None
    file.seek(archive.offset)
    rest = file.read(MOST_PADDING_BYTES + 1)
    if rest.strip(b"\0"):
        raise tarfile.ReadError(f"there is neither a member nor the end at byte {archive.offset}")
    if len(rest) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("it ends without the zeros that end a tar file")
    if len(rest) > MOST_PADDING_BYTES:
        raise tarfile.ReadError(
            f"more than {MOST_PADDING_BYTES} zeros follow byte {archive.offset}, as in a download that stopped"
        )


def _sample(archive: tarfile.TarFile, grouped: dict[str, Any]) -> Sample | None:
    """None where it has no image."""
    key = grouped["__key__"]
    images = [suffix for suffix in IMAGES if suffix in grouped]
    if not images:
        return None
    if len(images) > 1:
        raise DataError(f"a sample has one image; {key!r} has {', '.join(images)}")
    image = grouped[images[0]]
    if image.issparse() or image.size > MOST_IMAGE_BYTES:
        raise DataError(f"an image is one run of at most {MOST_IMAGE_BYTES} bytes; that of {key!r} is not")
    label = None
    if "cls" in grouped:
        label = _text(archive, grouped["cls"]).strip()
    elif "json" in grouped:
        label = _label_of(_text(archive, grouped["json"]), key)
    if label == "":
        raise DataError(f"a label is text or a number; that of {key!r} is empty")
    return Sample(image.offset_data, image.size, label)


def _text(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    if member.size > MOST_LABEL_BYTES:
        raise DataError(f"a label takes at most {MOST_LABEL_BYTES} bytes; {member.name!r} has {member.size}")
    file = archive.extractfile(member)
    assert file is not None
    try:
        return file.read().decode()
    except UnicodeDecodeError as error:
        raise DataError(f"a label is text in UTF-8; {member.name!r} is not: {error}") from None


def _label_of(text: str, key: str) -> str | None:
    """What a sample's JSON says of its label, if anything."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{key!r} has a member .json that is not JSON: {error}") from None
    if not isinstance(fields, dict):
        return None
    value = next((fields[name] for name in LABEL_KEYS if fields.get(name) is not None), None)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise DataError(f"a label is text or a whole number; the JSON of {key!r} has {value!r:.60}")
    return str(value).strip()
