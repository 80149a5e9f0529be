"""What the camera sees: the shipped pictures or a folder of one's own, held before it, or a webcam."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from eas_sdk.cli.drawings import shipped_folder
from eas_sdk.errors import ImageError, InputError, MissingDependency
from eas_sdk.image_file import SUFFIXES, image_files, read_image
from eas_sdk.images import to_square
from eas_sdk.names import same

SIDE = 320
"""Of a frame, in pixels."""

HELD_S = 2.5
"""How long each picture is held."""

DRAWING, PHOTO = 0.92, 1.19
"""Side of what is held, in parts of the frame: a photo is so large that a hand that shakes shows nothing beside it."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of the camera.

    Attributes:
        number: from 1, ascending.
        pixels: uint8 [SIDE, SIDE, 3].
        shown: the label of what is shown, where it is known.
    """

    number: int
    pixels: Pixels
    shown: str


class Scene(Protocol):
    """Whatever is before the camera."""

    def frame(self, task: str, time_s: float, number: int) -> Frame:
        """What the camera sees at a time, while networks for a task run."""
        ...

    def about(self, task: str) -> str:
        """What that is, for people."""
        ...


class Pictures:
    """Pictures that a hand holds before the camera, one after the other.

    Attributes:
        by_task: of each task (label, file); a task that has none is shown those of all tasks.
        whose: where they are from, for people.
    """

    def __init__(self, by_task: Mapping[str, Sequence[tuple[str, Path]]], whose: str) -> None:
        self.whose = whose
        self.by_task = {task: tuple(pictures) for task, pictures in by_task.items() if pictures}
        self._every = tuple(picture for pictures in self.by_task.values() for picture in pictures)

    @classmethod
    def of(cls, folder: Path, tasks: Sequence[str], whose: str = "") -> Pictures:
        """Of a folder `<task>/<label>.jpg`, `<task>/<label>/*.jpg`, or of pictures at any depth.

        Raises:
            InputError: there is no picture in it.
        """
        known = {same(task): task for task in tasks}
        found: dict[str, list[tuple[str, Path]]] = {}
        for path in image_files(folder):
            places = path.relative_to(folder).parts
            task = known.get(same(places[0]), "") if len(places) > 1 else ""
            label = places[-2] if len(places) > (2 if task else 1) else path.stem
            found.setdefault(task, []).append((label, path))
        if not found:
            raise InputError(f"the camera shows pictures ({', '.join(sorted(SUFFIXES))}); {folder} holds none")
        return cls(found, whose or f"Pictures of {folder}")

    @classmethod
    def shipped(cls, tasks: Sequence[str]) -> Pictures:
        """Those that come with the package and show what the tasks tell apart, if any do."""
        return cls.of(shipped_folder(tasks), tasks, "Pictures that come with the package")

    def frame(self, task: str, time_s: float, number: int) -> Frame:
        """See `Scene`; a picture that cannot be read is passed over."""
        known = self.by_task.get(task, self._every)
        first = int(time_s / HELD_S)
        for i in range(len(known)):
            label, path = known[(first + i) % len(known)]
            try:
                return Frame(number, held(square(path), time_s), label)
            except (ImageError, OSError):
                continue
        return Frame(number, np.full((SIDE, SIDE, 3), 255, np.uint8), "no picture can be read")

    def about(self, task: str) -> str:
        """See `Scene`."""
        if task in self.by_task:
            return f"{self.whose} are held before the camera."
        return f"{self.whose} are held before the camera, and none is of {task!r}: name a folder of yours (--pictures)."


class Webcam:
    """The camera of the computer, by OpenCV."""

    def __init__(self, capture: Any) -> None:
        self._capture = capture
        self._last: Pixels = np.zeros((SIDE, SIDE, 3), np.uint8)

    def frame(self, task: str, time_s: float, number: int) -> Frame:
        """See `Scene`; the frame before where the webcam gives none."""
        given, pixels = self._capture.read()
        if given:
            self._last = np.asarray(to_square(np.ascontiguousarray(pixels[..., ::-1]), SIDE), np.uint8)
        return Frame(number, self._last, "")

    def about(self, task: str) -> str:
        """See `Scene`."""
        return "The camera is this computer's."


@contextmanager
def webcam(number: int) -> Iterator[Webcam]:
    """The computer's camera of a number, from 0.

    Raises:
        MissingDependency: OpenCV is not installed; InputError: there is no such camera.
    """
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError:
        raise MissingDependency("OpenCV reads a webcam, and is not installed: pip install opencv-python") from None
    capture = cv2.VideoCapture(number)
    try:
        if not capture.isOpened():
            raise InputError(f"OpenCV opens no camera {number}; cameras are numbered from 0")
        yield Webcam(capture)
    finally:
        capture.release()


@lru_cache(maxsize=64)
def square(path: Path) -> Image.Image:
    """The central square of a picture, as large as a photo is held."""
    return Image.fromarray(to_square(read_image(path), int(SIDE * PHOTO)))


def held(picture: Image.Image, time_s: float) -> Pixels:
    """A picture in a hand that is never quite still. A drawing on white lies before white; a photo fills the frame."""
    angle = 4 * math.sin(1.7 * time_s)
    side = int(SIDE * ((DRAWING if is_drawing(picture) else PHOTO) + 0.05 * math.sin(1.1 * time_s)))
    turned = picture.resize((side, side), Image.Resampling.BICUBIC).rotate(
        angle, Image.Resampling.BICUBIC, fillcolor=(255, 255, 255)
    )
    scene = Image.new("RGB", (SIDE, SIDE), (255, 255, 255))
    left = (SIDE - side) // 2 + int(6 * math.sin(2.3 * time_s))
    top = (SIDE - side) // 2 + int(6 * math.cos(1.9 * time_s))
    scene.paste(turned, (left, top))
    return np.asarray(scene)


def is_drawing(picture: Image.Image) -> bool:
    """Whether it lies on white: all its corners are."""
    right, bottom = picture.width - 1, picture.height - 1
    return all(picture.getpixel((x, y)) == (255, 255, 255) for x in (0, right) for y in (0, bottom))
