"""How a supernet is trained, as data: its space, its phases, what it begins with and what teaches it."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Protocol, TypeVar

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from eas_sdk.errors import EasError, closest
from eas_sdk.space.cells.space import CellSpace
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.presets import PRESETS
from eas_sdk.space.protocol import Space
from eas_sdk.space.widths import MAX_INPUT_SIZE
from eas_train.data.drawing_augment import DrawingAugmentation
from eas_train.data.photo_augment import PhotoAugmentation
from eas_train.data.splits import Images
from eas_train.pretrained.sources import SOURCES
from eas_train.settings import Settings
from eas_train.space import changed
from eas_train.strategy.recipe import CreamRecipe, GreedyRecipe, NseRecipe, UniformRecipe

T = TypeVar("T", int, float)

TaggedAugmentation = Annotated[
    Annotated[DrawingAugmentation, Tag("drawing")] | Annotated[PhotoAugmentation, Tag("photo")],
    Discriminator(lambda x: x.get("kind", "drawing") if isinstance(x, dict) else getattr(x, "kind", None)),
]


class Identified(Protocol):
    """Something with a digest."""

    @property
    def digest(self) -> str: ...


class Phase(Settings):
    """A run of optimiser steps that samples sub-networks from the same choices, under one cosine."""

    name: str
    steps: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(default=0, ge=0)
    image_size: int | None = Field(default=None, ge=16, le=MAX_INPUT_SIZE)
    """Side of the training images where it is not the networks' own, of whatever size they are: small images early
    cost a fraction."""
    depths: tuple[int, ...] = ()
    """What is drawn from, and likewise below; none: all that the space has. A unit that has none of them keeps the
    largest that it has."""
    kernels: tuple[int, ...] = ()
    expansions: tuple[float, ...] = ()
    input_sizes: tuple[int, ...] = ()
    networks: int = Field(default=1, ge=1)
    """Sub-networks a step."""
    sandwich: bool = False
    """Whether every step trains the largest and the smallest network (the rest are random)."""
    distillation: float = Field(default=0.0, ge=0)
    """Weight of the teacher's answer in the loss of the networks that are taught; 0: none is."""
    feature_distillation: float = Field(default=0.0, ge=0)
    """Weight of how far features before the classifier are from the teacher's, beside it."""
    label_weight: float = Field(default=1.0, ge=0)
    """Of the labels, beside it. Networks that nobody teaches learn from labels alone."""
    teacher: Literal["largest", "frozen"] = "largest"
    """Who teaches: the largest network of the same step, which learns from labels itself and drifts; or a frozen one,
    the largest as it was when the first such phase began (or another bundle's), which teaches the largest as well."""
    images: Literal["labelled", "unlabelled"] = "labelled"
    """Which images are trained on. Unlabelled ones take a frozen teacher and no labels."""
    superclass_dropout: float = Field(default=0.0, ge=0, le=1)
    """q of EAS, Eq. 2."""
    whole: float = Field(default=0.0, ge=0, le=1)
    """Probability of each unit of a sub-network drawn to be that of the largest; other units are drawn."""
    size_power: float = Field(default=0.0, ge=0, le=4)
    """Input sizes are drawn in proportion to one over their area, to this power; 0: evenly."""
    largest_only: bool = False
    """Whether the largest network alone, at its own input size, is trained, and the strategy waits."""
    spread_weights: bool = False
    """Whether, when the phase begins, the blocks of every cell take parts of the largest one's weights."""
    sort_channels: bool = False
    """Whether hidden channels are sorted by importance when the phase begins."""
    sort_tiers: tuple[float, ...] = ()
    """Expansion ratios whose boundaries the sorting must keep."""

    @model_validator(mode="after")
    def _check_sandwich(self) -> Phase:
        if self.sandwich and self.networks < 2:
            raise ValueError(
                f"a sandwich phase trains at least 2 networks a step, the largest and the smallest; got {self.networks}"
            )
        if self.feature_distillation and not self.distillation:
            raise ValueError(f"feature_distillation goes with a distillation above 0; phase {self.name!r} has none")
        if self.teacher == "frozen" and not self.distillation:
            raise ValueError(f"a frozen teacher takes a distillation above 0; phase {self.name!r} has none")
        if self.images == "unlabelled" and (
            self.teacher != "frozen" or self.label_weight or self.superclass_dropout or self.largest_only
        ):
            raise ValueError(
                'unlabelled images take teacher = "frozen", label_weight = 0 and no superclass_dropout, and are not '
                f"for a teacher phase; phase {self.name!r} has teacher {self.teacher!r}, label_weight "
                f"{self.label_weight} and superclass_dropout {self.superclass_dropout}"
            )
        return self

    def scaled(self, share: float) -> Phase:
        """With so many times its steps, one at least, and no more steps of warmup than before."""
        warmup = round(min(1.0, share) * self.warmup_steps)
        return self.model_copy(update={"steps": max(1, round(share * self.steps)), "warmup_steps": warmup})

    def important(self) -> dict[str, Any]:
        """What a checkpoint depends on."""
        fields = type(self).model_fields
        later = {name for name in LATER_OF_PHASE if getattr(self, name) == fields[name].default}
        return self.model_dump(mode="json", exclude=later)

    def options(self, name: str, allowed: Sequence[T], most: T) -> list[T]:
        """What is drawn from for one choice of an elastic space: of its options up to `most`, those of the field
        `name`."""
        within = [option for option in allowed if option <= most]
        return [option for option in within if option in getattr(self, name)] or (
            within[-1:] if getattr(self, name) else within
        )


