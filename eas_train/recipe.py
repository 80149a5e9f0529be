"""A training as data: names and numbers, read from TOML, checked by pydantic, written into the bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from eas_sdk.space.widths import MAX_INPUT_SIZE
from eas_train.settings import Settings, read_toml
from eas_train.strategy.recipe import DRY_STRATEGIES
from eas_train.supernet.recipe import SupernetRecipe


class StatisticsRecipe(Settings):
    """How batch-norm statistics are recorded and fitted."""

    seed: int = Field(default=0, ge=0, lt=2**32)
    networks: int = Field(default=300, gt=0)
    """Sub-networks whose statistics are recorded."""
    images: int = Field(default=128, gt=0)
    """Training images for each of them."""
    rank: int = Field(default=8, ge=1)
    """Rank of each layer's linear model."""
    own: float = Field(default=1.0, gt=0)
    """Ridge strength for the gates of a layer's own block."""
    upstream: float = Field(default=100.0, gt=0)
    """Ridge strength for the gates of the blocks before it."""


class GeneratorRecipe(Settings):
    """How the generator is trained (EAS, section 4: K 10, embeddings 32, lambda 0.01, tau 1, Adam 1e-3)."""

    encoding: Literal["single-path", "multi-path"] = "single-path"
    """Nested binary gates on one superkernel (EAS, section 3.2), or, the paper's baseline, a probability for each
    candidate of a block, whose outputs are mixed."""
    conditioned: bool = True
    """Whether it is told the superclass. Without, it generates one architecture for all ("EAS-V", EAS, section E)."""
    objective: Literal["cross-entropy", "predictor"] = "cross-entropy"
    """What is small where an architecture is good: its loss on validation drawings (EAS, Eq. 4), or minus the score
    that the accuracy predictor gives it, which has no noise of single batches and takes no forward pass."""
    score_weight: float = Field(default=10.0, gt=0)
    """Of the predictor's score, a probability, against the cost term."""
    latency_table: str | None = None
    """File of a latency table (`eas lut build`) whose latencies the generator keeps to instead of multiply-adds."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    steps: int = Field(default=1000, gt=0)
    requests: int = Field(default=4, gt=0)
    """(superclass, budget) pairs a step."""
    batch_size: int = Field(default=32, gt=0)
    """Validation images for each of them."""
    image_size: int | None = Field(default=None, ge=16, le=MAX_INPUT_SIZE)
    learning_rate: float = Field(default=1e-3, gt=0)
    budgets: int = Field(default=10, ge=2)
    embedding: int = Field(default=32, gt=0)
    hidden: int = Field(default=64, gt=0)
    cost_weight: float = Field(default=0.01, ge=0)
    temperature: float = Field(default=1.0, gt=0)


class PredictorRecipe(Settings):
    """How many sub-networks are measured for the accuracy predictor, and on what."""

    seed: int = 0
    networks: int = Field(default=400, gt=10)
    views: int = Field(default=4, gt=0)
    """Fixed views of each validation image."""
    images: int = Field(default=0, ge=0)
    """Validation images at most, the same share of every class; 0: every one."""
    training_images: int = Field(default=0, ge=0)
    """Augmented training images that the networks are scored on as well."""


class SearchRecipe(Settings):
    """Evolutionary search with an accuracy predictor, as once-for-all does it (Cai et al. 2020; EAS, sections 4 and B).

    The default sizes are the papers'.
    """

    per: Literal["superclass", "all"] = "superclass"
    """Whether every superclass gets a search of its own ("OFA-T"), or one serves them all ("OFA-V")."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    budgets: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        default=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0), min_length=1
    )
    """What is searched for: parts of the way from the smallest to the largest network."""
    madds: tuple[Annotated[int, Field(gt=0)], ...] = ()
    """The same in multiply-adds, in place of `budgets`."""
    population: int = Field(default=100, ge=4)
    generations: int = Field(default=500, gt=0)
    parents: float = Field(default=0.25, gt=0, le=1)
    """Share of the population that survives and has children."""
    mutated: float = Field(default=0.5, ge=0, le=1)
    """Share of the children that are mutated copies of one parent; the others are crossed from two."""
    mutation: float = Field(default=0.1, gt=0, le=1)
    """Probability that a mutated child draws a gene anew."""
    hidden: tuple[Annotated[int, Field(gt=0)], ...] = (400, 400, 400)
    """Layers of the accuracy predictor."""
    epochs: int = Field(default=250, gt=0)
    batch_size: int = Field(default=256, gt=0)
    learning_rate: float = Field(default=0.1, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    training_weight: float = Field(default=0.0, ge=0)
    """Of the accuracy on training images, against 1 of that on validation images (see `PredictorRecipe`)."""


class BoardRecipe(Settings):
    """A menu of the architectures that a strategy leaves, without a search: Cream's prioritized paths."""

    per: Literal["superclass", "all"] = "all"
    """Whether every superclass scores them by its own validation drawings, or all by the mean."""
    views: int = Field(default=4, gt=0)
    """Fixed views of each validation drawing that they are scored on."""


class Nsga2Recipe(BoardRecipe):
    """A menu of what NSGA-II finds, which asks the supernet itself (GreedyNAS, section 4.2; SPOS).

    The default sizes are GreedyNAS's.
    """

    seed: int = Field(default=0, ge=0, lt=2**32)
    budgets: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(default=(0.2, 0.4, 0.6, 0.8), min_length=1)
    """What is searched for: parts of the way from the smallest to the largest network."""
    madds: tuple[Annotated[int, Field(gt=0)], ...] = ()
    """The same in multiply-adds, in place of `budgets`."""
    latency_table: str | None = None
    """File of a latency table whose latencies are bounded instead of multiply-adds, by `budgets`."""
    from_pool: bool = True
    """Whether the first population is the best that the strategy left, as far as it fits; else, and where that is too
    few, it is random."""
    population: int = Field(default=50, ge=4)
    generations: int = Field(default=20, gt=0)
    mutated: float = Field(default=0.5, ge=0, le=1)
    """Share of the children that are mutated copies of one parent; the others are crossed from two."""
    mutation: float = Field(default=0.1, gt=0, le=1)
    """Probability that a mutated child draws a gene anew."""


class RouterRecipe(Settings):
    """How the router, which picks the superclass, is built and trained."""

    seed: int = Field(default=0, ge=0, lt=2**32)
    input_size: int | None = Field(default=None, ge=8, le=MAX_INPUT_SIZE)
    """Where it is given, the router reads the features of the bank's largest network at this input size, and only its
    classifier is its own; depth, kernel, expansion and the training of a network do not matter then."""
    images: int = Field(default=30_000, gt=0)
    """Training images of each group whose features that classifier is fitted to."""
    penalty: float = Field(default=1e-3, ge=0)
    """Of its weights' squares."""
    depth: int = Field(default=2, gt=0)
    kernel: int = Field(default=3, gt=0)
    expansion: int = Field(default=2, gt=0)
    """Of each block. Less than the bank's own smallest, as the router comes on top of a network."""
    steps: int = Field(default=3000, gt=0)
    batch_size: int = Field(default=128, gt=0)
    learning_rate: float = Field(default=0.08, gt=0)
    warmup_steps: int = Field(default=200, ge=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    clip_norm: float = Field(default=5.0, gt=0)
    class_weight: float = Field(default=0.5, ge=0)
    """Of the loss over the bank's classes, against that over superclasses."""
    shares: tuple[float, float, float] = (0.5, 0.3, 0.2)
    """Of a batch: the bank's classes, other classes of its superclasses, and none of these."""
    statistics_batches: int = Field(default=8, gt=0)
    """Batches of 256 training images for the batch-norm statistics."""
    accepted: float = Field(default=0.9, gt=0, le=1)
    """Share of the validation drawings that the threshold lets pass."""
    checkpoint_every_s: float = Field(default=60.0, ge=0)

    @field_validator("shares")
    @classmethod
    def _check_shares(cls, shares: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(shares) < 0 or not shares[0] > 0:
            raise ValueError(f"shares are not negative, and the first is positive; got {shares}")
        return shares


class BundleRecipe(Settings):
    """What the bundle holds and which accuracy figures are measured for it."""

    teacher_temperature: float = Field(default=1.0, gt=0)
    """What a published network's logits are divided by to be probabilities, where its answers are the labels: photos
    with labels of people tell."""

    samples: int = Field(default=64, ge=1, le=4096)
    """Gate vectors that the selector draws for each request."""
    prune_budgets: int = Field(default=200, ge=2)
    """Budgets of the grid that decides what is pruned."""
    views: int = Field(default=8, gt=0)
    """Fixed views of each test drawing."""
    budgets: int = Field(default=5, ge=2)
    """Budget levels in the accuracy table."""
    calibration_images: int = Field(default=3, ge=0)
    """Augmented training images of each superclass that the bundle carries, to calibrate integer exports on."""
    proof_images: int = Field(default=16, ge=0)
    """Validation images of each superclass that it carries, to prove exports on."""
    calibration_side: int | None = Field(default=None, ge=8, le=MAX_INPUT_SIZE)
    """Side of both in pixels, and of photos given for them; none: that of the largest network's images."""
    integers: tuple[str, ...] = ()
    """Whether the classifier is kept in 8-bit integers: of a thousand classes it is a quarter of a small bank."""


class Recipe(Settings):
    """A whole training: data to bundle."""

    name: str
    supernet: SupernetRecipe
    statistics: StatisticsRecipe = StatisticsRecipe()
    predictor: PredictorRecipe = PredictorRecipe()
    selector: Literal["generator", "search", "nsga2", "board", "random"] = "generator"
    """What picks architectures: the generator of EAS; a menu that a search leaves, by an accuracy predictor (once for
    all) or by the supernet (GreedyNAS); a menu of what the training itself left (Cream); or chance."""
    generator: GeneratorRecipe = GeneratorRecipe()
    search: SearchRecipe = SearchRecipe()
    nsga2: Nsga2Recipe = Nsga2Recipe()
    board: BoardRecipe = BoardRecipe()
    router: RouterRecipe = RouterRecipe()
    bundle: BundleRecipe = BundleRecipe()

    @model_validator(mode="after")
    def _check_objective(self) -> Recipe:
        if self.supernet.adapted_sizes and self.selector == "generator" and self.generator.objective != "predictor":
            raise ValueError(
                'adapted_sizes change weights with the input size, which the objective "cross-entropy" mixes; take '
                'generator.objective = "predictor"'
            )
        return self

    @classmethod
    def read(cls, source: str | Path) -> Recipe:
        """A recipe from a TOML file, or one that ships with the package, by name ("emoji").

        Raises:
            TrainingError: there is none, the file is no TOML, or a field is unknown or out of range.
        """
        return read_toml(cls, source, Path(__file__).parent / "recipes", "recipe")

    def dry(self) -> Recipe:
        """The same with next to nothing of everything: all code runs, at the full image size; nothing is learned."""
        phases = tuple(p.model_copy(update={"steps": 2, "warmup_steps": 0}) for p in self.supernet.phases)
        changes: dict[str, Any] = {"name": f"{self.name}-dry-run"}
        for section, counts in DRY.items():
            changes[section] = getattr(self, section).model_copy(update=counts)
        chosen = self.supernet.strategy
        small = chosen.model_copy(update=DRY_STRATEGIES[chosen.kind])
        changes["supernet"] = changes["supernet"].model_copy(update={"phases": phases, "strategy": small})
        return self.model_copy(update=changes)


DRY: dict[str, dict[str, Any]] = {
    "supernet": {"batch_size": 4},
    "statistics": {"networks": 3, "images": 4},
    "predictor": {"networks": 11, "views": 1, "training_images": 0},
    "generator": {"steps": 2, "requests": 1, "batch_size": 2},
    "search": {"budgets": (0.5,), "population": 4, "generations": 2, "epochs": 2},
    "nsga2": {"budgets": (0.5,), "population": 4, "generations": 2, "views": 1},
    "board": {"views": 1},
    "router": {"steps": 2, "batch_size": 4, "warmup_steps": 0, "statistics_batches": 1},
    "bundle": {"prune_budgets": 4, "views": 1, "budgets": 2, "calibration_images": 1, "proof_images": 1},
}
"""What is left of every count in a dry run."""
