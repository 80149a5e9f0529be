"""What a router is trained on: the bank's own images, and images of classes that the bank does not know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from eas_sdk.errors import DataError
from eas_train.data.imageset import ImageSet, superclass_of_class
from eas_train.data.photoset import PhotoSet
from eas_train.data.splits import Images, Splits, joined

NO_CLASS = -1


@dataclass(frozen=True)
class RouterData:
    """Images: first the bank's own, then others of its superclasses, then of none.

    Attributes:
        images: whose targets are kinds, equal for images of one thing: the bank's classes, then the others'.
        superclass_of: [kinds] index of the superclass; their number for "none".
        class_of: [kinds] index of the bank's class; `NO_CLASS` for the others.
        groups: images of each of the three groups.
    """

    images: Images
    superclass_of: Tensor
    class_of: Tensor
    groups: tuple[int, int, int]

    @classmethod
    def of(cls, known: Images, others: Images | None, device: torch.device | str = "cpu") -> RouterData:
        """The images of one split; the tensors are on the device."""
        owner = superclass_of_class(known.superclasses)
        class_of = np.arange(len(owner))
        images, groups = known, (len(known), 0, 0)
        if others is not None:
            none, odd = len(known.superclasses), superclass_of_class(others.superclasses)
            by_group = np.argsort(odd[others.targets] == none, kind="stable")
            images = joined(known, others.take(by_group))
            strange = int((odd[others.targets] == none).sum())
            groups = (len(known), len(others) - strange, strange)
            owner = np.concatenate([owner, odd])
            class_of = np.concatenate([class_of, np.full(len(odd), NO_CLASS)])
        return cls(images, torch.from_numpy(owner).to(device), torch.from_numpy(class_of).to(device), groups)


def check_others(data: Splits[Images], others: Splits[Images]) -> None:
    """Check that `others` has the superclasses of `data` and one more, for what belongs to none.

    Raises:
        DataError: it does not, or the two have images of another kind, or drawings of different sizes.
    """
    names = [[s.name for s in splits.superclasses] for splits in (data, others)]
    if names[1][:-1] != names[0]:
        raise DataError(
            f"images of other classes are of the superclasses {', '.join(names[0])}, and of one more for what "
            f"belongs to none; got {', '.join(names[1])}"
        )
    match data.train, others.train:
        case ImageSet(), ImageSet():
            if data.train.size != others.train.size:
                raise DataError(
                    f"drawings of other classes are of the same size, {data.train.size} px; got {others.train.size} px"
                )
        case PhotoSet(), PhotoSet():
            pass
        case _:
            raise DataError("images of other classes are drawings where the others are, and photos where they are")