ELASTIC_FIELDS = (
    "depths",
    "kernels",
    "expansions",
    "input_sizes",
    "whole",
    "size_power",
    "sort_channels",
    "sort_tiers",
)
"""Of phases, which nothing but an elastic space understands."""


BUNDLE = "bundle"
"""What a supernet begins with that begins with a bundle."""

UNIMPORTANT = {"checkpoint_every_s", "mixed_precision", "workers"}
"""Settings of a supernet's training on which its result does not depend."""
LATER = (
    "pretrained",
    "normalisation",
    "optimizer",
    "statistics_rate",
    "frozen",
    "rarity",
    "adapted_sizes",
    "adapter_rank",
    "adapter_rate",
    "classifier",
    "keep",
)
LATER_OF_PHASE = ("feature_distillation", "whole", "size_power")
"""Settings that came after the first checkpoints: at their defaults these go on."""


class ClassifierRecipe(Settings):
    """How the classifier of a supernet begins that begins with trained weights: fitted to features that stand still."""

    seed: int = Field(default=0, ge=0)
    views: int = Field(default=4, ge=1)
    """Of each training image."""
    images: int = Field(default=4000, ge=1)
    """Views at most."""


def grouping(data: Images) -> list[list[str]]:
    """Every superclass: its name, then those of its classes."""
    return [[superclass.name, *superclass.class_names] for superclass in data.superclasses]


