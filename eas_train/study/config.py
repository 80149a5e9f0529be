"""A study as data: supernets, methods, seeds and budgets, read from TOML and checked by pydantic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from eas_sdk.budget import format_madds
from eas_sdk.errors import TrainingError
from eas_train.recipe import Recipe
from eas_train.settings import Settings, checked, read_toml
from eas_train.supernet.recipe import SupernetRecipe

SHIPPED = Path(__file__).parent / "studies"


class SupernetVariant(Settings):
    """How one supernet differs from the recipe's."""

    superclass_dropout: float | None = Field(default=None, ge=0, le=1)
    """q of every phase that trains smaller networks; the teacher is trained without (EAS, section B)."""
    recipe: str | None = None
    """Another recipe, whose supernet section is taken."""
    strategy: dict[str, Any] = Field(default_factory=dict)
    """What differs from that recipe's strategy."""


class Method(Settings):
    """One row of the table: a way of picking architectures, on one of the supernets."""

    name: str = Field(min_length=1)
    supernet: str | None = None
    """Name of a variant; the first where it is missing."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """What differs from the recipe, by section: {"selector": "search", "search": {"per": "all"}}."""
    statistics: Literal["bundle", "recalibrated"] = "bundle"
    """Whether networks run on the statistics that the bundle carries, or on some recalibrated for each of them."""


class Quality(Settings):
    """How supernets are compared with networks that are trained alone, briefly."""

    networks: int = Field(default=20, ge=3)
    """Random networks of each space."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    trainings: int = Field(default=1, gt=0)
    """How often each is trained alone, with seeds from `seed` on; what counts is the mean."""
    steps: int = Field(default=400, gt=0)
    learning_rate: float = Field(default=0.1, gt=0)
    image_size: int | None = Field(default=None, ge=16)
    """Side of the images that they are trained and judged on, where it is not the space's own."""
    superclass_dropout: float = Field(default=0.3, ge=0, le=1)
    """q of their training."""
    recalibration_images: int = Field(default=1000, gt=0)


class Study(Settings):
    """A whole study."""

    name: str = Field(min_length=1)
    recipe: str
    """What all methods share, by name or file."""
    budgets: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(default=(0.2, 0.4, 0.6, 0.8), min_length=1)
    """Parts of the way from each task's smallest to its largest network."""
    madds: tuple[Annotated[int, Field(gt=0)], ...] = ()
    """Budgets in multiply-adds, in place of `budgets`: the same for all methods, whatever their spaces."""
    supernet_seeds: tuple[int, ...] = Field(default=(0, 1), min_length=1)
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    """Of everything after the supernet: statistics, measured networks, predictor, generator, search."""
    views: int = Field(default=8, gt=0)
    """Fixed views of each test drawing."""
    recalibration_images: int = Field(default=2000, gt=0)
    """Training images for each network that is recalibrated (OFA: 2,000)."""
    supernets: dict[str, SupernetVariant] = Field(default={"supernet": SupernetVariant()}, min_length=1)
    methods: tuple[Method, ...] = Field(min_length=1)
    quality: Quality | None = None
    """Whether, and how, the ranks that supernets give are compared with those of networks trained alone."""
    reference: str
    """The method that all others are compared with."""

    @model_validator(mode="after")
    def _check_names(self) -> Study:
        names = [method.name for method in self.methods]
        if len(set(names)) != len(names):
            raise ValueError(f"every method has a name of its own; got {names}")
        if self.reference not in names:
            raise ValueError(f"reference is one of the methods {names}; got {self.reference!r}")
        for method in self.methods:
            if method.supernet is not None and method.supernet not in self.supernets:
                raise ValueError(
                    f"supernet of method {method.name!r} is one of {list(self.supernets)}; got {method.supernet!r}"
                )
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """The budgets, for people."""
        return tuple(map(format_madds, self.madds)) or tuple(f"{budget:.0%}" for budget in self.budgets)

    @classmethod
    def read(cls, source: str | Path) -> Study:
        """A study from a TOML file, or one that ships with the package, by name ("emoji").

        Raises:
            TrainingError: there is none, the file is no TOML, or a field is unknown or out of range.
        """
        return read_toml(cls, source, SHIPPED, "study")

    def training_recipe(self, method: Method, supernet_seed: int, seed: int) -> Recipe:
        """The recipe of one run.

        Raises:
            TrainingError: a method's settings are no settings of a recipe.
        """
        base = Recipe.read(self.recipe)
        variant = self.supernets[method.supernet or next(iter(self.supernets))]
        tree = base.model_dump(mode="json", exclude_unset=True)
        tree["supernet"] = _supernet(variant, base).model_dump(mode="json") | {"seed": supernet_seed}
        tree["supernet"]["strategy"] |= variant.strategy
        for section in ("statistics", "predictor", "generator", "search", "nsga2"):
            tree[section] = tree.get(section, {}) | {"seed": seed}
        for name, value in method.settings.items():
            tree[name] = tree.get(name, {}) | value if isinstance(value, dict) else value
        for name in ("search", "nsga2"):
            given = method.settings.get(name, {})
            if "budgets" not in given and "madds" not in given:
                budgets = {"madds": self.madds} if self.madds else {"budgets": self.budgets}
                tree[name] = tree.get(name, {}) | budgets
        try:
            return checked(Recipe, tree)
        except TrainingError as error:
            raise TrainingError(f"method {method.name!r} of study {self.name!r} has no valid recipe: {error}") from None


def _supernet(variant: SupernetVariant, base: Recipe) -> SupernetRecipe:
    recipe = (base if variant.recipe is None else Recipe.read(variant.recipe)).supernet
    if variant.superclass_dropout is None:
        return recipe
    rate = {"superclass_dropout": variant.superclass_dropout}
    phases = tuple(p if p.largest_only else p.model_copy(update=rate) for p in recipe.phases)
    return recipe.model_copy(update={"phases": phases})
