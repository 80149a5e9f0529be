"""The proof that an exported file computes what the numpy engine computes.

Both run on images of the network's task that calibration did not see: those that the bundle carries for it, or the
caller's. Where they are few each is shown in several views, since a share of labels means little over a dozen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from eas_sdk.engine.protocol import Array
from eas_sdk.errors import ExportError, ImageError, InputError
from eas_sdk.images import Images, as_float_batch, in_list, to_square

if TYPE_CHECKING:
    from eas_sdk.bank.bundle import Bundle

IMAGES = 64
"""In a proof, where there are enough: of a dozen, two whose label rounding turns by chance would refuse a good file."""

VIEWS = 8
"""Most views of one image: whole and mirrored, and three parts of it likewise."""

LEAST = 16
"""Images that a caller gives for calibration, of which half prove, where the bundle carries none."""

LEAST_CONTRAST = 0.01
"""Standard deviation of an image in [0, 1] that shows something."""

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Tolerance:
    """How far a file may be from the numpy engine, as measured on the images of the proof.

    Attributes:
        error: greatest difference; of logits, as a part of the greatest logit.
        agreement: least share of images with the same most probable label.
    """

    error: float
    agreement: float


TOLERANCES: Mapping[str, Tolerance] = {
    "float32": Tolerance(1e-4, 0.99),
    "float16": Tolerance(2e-2, 0.95),
    "dynamic": Tolerance(0.2, 0.9),
    "int8": Tolerance(0.35, 0.85),
    "palettized": Tolerance(0.15, 0.85),
}
"""By precision. Rounding can turn the label of an image between two labels, hence less than 1."""


@dataclass(frozen=True)
class Proof:
    """How a file compares with the numpy engine on the same images.

    Attributes:
        images: how many, for each network; views of one image count apart.
        error: greatest difference; see `Tolerance`.
        agreement: share of images with the same most probable label.
        noise: whether the images were noise, for want of others: their labels mean nothing and do not count.
    """

    images: int
    error: float
    agreement: float
    noise: bool = False


class Provable(Protocol):
    """A network that a file was made of."""

    @property
    def bundle(self) -> Bundle:
        """What it comes from."""
        ...

    @property
    def classes(self) -> Collection[int]:
        """Classes of the bundle that its images show."""
        ...

    @property
    def input_size(self) -> int:
        """Side of its images."""
        ...

    def reference(self, images: Images) -> Array:
        """Logits by the numpy engine."""
        ...


def compare(network: Provable, run: Callable[[Array], Array], given: Images | None, *, softmax: bool) -> Proof:
    """What a file makes of images, beside what the numpy engine makes of them.

    Args:
        run: what the file makes of float32 images [N, S, S, 3], each a pixel value / 255.
        given: images to show; by default those that the bundle carries, or noise.
        softmax: whether the file's output holds probabilities; else logits.

    Raises:
        ExportError: the output has another shape, or is not finite.
    """
    images = _shown(network, given)
    noise = images is None
    if images is None:
        images = np.random.default_rng(0).integers(0, 256, (VIEWS, *[network.input_size] * 2, 3), np.uint8)
    batch = as_float_batch(images, network.input_size)
    expected = network.reference(batch)
    if softmax:
        expected = np.exp(expected - expected.max(1, keepdims=True))
        expected /= expected.sum(1, keepdims=True)
    found = run(batch)
    if found.shape != expected.shape or not np.isfinite(found).all():
        raise ExportError(f"the output of a written file is finite, of shape {expected.shape}; got shape {found.shape}")
    scale = 1.0 if softmax else max(float(np.abs(expected).max()), 1e-6)
    agreement = float((found.argmax(1) == expected.argmax(1)).mean())
    return Proof(len(batch), float(np.abs(found - expected).max()) / scale, agreement, noise)


def divided(network: Provable, given: Images | None) -> tuple[Images, Images | None]:
    """Images to calibrate on, and those to prove on where the bundle has none for that.

    Args:
        given: the caller's; by default those that the bundle carries.

    Raises:
        InputError: there are none, or too few to be divided.
        ImageError: the caller's are all even, such as grey cards, or pixels of 0 to 1 kept as 8 bits.
    """
    bundle = network.bundle
    if given is not None:
        _check_contrast(given, network.input_size)
    images = bundle.calibration_images if given is None else in_list(given)
    if images is None:
        raise InputError("int8 needs images to calibrate on: the bundle carries none, and none were given")
    if bundle.pictures is not None and bundle.pictures.proof:
        return images, None
    if len(images) < LEAST:
        raise InputError(
            "one half of the images calibrates and the other proves, where the bundle carries none for the proof: "
            f"{LEAST} or more are needed; got {len(images)}"
        )
    return images[::2], images[1::2]


def _check_contrast(images: Images, size: int) -> None:
    batch = as_float_batch(images, size)
    contrast = float(batch.std((1, 2, 3)).max())
    if contrast < LEAST_CONTRAST:
        raise ImageError(
            f"calibration images show what the app will see: light and dark, {LEAST_CONTRAST:g} apart or more "
            f"(standard deviation, pixels as 0 to 1); of these {len(batch)} the greatest is {contrast:.2g}, around "
            f"{float(batch.mean()):.2g}: use pictures of the task, or none, for those that the bundle carries"
        )


def _shown(network: Provable, given: Images | None) -> Bytes | None:
    """uint8 [N, S, S, 3], N of `IMAGES` where there are so many views; None where there is nothing to show."""
    bundle, size = network.bundle, network.input_size
    if given is not None:
        return _views(_pixels(given, size), IMAGES)
    if bundle.pictures is None or not bundle.pictures.proof:
        return None
    classes = frozenset(network.classes)
    own = [i for i, shows in enumerate(bundle.pictures.proof) if shows in classes]
    images = np.empty((0, size, size, 3), np.uint8)
    if own:
        images = _views(_pixels(bundle.proof_images(own), size), IMAGES)
    if len(images) == IMAGES or len(own) == len(bundle.pictures.proof):
        return images
    # Of other things a network is seldom sure. Where it is, rounding turns its answer no sooner than on its own.
    others = _spread([i for i in range(len(bundle.pictures.proof)) if i not in own], IMAGES)
    pixels = _pixels(bundle.proof_images(others), size)
    logits = np.sort(network.reference(pixels), 1)
    surest = np.argsort(logits[:, -2:-1].sum(1) - logits[:, -1], kind="stable")[: -(-len(others) // 2)]
    return np.concatenate([images, _views(pixels[surest], IMAGES - len(images))])


def _pixels(images: Images, size: int) -> Bytes:
    return np.rint(as_float_batch(images, size) * 255).astype(np.uint8)


def _views(images: Bytes, count: int) -> Bytes:
    """`count` views of images, or as many as there are; of more images, one view of some."""
    if len(images) >= count:
        return images[_spread(range(len(images)), count)]
    views = [_view(image, number) for number in range(VIEWS) for image in images]
    return np.stack(views[:count])


def _spread(places: Sequence[int], most: int) -> list[int]:
    """All, or so many that lie evenly among them."""
    if len(places) <= most:
        return list(places)
    return [places[i] for i in np.linspace(0, len(places) - 1, most).astype(int)]


def _view(image: Bytes, number: int) -> Bytes:
    side = len(image)
    part = side - side // 8
    top = left = 0
    if number >= 2:  # a corner, the opposite one, the middle
        top = left = (0, side - part, (side - part) // 2)[number // 2 - 1]
        image = to_square(image[top : top + part, left : left + part], side).astype(np.uint8)
    return image[:, ::-1] if number % 2 else image
