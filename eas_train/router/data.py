"""What a router is trained on: the bank's own drawings, and drawings of classes that the bank does not know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from eas_sdk.errors import DataError
from eas_train.data.imageset import ImageSet, Splits, superclass_of_class

NO_CLASS = -1


@dataclass(frozen=True)
class RouterData:
    """Drawings on the training device: first the bank's own, then others of its superclasses, then of none.

    Attributes:
        images: N x 4 x S x S uint8.
        superclasses: [N] index of the superclass; their number for "none".
        classes: [N] index of the bank's class; `NO_CLASS` for the others.
        kinds: [N] equal for drawings of one thing.
        groups: drawings of each of the three groups.
    """

    images: Tensor
    superclasses: Tensor
    classes: Tensor
    kinds: Tensor
    groups: tuple[int, int, int]

    @classmethod
    def of(cls, known: ImageSet, others: ImageSet | None, device: torch.device | str = "cpu") -> RouterData:
        """The drawings of one split."""
        parts: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
        owner = superclass_of_class(known.superclasses)
        parts.append((known.images, owner[known.targets], known.targets))
        if others is not None:
            owner = superclass_of_class(others.superclasses)[others.targets]
            none = len(known.superclasses)
            kinds = len(known.classes) + others.targets
            parts += [(others.images[mine], owner[mine], kinds[mine]) for mine in (owner < none, owner == none)]
        images, superclasses, kinds = (np.concatenate(column) for column in zip(*parts, strict=True))
        sizes = [len(part[0]) for part in parts] + [0, 0]
        classes = np.where(kinds < len(known.classes), kinds, NO_CLASS)
        return cls(
            torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(device),
            torch.from_numpy(superclasses).to(device),
            torch.from_numpy(classes).to(device),
            torch.from_numpy(kinds).to(device),
            (sizes[0], sizes[1], sizes[2]),
        )


def check_others(data: Splits, others: Splits) -> None:
    """Check that `others` has the superclasses of `data` and one more, for what belongs to none.

    Raises:
        DataError: it does not, or the two have drawings of different sizes.
    """
    names = [[s.name for s in splits.superclasses] for splits in (data, others)]
    if names[1][:-1] != names[0]:
        raise DataError(
            f"drawings of other classes are of the superclasses {', '.join(names[0])}, and of one more for what "
            f"belongs to none; got {', '.join(names[1])}"
        )
    if data.train.size != others.train.size:
        raise DataError(
            f"drawings of other classes are of the same size, {data.train.size} px; got {others.train.size} px"
        )
