"""What a training is made of, as its folder keeps it: the recipe, and where its images come from."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from eas_sdk.bank import bundle as bundles
from eas_sdk.bank.atomic import write_atomically
from eas_sdk.bank.shipped import bundle_file
from eas_sdk.errors import DataError, EasError, InputError, TrainingError
from eas_train.bundle import teacher_of
from eas_train.data.class_lists import read_list
from eas_train.data.listing import as_photos
from eas_train.data.own_photos import list_others
from eas_train.data.source import UNLABELLED, Source
from eas_train.data.splits import Images, Splits, evenly, first_of_each
from eas_train.data.unlabelled import unlabelled_photos
from eas_train.pipeline import Training
from eas_train.pretrained.answers import labelled_by
from eas_train.pretrained.importer import load_pretrained
from eas_train.pretrained.labels import LIST
from eas_train.pretrained.sources import SOURCES
from eas_train.recipe import Recipe
from eas_train.settings import checked
from eas_train.start import Start
from eas_train.supernet.recipe import BUNDLE
from eas_train.supernet.teacher import Teacher

RUN = "run.json"
MARGIN_PX = 32
"""By which drawings are larger than the network's input: augmentation turns and enlarges them."""
DRY_IMAGES = 2
"""Of each class, in a dry run."""
DRY_PHOTOS = 400
"""That a published network is asked about, in a dry run."""


