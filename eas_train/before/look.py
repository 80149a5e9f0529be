"""One image file looked at: whether it can be read, and what it looks like.

What a photo looks like is told by its perceptual hash (Zauner 2010, as the package `imagehash` computes it): which of
the lowest frequencies of its grey values are above their median. That hardly changes where a photo is made smaller or
compressed again. Colours do not count in it, so that its mean colour stands beside it.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import ImageError
from eas_sdk.image_file import decode

SIDE = 32
"""Pixels a side that are compared; a JPEG is decoded at an eighth of its size where that is more."""
FREQUENCIES = 16
"""In each direction: the hash has so many bits, squared."""
FLAT = 2.0
"""Standard deviation of grey values below which an image looks like any other plain one."""
HASH_BYTES = FREQUENCIES**2 // 8


ENDS = {b"\xff\xd8": b"\xff\xd9", b"\x89PNG": b"IEND\xaeB`\x82", b"GIF8": b"\x3b"}
"""How files of common formats begin and end."""


@dataclass(frozen=True)
class Look:
    """What is seen of a file.

    Attributes:
        error: why it cannot be read as an image; "" where it can.
        looks: its hash, `HASH_BYTES` of it, and its mean colour (3 bytes); b"" where it is plain, or cannot be read.
        digest: SHA-256 of the content; b"" where nobody asked.
    """

    error: str = ""
    looks: bytes = b""
    digest: bytes = b""


def look(path: Path, *, digest: bool) -> Look:
    """Read a file as a training does, at a part of its size where its format allows that."""
    try:
        content = path.read_bytes()
        if not content:
            return Look("it is empty")
        looks = looks_of(decode(content, SIDE))
    except OSError as error:
        return Look(error.strerror or str(error))
    except ImageError as error:
        return Look(str(error))
    return Look("", looks, hashlib.sha256(content).digest() if digest else b"")


def seems_whole(path: Path) -> bool:
    """Whether a file begins and ends as its format does: a hint that takes no decoding. A file may have more behind its
    end, and damaged ones may seem whole."""
    try:
        with path.open("rb", buffering=0) as file:
            begins = file.read(8)
            end = next((end for begin, end in ENDS.items() if begins.startswith(begin)), b"")
            file.seek(-len(end) or 0, os.SEEK_END)
            return len(begins) == 8 and file.read(len(end)) == end
    except OSError:
        return False


def looks_of(pixels: npt.NDArray[np.uint8]) -> bytes:
    """See `Look`.

    Args:
        pixels: [H, W, 3].
    """
    from PIL import Image
    from scipy.fft import dctn

    small = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    grey = np.asarray(small.convert("L"), np.float32)
    if grey.std() < FLAT:
        return b""
    low = dctn(grey)[:FREQUENCIES, :FREQUENCIES]
    colour = np.asarray(small).mean((0, 1)).round().astype(np.uint8)
    return bytes(np.packbits(low > np.median(low))) + bytes(colour)
