"""The runtime: a bundle in memory that answers (task, budget) with a network."""

from __future__ import annotations

import functools
import importlib.resources
import numbers
import os
from collections.abc import Sequence
from dataclasses import dataclass

from eas_sdk.bank import bundle as bundles
from eas_sdk.bank.bundle import Bundle
from eas_sdk.bank.slicing import cut
from eas_sdk.budget import Budget, format_madds
from eas_sdk.engine.registry import load_engine
from eas_sdk.errors import InfeasibleBudget, InputError
from eas_sdk.graph.cost import cost
from eas_sdk.model import Model
from eas_sdk.selector.protocol import Request, Selector
from eas_sdk.selector.registry import load_selector
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.choices import madds_range
from eas_sdk.task import Task, resolve

EMBEDDED = "emoji.safetensors"


@dataclass(frozen=True, eq=False)
class Runtime:
    """A loaded bundle. It never changes and may be shared between threads.

    Attributes:
        bundle: the file's contents.
        selector: what picks architectures.
    """

    bundle: Bundle
    selector: Selector

    @property
    def tasks(self) -> tuple[str, ...]:
        """The superclasses that a network can be specialised for."""
        return tuple(superclass.name for superclass in self.bundle.superclasses)

    def labels(self, task: str | Task) -> tuple[str, ...]:
        """The labels of a task, in the order of its logits.

        Raises:
            TaskError: there is no such task.
        """
        return resolve(task, self.bundle.superclasses).labels

    def budget_range(self, task: str | Task) -> tuple[int, int]:
        """Multiply-adds of the smallest and of the largest network for a task.

        A budget below the first is infeasible; one above the second is never used up.

        Raises:
            TaskError: there is no such task.
        """
        return madds_range(self.bundle.space, len(resolve(task, self.bundle.superclasses).classes))

    def architectures(self, requests: Sequence[tuple[str | Task, object]], *, seed: int = 0) -> list[Architecture]:
        """Architectures for many (task, budget) requests in one forward pass of the selector.

        Equal requests with equal seeds give equal answers, alone or among others.

        Raises:
            TaskError, BudgetError, InfeasibleBudget: of the first request that is at fault.
            InputError: the seed is not an integer of 0 or more.
        """
        if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or seed < 0:
            raise InputError(f"a seed is an integer of 0 or more; got {seed!r}")
        return self.selector.select([self._request(task, budget) for task, budget in requests], seed=int(seed))

    def specialize(
        self, task: str | Task, budget: object, *, seed: int = 0, engine: str = "numpy", threads: int = 1
    ) -> Model:
        """Cut the network out of the bank that is expected to predict best within the budget.

        Args:
            task: a superclass, one of `tasks`.
            budget: the most multiply-adds: a number, a text such as "4M", or a Budget.
            seed: of the selector's sampling.
            engine: what runs the network (see `eas_sdk.engine.ENGINES`).
            threads: most threads for one prediction.

        Raises:
            TaskError: there is no such task.
            BudgetError: the budget cannot be read.
            InfeasibleBudget: it is below the smallest network of the task.
        """
        resolved = resolve(task, self.bundle.superclasses)
        (architecture,) = self.architectures([(resolved, budget)], seed=seed)
        return self.build(resolved, architecture, engine=engine, threads=threads)

    def build(self, task: str | Task, architecture: Architecture, *, engine: str = "numpy", threads: int = 1) -> Model:
        """The network of a given architecture for a task, whatever it costs.

        Raises:
            TaskError: there is no such task.
            ArchitectureError: the bank cannot serve the architecture.
        """
        resolved = resolve(task, self.bundle.superclasses)
        graph = cut(self.bundle, architecture, resolved.classes)
        program = load_engine(engine).compile(graph, threads=threads)
        return Model(resolved, architecture, cost(graph.nodes), graph, self.bundle, program)

    def _request(self, task: str | Task, budget: object) -> Request:
        resolved = resolve(task, self.bundle.superclasses)
        parsed = Budget.parse(budget)
        low, _ = self.budget_range(resolved)
        if parsed.madds < low:
            raise InfeasibleBudget(
                f"the smallest network for {resolved.name!r} takes {low} multiply-adds "
                f"({format_madds(low)}), the nearest feasible budget; got {parsed.madds} ({parsed})",
                nearest_madds=low,
            )
        return Request(resolved.superclass, len(resolved.classes), parsed.madds)


def load(path: str | os.PathLike[str] | None = None) -> Runtime:
    """Load a bundle: the embedded one (14 superclasses of emoji drawings), or the file at `path`.

    Raises:
        BundleError: the file is truncated, altered, malformed or of another version.
        FileNotFoundError: there is no such file.
    """
    if path is not None:
        bundle = bundles.read(path)
    else:
        # as_file extracts the bundle where the package is a zip (Chaquopy); the map stays valid after the
        # context on every system that lets a mapped file be unlinked.
        with importlib.resources.as_file(importlib.resources.files("eas_sdk") / "assets" / EMBEDDED) as file:
            bundle = bundles.read(file)
    return Runtime(bundle, load_selector(bundle))


@functools.lru_cache(maxsize=1)
def _embedded() -> Runtime:
    return load()


def specialize(task: str, budget: object, *, seed: int = 0, engine: str = "numpy", threads: int = 1) -> Model:
    """`Runtime.specialize` on the embedded bundle, which is loaded at the first call."""
    return _embedded().specialize(task, budget, seed=seed, engine=engine, threads=threads)