@dataclass(frozen=True)
class Run:
    """One `eas train`.

    Attributes:
        recipe: all settings; of a dry run those that are left.
        source: of the labelled images.
        start: a bundle to begin with, where the recipe says so; by default the first that ships.
        unlabelled: folder of photos without labels; teacher: a bundle to learn from; calibration: folder of photos that
            the bundle carries.
        credits: whose images they are.
        dry: whether there are only two images of each class, and no others.
        threads: of the processor that it computes on; sums are rounded by their number.
        minutes: that it may take, where that was asked for; asked: the recipe, before its steps were fitted to the
            photos and to the time.
    """

    recipe: Recipe
    source: Source
    start: Path | None = None
    unlabelled: Path | None = None
    teacher: Path | None = None
    calibration: Path | None = None
    credits: tuple[str, ...] = ()
    dry: bool = False
    threads: int | None = None
    minutes: float | None = None
    asked: Recipe | None = None

    def training(self, folder: Path, device: torch.device) -> Training:
        """With its images, which are looked for now; raises as `Source.load`, `bundles.read` and `Training` do."""
        recipe, origin = self._begun()
        supernet = recipe.supernet
        if self.source.layout == UNLABELLED:
            splits, others = self._answered(folder, device)
            credits: tuple[str, ...] = ()
        else:
            side = supernet.search_space().input_sizes[-1] + MARGIN_PX
            splits, others, credits = self.source.load(side, supernet.augmentation.kind)
        if self.dry:
            splits, others = first_of_each(splits, DRY_IMAGES), None
        teacher = None
        if self.teacher is not None:
            with bundle_file(self.teacher) as file:
                teacher = teacher_of(bundles.read(file), splits.classes, device)
        elif supernet.pretrained in SOURCES:
            teacher = self._published(splits.classes, device)
        credits = self.credits or credits
        if origin is not None:  # whoever took the photos, the weights are theirs
            credits = tuple(dict.fromkeys((*credits, *origin.bundle.attributions)))
        elif supernet.pretrained is not None:
            credits = (*credits, SOURCES[supernet.pretrained].attribution)
        return Training(
            recipe,
            splits,
            folder,
            device,
            credits,
            others,
            None if self.unlabelled is None else unlabelled_photos(self.unlabelled, splits.superclasses),
            teacher,
            None if self.calibration is None else unlabelled_photos(self.calibration, splits.superclasses),
            answered=self.source.layout == UNLABELLED,
            origin=origin,
        )

    def _begun(self) -> tuple[Recipe, Start | None]:
        """The recipe, and what it begins with where that is a bundle, whose space is then the recipe's."""
        supernet = self.recipe.supernet
        if supernet.pretrained != BUNDLE:
            if self.start is not None:
                raise InputError(
                    f"--from is for a recipe that begins with a bundle (pretrained = {BUNDLE!r}); {self.recipe.name!r} "
                    f"has {supernet.pretrained!r}"
                )
            return self.recipe, None
        with bundle_file(self.start) as file:
            start = Start(bundles.read(file))
        supernet = supernet.model_copy(update={"space": start.bundle.space.to_json()})
        return self.recipe.model_copy(update={"supernet": supernet}), start

    def _published(self, classes: Sequence[str], device: torch.device) -> Teacher:
        """The published network that the recipe begins with."""
        supernet = self.recipe.supernet
        assert supernet.pretrained is not None
        try:
            published = load_pretrained(supernet.pretrained, space=supernet.search_space(), classes=classes)
        except DataError as error:
            hint = f"photos without labels of its classes take --layout {UNLABELLED}"
            raise DataError(str(error) if self.source.layout == UNLABELLED else f"{error}; {hint}") from None
        return published.teacher().to(device)

    def _answered(self, folder: Path, device: torch.device) -> tuple[Splits[Images], Splits[Images] | None]:
        """Photos with the published network's answers as labels, and those of other things.

        Raises:
            InputError: the recipe begins with no published network, or there is no folder, or its images are drawings.
        """
        supernet, source = self.recipe.supernet, self.source
        if supernet.pretrained not in SOURCES or source.folder is None or supernet.augmentation.kind == "drawing":
            raise InputError(
                f"--layout {UNLABELLED} is for --data and a recipe that begins with a published network (`pretrained`) "
                f"and augments photos; got --data {source.folder}, pretrained {supernet.pretrained!r}, "
                f"augmentation {supernet.augmentation.kind!r}"
            )
        superclasses = read_list(LIST).superclasses
        teacher = self._published([name for s in superclasses for name in s.class_names], device)
        photos = unlabelled_photos(source.folder, superclasses)
        if self.dry:
            photos = evenly(photos, DRY_PHOTOS)
        splits = labelled_by(photos, teacher, folder)
        if missing := [s.name for s in superclasses if s.name not in {kept.name for kept in splits.superclasses}]:
            print(
                f"left out: {', '.join(missing)}. A superclass needs three photos of a class, of which "
                f"{supernet.pretrained} is sure, in {source.folder}",
                file=sys.stderr,
                flush=True,
            )
        others = None if source.others is None else as_photos(list_others(source.others, splits.superclasses))
        return splits, others

    def write(self, folder: Path) -> None:
        """Keep it in the training's folder."""
        asked = None if self.asked is None else self.asked.model_dump(mode="json")
        data = dataclasses.asdict(self) | {"recipe": self.recipe.model_dump(mode="json"), "asked": asked}
        text = json.dumps(data, indent=1, default=lambda path: str(path.resolve()))
        write_atomically(folder / RUN, [text.encode()])

    @classmethod
    def read(cls, folder: Path) -> Run:
        """What `write` kept.

        Raises:
            TrainingError: the folder is not that of a training, or the file was altered.
        """
        path = folder / RUN
        try:
            data = json.loads(path.read_bytes())
            source: dict[str, Any] = {
                name: Path(value)
                if value is not None and name in ("folder", "others", "cache")
                else (tuple(map(str, value)) if isinstance(value, list) else value)
                for name, value in data["source"].items()
            }
            places = {
                name: None if data.get(name) is None else Path(data[name])
                for name in ("start", "unlabelled", "teacher", "calibration")
            }
            recipe, threads = checked(Recipe, data["recipe"]), data.get("threads")
            minutes, asked = data.get("minutes"), data.get("asked")
            return cls(
                recipe,
                Source(**source),
                **places,
                credits=tuple(data["credits"]),
                dry=bool(data["dry"]),
                threads=None if threads is None else max(1, int(threads)),
                minutes=None if minutes is None else float(minutes),
                asked=None if asked is None else checked(Recipe, asked),
            )
        except FileNotFoundError:
            raise TrainingError(f"{folder} is not the folder of an `eas train`: it has no {RUN}") from None
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError, EasError) as error:
            raise TrainingError(f"{path} was altered, or is of another version: {error}") from None

    @classmethod
    def kept(cls, folder: Path) -> Run | None:
        """What `write` kept; None where there is nothing that can be read."""
        try:
            return cls.read(folder)
        except TrainingError:
            return None
