"""The images of a training: what trains, what validates, what tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import DataError
from eas_sdk.task import ALL, AUTO
from eas_train.data.imageset import ImageSet, Superclass, superclass_of_class
from eas_train.data.photoset import PhotoSet, PhotosJoined

Images = ImageSet | PhotoSet
"""Labelled images, drawings or photos. Both have `targets` (int64 [N], indices into `classes`), `superclasses`, a
`digest` that identifies images and labels, and `take`."""


SomeImages = TypeVar("SomeImages", bound=Images, covariant=True)
AnyImages = TypeVar("AnyImages", bound=Images)


@dataclass(frozen=True)
class Splits(Generic[SomeImages]):
    """Training, validation and test images over the same classes.

    Raises:
        DataError: where the three do not share classes and superclasses.
    """

    train: SomeImages
    validation: SomeImages
    test: SomeImages

    def __post_init__(self) -> None:
        for name, part in (("validation", self.validation), ("test", self.test)):
            if part.superclasses != self.train.superclasses:
                raise DataError(f"the {name} split has other classes or superclasses than the training split")

    @property
    def classes(self) -> tuple[str, ...]:
        return self.train.classes

    @property
    def superclasses(self) -> tuple[Superclass, ...]:
        return self.train.superclasses


def check_tasks(data: Splits[Images]) -> None:
    """See that every superclass can be a task, and be judged.

    Raises:
        DataError: one has no validation or no test images, or the name of a word that means a task.
    """
    if words := [s.name for s in data.superclasses if s.name in (ALL, AUTO)]:
        raise DataError(
            f"no superclass is called {ALL!r} or {AUTO!r}, which are tasks: every class, and the router's choice; "
            f"rename {words[0]!r}"
        )
    owner = superclass_of_class(data.superclasses)
    for name, part in (("validation", data.validation), ("test", data.test)):
        seen = set(owner[part.targets].tolist())
        lacking = [s.name for t, s in enumerate(data.superclasses) if t not in seen]
        if lacking:
            raise DataError(f"every superclass has {name} drawings; these have none: {', '.join(lacking)}")


def first_of_each(splits: Splits[Images], count: int) -> Splits[Images]:
    """At most `count` images of each class to train on, and of each superclass to judge by: enough to see that a
    training runs."""
    owner = superclass_of_class(splits.superclasses)
    return Splits(
        _first_of_each(splits.train, splits.train.targets, count),
        *(_first_of_each(part, owner[part.targets], count) for part in (splits.validation, splits.test)),
    )


def _first_of_each(images: Images, group: npt.NDArray[np.int64], count: int) -> Images:
    kept = [np.flatnonzero(group == each)[:count] for each in np.unique(group)]
    return images.take(np.sort(np.concatenate(kept)) if kept else np.zeros(0, np.int64))


def evenly(images: AnyImages, most: int) -> AnyImages:
    """At most so many images, the same share of every class; every one where `most` is 0."""
    if not 0 < most < len(images):
        return images
    order = np.argsort(images.targets, kind="stable")
    return cast(AnyImages, images.take(np.sort(order[np.linspace(0, len(order) - 1, most).astype(np.int64)])))


def joined(first: Images, second: Images) -> Images:
    """Both, with the classes of both: those of the second follow, and are others than those of the first.

    Raises:
        DataError: one has drawings and the other photos.
    """
    superclasses = first.superclasses + tuple(
        Superclass(f"other {s.name}", tuple(f"other {c}" for c in s.class_names)) for s in second.superclasses
    )
    targets = np.concatenate([first.targets, len(first.classes) + second.targets])
    match first, second:
        case ImageSet(), ImageSet():
            return ImageSet(
                np.concatenate([first.images, second.images]),
                targets,
                tuple(c for s in superclasses for c in s.class_names),
                superclasses,
                first.sources + second.sources,
                first.names + second.names,
            )
        case PhotoSet(), PhotoSet():
            return PhotoSet(PhotosJoined((first.store, second.store)), targets, superclasses)
        case _:
            raise DataError("drawings and photos cannot be joined")