class SupernetRecipe(Settings):
    """How the supernet is trained."""

    preset: str = "small"
    """Name of the search space."""
    space: dict[str, Any] = Field(default_factory=dict)
    """What is other than in the preset, by the names of an elastic space's fields; and `depths`, `kernels` and
    `expansions` of every unit that has a choice. With `kind`, a whole space of any form."""
    pretrained: str | None = None
    """Published network that the largest one begins as (`eas import` names them); the space must have it as largest.
    It is also what teaches in phases with a frozen teacher. Or "bundle": the weights and the space are those of the
    bundle that is named with --from."""
    classifier: ClassifierRecipe | None = None
    """Where classes are new: how their classifier begins."""
    normalisation: Literal["batch", "learned"] = "batch"
    """What networks normalise with while they are trained: the statistics of the batch; or those of the published
    network, moved by what is learned for each choice, which are then the bundle's own."""
    strategy: UniformRecipe | GreedyRecipe | CreamRecipe | NseRecipe = Field(
        default=UniformRecipe(), discriminator="kind"
    )
    """Which sub-networks are trained, and what they learn from one another."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    batch_size: int = Field(default=128, gt=0)
    optimizer: Literal["sgd", "adam"] = "sgd"
    momentum: float = Field(default=0.9, gt=0, lt=1)
    """Of SGD, Nesterov's; of Adam, of its mean of gradients."""
    weight_decay: float = Field(default=3e-5, ge=0)
    statistics_rate: float = Field(default=10.0, gt=0)
    """Learning rate of learned statistics, as a multiple of that of the weights."""
    frozen: tuple[str, ...] = ()
    """Layers whose weights are not trained, by the beginnings of their names, such as "classifier"."""
    adapted_sizes: tuple[tuple[int, ...], ...] = ()
    """Input sizes whose networks add changes of low rank to the weights of their convolutions, which are trained where
    the weights themselves rest, for instance; in groups that share one change."""
    adapter_rank: int = Field(default=4, ge=1)
    """Rank of these changes."""
    adapter_rate: float = Field(default=1.0, gt=0)
    """Their learning rate, as a multiple of that of the weights."""
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    clip_norm: float = Field(default=5.0, gt=0)
    mixed_precision: bool = True
    checkpoint_every_s: float = Field(default=60.0, ge=0)
    keep: Literal["last", "best"] = "last"
    """Which weights are gone on with: those at the end; or those whose smallest, middle and largest network had the
    best mean accuracy on validation images, of some steps."""
    rarity: float = Field(default=0.0, ge=0, le=1)
    """How much more often photos of rare classes are trained on: they are drawn by one over the number of photos of
    their class, to this power. 0: every photo once an epoch."""
    workers: int | None = Field(default=None, ge=0, le=128)
    """Processes that decode photos; what is trained does not depend on it."""
    augmentation: TaggedAugmentation = DrawingAugmentation()
    """Its `kind` is that of the images: "drawing", or "photo"."""
    phases: tuple[Phase, ...] = ()
    """At least one, where no classifier is fitted."""

    @field_validator("preset")
    @classmethod
    def _check_preset(cls, preset: str) -> str:
        if preset not in PRESETS:
            raise ValueError(f"no preset is called {preset!r}; {closest(preset, PRESETS)}")
        return preset

    @model_validator(mode="after")
    def _check_published(self) -> SupernetRecipe:
        if self.pretrained not in (None, BUNDLE, *SOURCES):
            raise ValueError(
                f"pretrained is a published network or {BUNDLE!r}; got {self.pretrained!r}; "
                f"{closest(self.pretrained, (BUNDLE, *SOURCES))}"
            )
        if not self.phases and self.classifier is None:
            raise ValueError("a training has at least one phase")
        if self.classifier is not None and self.pretrained is None:
            raise ValueError("a classifier is fitted to the features of trained weights; name them: pretrained")
        if self.rarity and any(phase.images == "unlabelled" for phase in self.phases):
            raise ValueError(f"rarity is that of a label; photos without labels have none; got {self.rarity}")
        if self.normalisation == "learned":
            if self.pretrained is None:
                raise ValueError("learned normalisation moves statistics that are known; name whose: pretrained")
            if sized := [phase.name for phase in self.phases if phase.image_size is not None]:
                raise ValueError(
                    f"learned normalisation is of networks at their own input sizes; phase {sized[0]!r} has image_size"
                )
        return self

    @model_validator(mode="after")
    def _check_choices(self) -> SupernetRecipe:
        try:
            space = self.search_space()
        except EasError as error:
            raise ValueError(str(error)) from None
        if self.pretrained not in (None, BUNDLE) and not isinstance(space, ElasticSpace):
            raise ValueError(f"{self.pretrained!r} is a member of elastic spaces; {self.preset!r} is none")
        if self.adapted_sizes:
            smaller = space.input_sizes[:-1] if isinstance(space, ElasticSpace) else ()
            adapted = [size for group in self.adapted_sizes for size in group]
            if len(set(adapted)) < len(adapted) or not set(adapted) <= set(smaller) or not all(self.adapted_sizes):
                raise ValueError(
                    "adapted_sizes are groups of an elastic space's input sizes below its largest, each once: "
                    f"{list(smaller)}; got {[list(group) for group in self.adapted_sizes]}"
                )
        for phase in self.phases:
            if phase.spread_weights and not (isinstance(space, CellSpace) and space.single):
                raise ValueError(
                    f"spread_weights of phase {phase.name!r} is of spaces of cells that are joined as residuals; "
                    f"{self.preset!r} is none"
                )
            if not isinstance(space, ElasticSpace):
                given = [name for name in ELASTIC_FIELDS if getattr(phase, name) != Phase.model_fields[name].default]
                if given:
                    raise ValueError(f"{given} of phase {phase.name!r} are of elastic spaces; {self.preset!r} is none")
                continue
            known = {
                name: {value for unit in space.units for value in getattr(unit, name)}
                for name in ("depths", "kernels", "expansions")
            }
            known |= {"sort_tiers": known["expansions"], "input_sizes": set(space.input_sizes)}
            for field, allowed in known.items():
                if not set(getattr(phase, field)) <= allowed:
                    raise ValueError(
                        f"{field} of phase {phase.name!r} come from {sorted(allowed)}; got {getattr(phase, field)}"
                    )
        return self

    def search_space(self) -> Space:
        """The search space: the preset, with what is other."""
        return changed(PRESETS[self.preset], self.space)

    @property
    def total_steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    @property
    def judged_images(self) -> int:
        """Images that are worth looking at to judge what was trained, at most: next to nothing in a dry run."""
        return max(4, self.total_steps * self.batch_size // 8)

    def teacher(self) -> SupernetRecipe | None:
        """The first phases alone, as far as they train the largest network and no other; None where none does."""
        phases = tuple(itertools.takewhile(lambda phase: phase.largest_only, self.phases))
        return self.model_copy(update={"phases": phases, "strategy": UniformRecipe()}) if phases else None

    @property
    def tries_on_validation(self) -> bool:
        """Whether validation drawings decide what is trained."""
        return not isinstance(self.strategy, UniformRecipe)

    def phase_at(self, step: int) -> tuple[Phase, int]:
        """The phase of a global step, and the step's index inside it."""
        for phase in self.phases:
            if step < phase.steps:
                return phase, step
            step -= phase.steps
        raise IndexError(step)

    def fingerprint(
        self,
        data: Images,
        validation: Images | None = None,
        unlabelled: Images | None = None,
        teacher: Identified | None = None,
        start: Identified | None = None,
        *,
        grouped: bool = True,
    ) -> str:
        """Identifies recipe and data, and what is begun with: a checkpoint goes on only with the same of all.

        Args:
            grouped: whether the superclasses are part of the data; they were not in the first checkpoints.
        """
        later = {name for name in LATER if getattr(self, name) == type(self).model_fields[name].default}
        settings = self.model_dump(mode="json", exclude={*UNIMPORTANT, *later, "phases"})
        facts = {
            "recipe": settings | {"phases": [phase.important() for phase in self.phases]},
            "space": self.search_space().to_json(),
            "classes": list(data.classes),
            "images": data.digest,
        }
        if grouped:
            facts["superclasses"] = grouping(data)
        if unlabelled is not None and any(phase.images == "unlabelled" for phase in self.phases):
            facts["unlabelled"] = unlabelled.digest
        if teacher is not None and any(phase.teacher == "frozen" for phase in self.phases):
            facts["teacher"] = teacher.digest
        if start is not None:
            facts["start"] = start.digest
        if (self.tries_on_validation or self.keep == "best") and validation is not None:
            facts["validation"] = validation.digest
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
