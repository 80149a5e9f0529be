"""Image files to pixels, by one rule for training, evaluation, calibration and prediction.

An image is turned upright by its EXIF orientation. Grey and palettes become RGB, 16 bits become 8. An opaque image is a
photograph, and comes as it is; one with transparent pixels is a drawing, kept whole in the middle of a square.

Pillow decodes, and only formats whose files hold pixels: those that it hands to another program, or that are documents,
are not opened whatever a file is called.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import ImageError, MissingDependency

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""What counts as an image inside a folder; a file that is named is read whatever it is called."""

COMMON = ("BMP", "GIF", "JPEG", "PNG", "PPM")
OTHERS = ("AVIF", "HEIF", "JPEG2000", "MPO", "TGA", "TIFF", "WEBP")
"""Formats, by Pillow's names. It knows COMMON before it has loaded all its decoders, which takes a while."""

DRAFT = 2
"""A JPEG is decoded at a half, a quarter or an eighth of its size where that is at least so many times what is asked
for."""

LONGEST = 4096
"""Side in pixels that the square of a drawing may have: a longer drawing is reduced first."""


def read_image(path: str | os.PathLike[str], at_least: int = 0) -> npt.NDArray[np.uint8]:
    """An image file as uint8 [H, W, 3], RGB; a drawing's transparent pixels are white.

    Args:
        at_least: side in pixels that is needed; a larger JPEG may be decoded at a part of its size. 0: at its own.

    Raises:
        ImageError: there is no such file, it is no image, it is damaged, or it is too large to decode safely; the
            message names the file.
        MissingDependency: Pillow is not installed.
    """
    with _reading(path) as stream:
        return to_pixels(_decoded(stream, at_least))


def read_rgba(path: str | os.PathLike[str]) -> Image:
    """An image file as Pillow's RGBA, straight alpha; see `read_image` for what it raises."""
    with _reading(path) as stream:
        return to_rgba(_decoded(stream))


def decode(content: bytes, at_least: int = 0) -> npt.NDArray[np.uint8]:
    """The content of an image file; see `read_image`, whose messages then name no file."""
    return to_pixels(_decoded(io.BytesIO(content), at_least))


def to_pixels(image: Image) -> npt.NDArray[np.uint8]:
    """An image of Pillow's as uint8 [H, W, 3], RGB; a drawing's transparent pixels are white.

    Raises:
        ImageError: it is damaged, its pixels are fractions, or they have more than 16 bits.
    """
    from PIL import Image as images

    if image.has_transparency_data:
        drawing = to_rgba(image)
        return np.array(images.alpha_composite(images.new("RGBA", drawing.size, "white"), drawing).convert("RGB"))
    return np.array(_upright(image).convert("RGB"))


def to_rgba(image: Image) -> Image:
    """An image of Pillow's as RGBA, straight alpha; see `to_pixels` for what it raises."""
    from PIL import Image as images

    rgba = _upright(image).convert("RGBA")
    if np.asarray(rgba.getchannel("A")).min() == 255:
        return rgba
    if max(rgba.size) > LONGEST:
        width, height = (max(1, round(side * LONGEST / max(rgba.size))) for side in rgba.size)
        rgba = rgba.resize((width, height), images.Resampling.BICUBIC)
    side = max(rgba.size)
    square = images.new("RGBA", (side, side))
    square.paste(rgba, ((side - rgba.width) // 2, (side - rgba.height) // 2))
    return square


def image_files(folder: str | os.PathLike[str]) -> list[Path]:
    """The image files below a folder, at any depth, sorted by path.

    Files with other suffixes than `SUFFIXES` are passed over, and files and folders whose names begin with a dot. Links
    are followed, and a folder that is reached twice is read once.

    Raises:
        ImageError: it is no folder, or one below it cannot be read.
    """
    return [Path(file) for file in sorted(files_below(folder, names_image))]


def names_image(path: str | os.PathLike[str]) -> bool:
    """Whether a file's name is that of an image, and does not begin with a dot."""
    name = os.path.basename(path)
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def files_below(folder: str | os.PathLike[str], wanted: Callable[[str], bool]) -> Iterator[str]:
    """The files below a folder whose names are wanted, in no order; see `image_files`."""

    def refuse(error: OSError) -> None:
        raise ImageError(f"{error.filename} cannot be read: {error.strerror}") from None

    if not os.path.isdir(folder):
        raise ImageError(f"images lie in a folder; {os.fspath(folder)} is none")
    seen: set[tuple[int, int]] = set()
    for inside, below, names in os.walk(folder, onerror=refuse, followlinks=True):
        status = os.stat(inside)
        if (status.st_dev, status.st_ino) in seen:
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield from (path for name in names if wanted(name) and os.path.isfile(path := os.path.join(inside, name)))


@contextmanager
def _reading(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """The content of an image file; errors name it."""
    try:
        if not os.path.isfile(path):
            raise ImageError("it is a folder" if os.path.isdir(path) else "there is no such file")
        with open(path, "rb") as stream:
            yield stream
    except (ImageError, OSError) as error:
        raise ImageError(f"{os.fsdecode(path)} cannot be read as an image: {error}") from None


def _decoded(stream: IO[bytes], at_least: int = 0) -> Image:
    """The decoded image of a file's content."""
    try:
        from PIL import Image as images
        from PIL import UnidentifiedImageError
    except ImportError as error:
        raise MissingDependency(f"reading images needs Pillow ({error})", "cli") from None
    try:
        images.preinit()
        try:
            image = images.open(stream, formats=[name for name in COMMON if name in images.OPEN])
        except UnidentifiedImageError:
            images.init()
            image = images.open(stream, formats=[name for name in (*COMMON, *OTHERS) if name in images.OPEN])
        if images.MAX_IMAGE_PIXELS and image.width * image.height > images.MAX_IMAGE_PIXELS:
            raise images.DecompressionBombError
        if at_least:
            image.draft("RGB", (DRAFT * at_least, DRAFT * at_least))
        image.load()
        return image
    except (images.DecompressionBombWarning, images.DecompressionBombError):
        raise ImageError(
            f"it must have at most {images.MAX_IMAGE_PIXELS} pixels to be decoded safely, and has more"
        ) from None
    except UnidentifiedImageError:
        raise ImageError(f"it must be of a format that holds pixels ({', '.join((*COMMON, *OTHERS))})") from None
    except Exception as error:  # a damaged file makes decoders raise anything at all
        raise ImageError(f"it is damaged: {str(error) or type(error).__name__}") from None


def _upright(image: Image) -> Image:
    """Turned by its EXIF orientation, and with 8 bits for a channel: Pillow would clip what has more at 255."""
    from PIL import Image as images
    from PIL import ImageOps

    with suppress(Exception):  # broken EXIF is read as anything, and says nothing of the pixels
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.max(initial=0) > 0xFFFF or values.min(initial=0) < 0:
            raise ImageError("an image's pixels must have 8 or 16 bits, and these have more")
        return images.fromarray((values >> 8).astype(np.uint8))
    if image.mode == "F":
        raise ImageError("an image's pixels must be whole numbers of 8 or 16 bits, and these are fractions")
    return image
