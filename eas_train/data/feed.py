"""Batches of augmented images for training: of drawings by this process, of photos by processes that decode ahead.

A batch depends on what was asked for alone, not on who makes it: a training that was stopped goes on exactly, with
any number of workers, and several processes get the parts of what one would get whole.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from eas_sdk.errors import EasError, TrainingError
from eas_train.data.drawing_augment import DrawingAugmentation, as_tensor, augment, blend_partners
from eas_train.data.imageset import ImageSet
from eas_train.data.photo_augment import PhotoAugmentation, mix, transform
from eas_train.data.photoset import PhotoSet
from eas_train.data.splits import Images
from eas_train.distributed import Share
from eas_train.threads import usable_cores

WHOLE = Share()
AHEAD = 2
"""Batches that each worker has ready."""
MOST_WORKERS = 16

AnyAugmentation = DrawingAugmentation | PhotoAugmentation


@dataclass(frozen=True, eq=False)
class Asked:
    """A batch that is wanted.

    Attributes:
        index: int64 [n], which images, of all processes together.
        seed: of their augmentation.
        size: side of the result in pixels.
    """

    index: npt.NDArray[np.int64]
    seed: int
    size: int


@dataclass(frozen=True, eq=False)
class Batch:
    """Augmented images, this process's share of them.

    Attributes:
        images: n x 3 x S x S in [0, 1], on the device.
        targets: [n], class indices, on the device.
        own: [n], how much of each image is itself; the rest is its neighbour (0 and 1, 2 and 3, ...). None where
            images are not mixed.
    """

    images: Tensor
    targets: Tensor
    own: Tensor | None = None


def feed(
    data: Images,
    asked: Iterable[Asked],
    settings: AnyAugmentation,
    device: torch.device,
    share: Share = WHOLE,
    *,
    workers: int | None = None,
) -> Generator[Batch, None, None]:
    """A batch for each that is asked for, in order.

    Args:
        workers: processes that decode photos; by default one beside a CPU's training, as many as there are cores
            beside a GPU's. Which batches there are does not depend on it.

    Raises:
        TrainingError: the augmentation is not for these images, or pairs that are mixed do not divide into shares.
        DataError: a photo cannot be read; it names the file.
    """
    targets = torch.from_numpy(data.targets).to(device)
    if isinstance(data, ImageSet) and isinstance(settings, DrawingAugmentation):
        members = Members(targets)
        for batch in asked:
            yield _drawn(data, members, batch, settings, device, share)
    elif isinstance(data, PhotoSet) and isinstance(settings, PhotoAugmentation):
        if workers is None:
            cores = usable_cores()
            workers = min(MOST_WORKERS, cores) if device.type == "cuda" else min(1, cores - 1)
        loader: DataLoader[_Made] = DataLoader(
            _Augmented(data, settings, share),
            sampler=asked,
            batch_size=None,
            collate_fn=_as_is,  # type: ignore[arg-type]  # typed for lists of items
            num_workers=workers,
            prefetch_factor=AHEAD if workers else None,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # lest a loader draws from torch's own
        )
        for made in loader:
            if isinstance(made, EasError):
                raise made
            photos, own, index = made
            images = photos.to(device, non_blocking=True).float().div_(255)
            yield Batch(
                images.contiguous(memory_format=torch.channels_last),
                targets[index.to(device)],
                None if own is None else own.to(device),
            )
    else:
        raise TrainingError(
            f"drawings have an augmentation of kind 'drawing', photos one of kind 'photo'; got {settings.kind!r} for "
            f"{'drawings' if isinstance(data, ImageSet) else 'photos'}"
        )


def augmented(data: Images, asked: Asked, settings: AnyAugmentation, device: torch.device) -> Batch:
    """One batch, made by this process alone; see `feed`."""
    return next(feed(data, [asked], settings, device, workers=0))


def random_images(
    data: Images, count: int, size: int, settings: AnyAugmentation, device: torch.device, seed: int
) -> Tensor:
    """`count` augmented images of a set, N x 3 x size x size on a device; equal seeds give equal images."""
    index = np.random.default_rng(seed).integers(len(data), size=count)
    return augmented(data, Asked(index, seed, size), settings, device).images


class Members:
    """The images of each class."""

    def __init__(self, targets: Tensor) -> None:
        self.targets = targets
        self.order = targets.argsort(stable=True)
        self.counts = torch.bincount(targets)
        self.starts = self.counts.cumsum(0) - self.counts

    def another(self, targets: Tensor, generator: torch.Generator) -> Tensor:
        """For every target, the index of a random image of that class."""
        uniform = torch.rand(len(targets), generator=generator, device=targets.device)
        return self.order[self.starts[targets] + (uniform * self.counts[targets]).long()]


def _drawn(
    data: ImageSet, members: Members, asked: Asked, settings: DrawingAugmentation, device: torch.device, share: Share
) -> Batch:
    generator = torch.Generator(device).manual_seed(asked.seed)
    index = torch.from_numpy(asked.index).to(device)
    targets = members.targets[index]

    def drawings(which: Tensor) -> Tensor:
        return as_tensor(data.images[share.of(which).cpu().numpy()], device)

    drawn = drawings(index)
    if settings.p_blend:
        partners = drawings(members.another(targets, generator))
        drawn = blend_partners(drawn, partners, settings.p_blend, generator, share)
    images = augment(drawn, asked.size, settings, generator, share)
    return Batch(images.contiguous(memory_format=torch.channels_last), share.of(targets))


_Made = tuple[Tensor, Tensor | None, Tensor] | EasError


class _Augmented(Dataset[_Made]):
    """What workers do: a whole batch at a time, or rather this process's share of it."""

    def __init__(self, photos: PhotoSet, settings: PhotoAugmentation, share: Share) -> None:
        self.photos, self.settings, self.share = photos, settings, share

    def __getitem__(self, asked: Asked) -> _Made:
        count = len(asked.index) // self.share.size
        if self.settings.mixes and self.share.size > 1 and count % 2:
            return TrainingError(
                f"photos are mixed in pairs: each of the {self.share.size} processes takes an even number; got {count}"
            )
        first = self.share.rank * count
        index = asked.index[first : first + count] if self.share.size > 1 else asked.index
        change = transform(self.settings, asked.size)
        with torch.random.fork_rng(devices=[]):
            made = []
            for place, which in enumerate(index.tolist(), first):
                try:
                    photo = self.photos.store.read(which, asked.size)
                except EasError as error:  # a worker's errors would lose their type on the way
                    return error
                torch.manual_seed(_seed(asked.seed, place))
                made.append(change(photo))
            photos, own = torch.stack(made), None
            if self.settings.mixes:
                pairs = range(first, first + len(made) - 1, 2)
                photos, own = mix(photos, self.settings, [_seed(asked.seed, place, 1) for place in pairs])
        return photos, own, torch.from_numpy(index)


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) >> 1


def _as_is(made: _Made) -> _Made:
    return made
