"""The settings of each strategy, and what a dry run leaves of them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from eas_train.settings import Settings


class UniformRecipe(Settings):
    """Sub-networks are drawn evenly from what a phase allows (Guo et al. 2020)."""

    kind: Literal["uniform"] = "uniform"


class GreedyRecipe(Settings):
    """GreedyNAS (You et al. 2020): paths are filtered by their loss on validation drawings before they are trained."""

    kind: Literal["greedy"]
    sampled: int = Field(default=10, ge=1)
    """m: paths drawn at a time."""
    kept: int = Field(default=5, ge=1)
    """k: how many of them are trained, those of lowest loss."""
    images: int = Field(default=1000, gt=0)
    """Validation images that they are ranked on."""
    warmup_steps: int = Field(default=0, ge=0)
    """Steps without filtering: ranks by an untrained supernet are noise (the paper: 10,000)."""
    pool: int = Field(default=1000, ge=0)
    """Size of the candidate pool; 0 for none."""
    pool_probability: float = Field(default=0.8, ge=0, le=1)
    """Epsilon at the end of the training: the share of paths that are drawn from the pool; it rises from 0."""
    steady_steps: int = Field(default=0, ge=0)
    """t: the training stops when the full pool has changed little for so many steps; 0: it does not."""
    tolerance: float = Field(default=0.08, ge=0, le=1)
    """Alpha: what little means, as a share of the pool."""

    @model_validator(mode="after")
    def _check_kept(self) -> GreedyRecipe:
        if self.kept > self.sampled:
            raise ValueError(f"no more paths are kept than sampled ({self.sampled}); got {self.kept}")
        return self


class CreamRecipe(Settings):
    """Cream (Peng et al. 2020): prioritized paths teach the others."""

    kind: Literal["cream"]
    matching: Literal["none", "fixed", "random", "meta"] = "meta"
    """Which teacher a path gets: none, the largest network, any path on the board, or the one that a meta network
    picks, which also says how much it counts (table 1)."""
    board: int = Field(default=10, gt=0)
    """K: paths on each board."""
    ranges: tuple[tuple[float, float], ...] = Field(default=((0.0, 1.0),), min_length=1)
    """One board for each: from and to which part of the way from the smallest to the largest network's multiply-adds.
    The paper has one board, for the budget that it searches for."""
    images: int = Field(default=2048, gt=0)
    """Validation images that paths are judged on."""
    warmup_steps: int = Field(default=0, ge=0)
    """Steps without board and distillation."""
    refresh_every: int = Field(default=200, gt=0)
    """Steps until the paths on the boards are judged anew."""
    match_images: int = Field(default=16, gt=1)
    """Images of the batch on which paths are compared."""
    meta_every: int = Field(default=200, gt=0)
    """tau: steps between updates of the meta network."""
    meta_hidden: int = Field(default=1000, gt=0)
    meta_learning_rate: float = Field(default=1e-3, gt=0)

    @field_validator("ranges")
    @classmethod
    def _check_ranges(cls, ranges: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        if not all(0 <= low < high <= 1 for low, high in ranges):
            raise ValueError(f"ranges go from a part to a larger one, within 0 and 1; got {ranges}")
        return ranges


class NseRecipe(Settings):
    """NSE (Ci et al. 2021): rounds of search over some operations a cell, each of a whole training by `phases`.

    The default sizes are the paper's.
    """

    kind: Literal["nse"]
    target: float = Field(default=300.0, gt=0)
    """tau: what networks are to cost, in millions of multiply-adds, or in milliseconds where there is a table."""
    drift: float = Field(default=50.0, gt=0)
    """How far from the target the front may lie, on both sides."""
    latency_table: str | None = None
    """File of a latency table whose latencies are the cost."""
    candidates: int = Field(default=5, ge=2)
    """K: operations of each cell in a round."""
    rounds: int | None = Field(default=None, ge=1)
    """Most rounds; by default, until a cell has too few operations left that were not seen."""
    inherit_weights: bool = False
    """Whether a round begins with the last one's weights, as far as it has the same operations. The paper trains every
    round afresh."""
    images: int = Field(default=256, gt=0)
    """Validation images for each update of the indicators."""
    theta_every: int = Field(default=2, gt=0)
    """Steps between those updates."""
    theta_learning_rate: float = Field(default=0.1, gt=0)
    threshold: float = -2.0
    """Branches whose indicator falls below are dropped."""
    cost_weight: float = Field(default=1e-5, ge=0)
    """alpha of Eq. 5, for a cost in the target's unit."""
    cost_power: float = Field(default=2.0, gt=0)
    """beta of Eq. 5."""
    samples: int = Field(default=2000, gt=0)
    """D: networks that are judged for the front."""
    edge_samples: int = Field(default=100, ge=0)
    """D_e: more of them below the band, so that its cheapest are not best for want of others."""
    recalibration_images: int = Field(default=20_000, gt=0)
    """Training images for the batch-norm of every network that is judged."""

    @property
    def unit(self) -> str:
        """That of `target` and `drift`, for people."""
        return "M multiply-adds" if self.latency_table is None else "ms"


DRY_STRATEGIES: dict[str, dict[str, Any]] = {
    "uniform": {},
    "greedy": {"sampled": 2, "kept": 1, "images": 4, "warmup_steps": 0, "pool": 2},
    "cream": {"board": 2, "images": 4, "match_images": 2, "meta_every": 1, "warmup_steps": 0},
    "nse": {
        "rounds": 1,
        "candidates": 2,
        "drift": 1e9,
        "images": 4,
        "theta_every": 1,
        "samples": 2,
        "edge_samples": 0,
        "recalibration_images": 4,
    },
}
