"""Fixed evaluation views: each drawing on several seeded backgrounds, a little turned, scaled and shifted.

A test set of a few hundred drawings is too small to tell architectures 1% apart; several views a drawing
steady the estimate. Views of one drawing are not independent: report confidence intervals over drawings.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import ImageError, InputError, MissingDependency

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_ROTATION_DEG = 12.0
MIN_SCALE = 0.8


def views(images: npt.NDArray[np.uint8], count: int, size: int, seed: int) -> npt.NDArray[np.uint8]:
    """Compose each drawing `count` times.

    View 0 is the drawing as it is on white; the others have a light or dark, plain or softly graded
    background, a rotation of at most 12 degrees, a scale of 0.8 to 1, and a shift within the border which
    that scale leaves. View v of image i depends on nothing but its pixels, `size`, (seed, i, v), and the
    versions of numpy and Pillow.

    Args:
        images: uint8 [N, S, S, 4], RGBA with straight alpha.
        count: views a drawing, at least 1.
        size: side of the result in pixels, at least 1.
        seed: at least 0.

    Returns:
        uint8 [N, count, size, size, 3].

    Raises:
        ImageError: where `images` has another shape or dtype.
        InputError: where count, size or seed is out of range.
        MissingDependency: where Pillow is not installed.
    """
    shape = images.shape
    if len(shape) != 4 or shape[1] != shape[2] or shape[1] < 1 or shape[3] != 4 or images.dtype != np.uint8:
        raise ImageError(f"images must be uint8 [N, S, S, 4], got {images.dtype} {list(shape)}")
    for name, value, least in (("count", count, 1), ("size", size, 1), ("seed", seed, 0)):
        if value < least:
            raise InputError(f"{name} must be at least {least}, got {value}")
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependency(f"composing views needs Pillow ({error})", "train") from None
    result = np.empty((len(images), count, size, size, 3), np.uint8)
    for index, pixels in enumerate(images):
        drawing = Image.fromarray(np.asarray(pixels))
        for view in range(count):
            rng = np.random.default_rng([seed, index, view])
            composed = _on_white(drawing) if view == 0 else _varied(drawing, rng)
            # Pillow widens the filter when it shrinks, so that small views do not alias.
            result[index, view] = np.asarray(composed.resize((size, size), Image.Resampling.BICUBIC))
    return result


def _on_white(drawing: Image) -> Image:
    from PIL import Image

    return Image.alpha_composite(Image.new("RGBA", drawing.size, "white"), drawing).convert("RGB")


def _varied(drawing: Image, rng: np.random.Generator) -> Image:
    from PIL import Image, ImageOps

    side = drawing.width
    background = Image.fromarray(_background(side, rng)).convert("RGBA")
    angle = math.radians(rng.uniform(-MAX_ROTATION_DEG, MAX_ROTATION_DEG))
    scale = rng.uniform(MIN_SCALE, 1.0)
    shift_x, shift_y = rng.uniform(-1.0, 1.0, 2) * (1.0 - scale) / 2 * side
    # Pillow asks where each pixel of the result comes from: undo the shift, then turn and scale about the
    # centre, one pixel further in the source for its transparent border, which keeps cut edges smooth.
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    from_x, from_y, centre = -side / 2 - shift_x, -side / 2 - shift_y, side / 2 + 1
    matrix = (
        *(cos, sin, centre + cos * from_x + sin * from_y),
        *(-sin, cos, centre - sin * from_x + cos * from_y),
    )
    # Pillow premultiplies RGBA here: transparent pixels lend no colour. A cubic would overshoot at the edges.
    framed = ImageOps.expand(drawing, 1)
    moved = framed.transform(drawing.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return Image.alpha_composite(background, moved).convert("RGB")


def _background(side: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """uint8 [side, side, 3]: a plain colour or, half of the time, a linear gradient to a near one."""
    brightness = rng.uniform(0.7, 1.0) if rng.random() < 0.5 else rng.uniform(0.0, 0.35)
    colour = 255 * brightness * (1 - rng.uniform(0.0, 0.35) * rng.random(3))
    other = np.clip(colour + 255 * rng.uniform(-0.2, 0.2, 3), 0, 255)
    angle = rng.uniform(0, 2 * math.pi)
    graded = rng.random() < 0.5
    y, x = np.mgrid[0:side, 0:side] / max(side - 1, 1) - 0.5
    along: Any = np.clip(x * math.cos(angle) + y * math.sin(angle) + 0.5, 0, 1)[..., None] if graded else 0.0
    mixed = np.broadcast_to(colour + (other - colour) * along, (side, side, 3))
    return np.asarray(np.rint(mixed), dtype=np.uint8)
