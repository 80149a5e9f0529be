"""From an image file to pixels."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
"""What counts as an image inside a folder; a file that is named is read whatever it is called."""

FOREIGN_CODE = ("EPS", "WMF")
"""Formats that Pillow hands to another program."""


def read_image(file: Path) -> npt.NDArray[np.uint8]:
    """An image file as RGB, uint8 [S, S, 3], S being what the file has. Networks bring it to their sizes.

    The image is turned upright by its EXIF orientation and made square: a photograph is cropped to its centre, a
    drawing with transparent pixels is kept whole and centred on white. As in training.

    Raises:
        ImageError: there is no such file, it is no image, it is damaged, or it is too large to decode safely.
    """
    from PIL import Image, UnidentifiedImageError

    if not file.is_file():
        raise ImageError("must be an image file, and is a folder" if file.is_dir() else "no such file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with file.open("rb") as stream, Image.open(stream) as image:
                if image.format in FOREIGN_CODE:
                    raise ImageError(f"must be pixels; {image.format} would be drawn by another program")
                return np.asarray(_square(image))
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise ImageError(
                f"must have at most {Image.MAX_IMAGE_PIXELS} pixels to be decoded safely; it has more"
            ) from None
        except UnidentifiedImageError:
            raise ImageError("must be an image of a format that Pillow reads, and is none") from None
        except ImageError:
            raise
        except Exception as error:  # a damaged file makes decoders raise anything at all
            raise ImageError(f"must be a whole image, but: {str(error) or type(error).__name__}") from error


def _square(image: Image) -> Image:
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip at 255
        image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data and np.asarray(image := image.convert("RGBA"))[..., 3].min() < 255:
        side = max(image.size)
        canvas = Image.new("RGBA", (side, side), "white")
        canvas.alpha_composite(image, ((side - image.width) // 2, (side - image.height) // 2))
        image = canvas
    else:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    return image.convert("RGB")
