"""Pictures that a bundle carries: less than a kilobyte each at 64 px, read with numpy and zlib alone.

As in JPEG: brightness and two differences of colour, in blocks of 8 x 8 pixels, become sums of cosines (DCT-II), whose
weights are rounded to steps that grow with the frequency. They are packed by zlib, frequency by frequency, over all
pictures at once: most are zero.
"""

from __future__ import annotations

import reprlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import BundleError

CODED = "pictures/coded"
"""Name of the bundle's tensor."""

Bytes = npt.NDArray[np.uint8]

BLOCK = 8
STEP, COLOUR_STEP = 8.0, 24.0
"""To which the weights of the lowest frequency are rounded."""

MOST_BYTES = 2**28
"""Of all pictures together, unpacked."""

_FREQUENCY, _PLACE = np.mgrid[:BLOCK, :BLOCK]
_COSINES = (np.cos((2 * _PLACE + 1) * _FREQUENCY * np.pi / (2 * BLOCK)) / 2).astype(np.float32)
_COSINES[0] /= np.sqrt(np.float32(2))
_COLOURS = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)  # those of JPEG
_STEPS = np.array([STEP, COLOUR_STEP, COLOUR_STEP], np.float32)[:, None, None] * (1 + (_FREQUENCY + _PLACE) / 2)
_STEPS = _STEPS.astype(np.float32)


@dataclass(frozen=True)
class Pictures:
    """What the pictures of a bundle show, in their order.

    Attributes:
        side: in pixels.
        calibration: the class of each picture that integer exports are calibrated on: training images.
        proof: the class of each picture that exports are proved on: images that were not trained on.
    """

    side: int
    calibration: tuple[int, ...]
    proof: tuple[int, ...]

    def __repr__(self) -> str:
        counts = f"{len(self.calibration)} to calibrate on, {len(self.proof)} to prove on"
        return f"<Pictures: {counts}, {self.side} px, classes {reprlib.repr({*self.calibration, *self.proof})}>"

    @property
    def count(self) -> int:
        """Of all."""
        return len(self.calibration) + len(self.proof)

    def to_json(self) -> dict[str, Any]:
        """As the section `eas` of a bundle has it; inverse of `from_json`."""
        return {"side": self.side, "calibration": list(self.calibration), "proof": list(self.proof)}


def from_json(data: object) -> Pictures:
    """The pictures of a section `eas`.

    Raises:
        BundleError: another form.
    """
    fields = data if isinstance(data, dict) else {}
    side, *shown = (fields.get(name) for name in ("side", "calibration", "proof"))
    lists = [part for part in shown if isinstance(part, list) and all(type(c) is int for c in part)]
    if type(side) is not int or len(lists) != len(shown):
        raise BundleError(
            "'pictures' in the section 'eas' has a 'side', and in 'calibration' and 'proof' the class of each picture; "
            f"got {reprlib.repr(data)}"
        )
    calibration, proof = map(tuple, lists)
    return Pictures(side, calibration, proof)


def check(pictures: Pictures, coded: npt.NDArray[np.generic] | None, labels: int, largest: int) -> None:
    """Check pictures of a bundle with `labels` classes, whose networks take images of `largest` pixels at most.

    Raises:
        BundleError: another side or class, more than fit `MOST_BYTES`, or no bytes.
    """
    shown = {*pictures.calibration, *pictures.proof}
    if not 0 < pictures.side <= largest or not all(0 <= c < labels for c in shown):
        raise BundleError(
            f"pictures have a side of {largest} at most and show classes below {labels}; got {pictures!r}"
        )
    if pictures.count * _padded(pictures.side) ** 2 * 3 > MOST_BYTES:
        raise BundleError(f"pictures take {MOST_BYTES} bytes at most when unpacked; got {pictures!r}")
    if coded is None or coded.dtype != np.uint8 or coded.ndim != 1:
        got = "nothing" if coded is None else f"{coded.dtype} {coded.shape}"
        raise BundleError(f"the bundle's tensor {CODED!r} is uint8 of shape (N,); got {got}")


def encode(images: Bytes) -> Bytes:
    """Images uint8 [N, S, S, 3] as bytes."""
    count, side = images.shape[:2]
    beyond = _padded(side) - side
    whole = np.pad(images, ((0, 0), (0, beyond), (0, beyond), (0, 0)), mode="edge")
    blocks = _padded(side) // BLOCK
    colours = (whole.astype(np.float32) - 128) @ _COLOURS.T
    split = colours.reshape(count, blocks, BLOCK, blocks, BLOCK, 3).transpose(0, 1, 3, 5, 2, 4)
    weights = np.rint(_COSINES @ split @ _COSINES.T / _STEPS).clip(-127, 127).astype(np.int8)
    return np.frombuffer(zlib.compress(weights.transpose(3, 4, 5, 0, 1, 2).tobytes(), 9), np.uint8)


def decode(coded: npt.NDArray[np.generic], pictures: Pictures, wanted: Sequence[int]) -> Bytes:
    """Some of the pictures that `encode` was given, uint8 [len(wanted), S, S, 3], about as they were.

    Raises:
        BundleError: the bytes are damaged, or of another number of pictures.
    """
    side, blocks = pictures.side, _padded(pictures.side) // BLOCK
    shape = (3, BLOCK, BLOCK, pictures.count, blocks, blocks)
    expected = int(np.prod(shape))
    try:
        unpacked = zlib.decompressobj().decompress(coded.tobytes(), expected + 1)
    except zlib.error as error:
        raise BundleError(f"the bundle's tensor {CODED!r} is whole; it is damaged: {error}") from error
    if len(unpacked) != expected:
        raise BundleError(
            f"the bundle's tensor {CODED!r} unpacks to {expected} bytes, which {pictures.count} pictures take; it does "
            "not"
        )
    stored = np.frombuffer(unpacked, np.int8).reshape(shape)[..., np.asarray(wanted, np.intp), :, :]
    weights = stored.transpose(3, 4, 5, 0, 1, 2) * _STEPS
    split = _COSINES.T @ weights @ _COSINES
    colours = split.transpose(0, 1, 4, 2, 5, 3).reshape(len(wanted), blocks * BLOCK, blocks * BLOCK, 3)
    images = colours @ np.linalg.inv(_COLOURS).T + 128
    return np.ascontiguousarray(np.rint(images[:, :side, :side]).clip(0, 255).astype(np.uint8))


def _padded(side: int) -> int:
    return -(-side // BLOCK) * BLOCK
