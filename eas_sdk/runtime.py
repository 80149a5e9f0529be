"""The runtime: a bundle in memory that answers (task, budget) with a network."""

from __future__ import annotations

import dataclasses
import functools
import logging
import numbers
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

from eas_sdk.bank import bundle as bundles
from eas_sdk.bank.bundle import Bundle
from eas_sdk.budget import Budget, format_madds
from eas_sdk.device.power import DEFAULT, PowerTable
from eas_sdk.errors import InputError, TaskError
from eas_sdk.graph.cost import cost
from eas_sdk.graph.memory import memory_bytes, memory_model
from eas_sdk.latency.table import LatencyTable
from eas_sdk.latency.table import read as read_latency_table
from eas_sdk.limits import Costs, request
from eas_sdk.model import Model
from eas_sdk.router.budget import requests_after, spent
from eas_sdk.router.model import RoutedModel
from eas_sdk.router.network import Router, load_router
from eas_sdk.selector.protocol import Selector
from eas_sdk.selector.registry import load_selector
from eas_sdk.space.architecture import Architecture
from eas_sdk.task import Task, TaskLike, is_auto, resolve, routed

if TYPE_CHECKING:
    from eas_sdk.adaptive.session import Session
    from eas_sdk.latency.store import Networks

logger = logging.getLogger("eas_sdk")


@dataclass(frozen=True, eq=False)
class Runtime:
    """A loaded bundle. It never changes and may be shared between threads, and pickled (see `Bundle`).

    Attributes:
        bundle: the file's contents.
        selector: what picks architectures.
        latency: for budgets in time and energy; None: this machine's own, of the engine that is asked for.
        power: for budgets in energy.
        router: picks the superclass for the task "auto"; None where the bundle has none.
    """

    bundle: Bundle
    selector: Selector
    latency: LatencyTable | None = None
    power: PowerTable = DEFAULT
    router: Router | None = None

    def __repr__(self) -> str:
        low, high = self.budget_range("all")
        costs = f"{format_madds(low, up=True)} to {format_madds(high, up=True)} multiply-adds"
        router = "" if self.router is None else ", a router"
        bundle = self.bundle
        return f"<Runtime {bundle.name!r}: {len(self.tasks)} tasks, {len(bundle.labels)} labels, {costs}{router}>"

    @property
    def tasks(self) -> tuple[str, ...]:
        """The superclasses that a network can be specialised for."""
        return tuple(superclass.name for superclass in self.bundle.superclasses)

    def labels(self, task: TaskLike) -> tuple[str, ...]:
        """The labels of a task, in the order of its logits.

        Raises:
            TaskError: there is no such task.
        """
        return self.bundle.labels if self._is_auto(task) else resolve(task, self.bundle.superclasses).labels

    def budget_range(self, task: TaskLike) -> tuple[int, int]:
        """Multiply-adds of the smallest and of the largest network for a task.

        A budget below the first is infeasible; one above the second is never used up.

        Raises:
            TaskError: there is no such task.
        """
        if self._is_auto(task):
            low, high = self.selector.madds_range(len(self.bundle.labels))
            return self.checked_router().cost.madds + low, self.checked_router().cost.madds + high
        return self.selector.madds_range(len(resolve(task, self.bundle.superclasses).classes))

    def architectures(
        self,
        requests: Sequence[tuple[TaskLike, object]],
        *,
        seed: int = 0,
        engine: str = "numpy",
        threads: int = 1,
        after_router: bool = False,
    ) -> list[Architecture]:
        """Architectures for many (task, budget) requests in one forward pass of the selector.

        Equal requests with equal seeds give equal answers, alone or among others.

        Args:
            engine, threads: what budgets in time, energy and memory hold for.
            after_router: the budgets pay for the router too.

        Raises:
            TaskError, BudgetError, InfeasibleBudget: of the first request that is at fault.
            TableError: a budget in time or energy, and this machine's latency table is out of date.
            InputError: the seed is not an integer of 0 or more.
        """
        seed, asked = check_seed(seed), []
        known: dict[str | int, Task] = {}  # looking a task up takes as long as half of the rest
        for task, budget in requests:
            key = task if isinstance(task, str) else id(task)
            if key not in known:
                known[key] = resolve(task, self.bundle.superclasses)
            resolved, parsed = known[key], read_budget(budget)
            costs = self.costs(parsed, engine, threads)
            taken = spent(self.checked_router(), parsed, costs, engine) if after_router else {}
            asked += requests_after(taken, self.selector, [resolved], parsed, costs)
        return self.selector.select(asked, seed=seed)

    @overload
    def specialize(  # type: ignore[overload-overlap]  # "auto" is a str too
        self, task: Literal["auto"], budget: object, *, seed: int = 0, engine: str = "numpy", threads: int = 1
    ) -> RoutedModel: ...

    @overload
    def specialize(
        self, task: TaskLike, budget: object, *, seed: int = 0, engine: str = "numpy", threads: int = 1
    ) -> Model: ...

    def specialize(
        self, task: TaskLike, budget: object, *, seed: int = 0, engine: str = "numpy", threads: int = 1
    ) -> Model | RoutedModel:
        """Cut the network out of the bank that is expected to predict best within the budget.

        Args:
            task: a superclass, one of `tasks`; several of them or of classes in a list; "all"; or "auto", for a model
                that finds out the superclass of each image (a `RoutedModel`).
            budget: what one image may cost: "40M" multiply-adds (or a number of them), "12ms", "0.5mJ", "20MB", "40%"
                of the way from the smallest network to the largest, several joined by "and", a Budget; or "auto": what
                the default policy allows in the device's present state.
            seed: of the selector's sampling.
            engine: what runs the network (see `eas_sdk.engine.ENGINES`).
            threads: most threads for one prediction.

        Raises:
            TaskError: there is no such task.
            BudgetError: the budget cannot be read.
            InfeasibleBudget: the smallest network of the task takes more.
            TableError: a budget in time or energy, and this machine's latency table is out of date.
        """
        resolved = None if self._is_auto(task) else resolve(task, self.bundle.superclasses)
        parsed = read_budget(budget)
        costs = self.costs(parsed, engine, threads)
        if engine == "auto" and self.latency is None and costs.latency is not None:
            engine = costs.latency.conditions.engine
        if resolved is None:
            family = self.family(parsed, seed=seed, engine=engine, threads=threads)
            kept = None if parsed.memory_bytes is None else 1
            return self.routed(family, engine=engine, threads=threads, latency=costs.latency, kept=kept)
        asked = request(self.selector, resolved, parsed, costs)
        (architecture,) = self.selector.select([asked], seed=check_seed(seed))
        return self.build(resolved, architecture, engine=engine, threads=threads, latency=costs.latency)

    def family(
        self, budget: object, *, seed: int = 0, engine: str = "numpy", threads: int = 1
    ) -> dict[str, Architecture]:
        """The architecture for each superclass behind the router; the budget covers both. See `specialize`.

        The networks have rows for every class (see `eas_sdk.task.routed`). A level is of their range.

        Raises:
            TaskError: the bundle has no router.
            BudgetError, InfeasibleBudget, TableError: see `specialize`.
        """
        parsed = read_budget(budget)
        costs = self.costs(parsed, engine, threads)
        tasks = [routed(t, self.bundle.superclasses) for t in range(len(self.tasks))]
        taken = spent(self.checked_router(), parsed, costs, engine)
        asked = requests_after(taken, self.selector, tasks, parsed, costs)
        return dict(zip(self.tasks, self.selector.select(asked, seed=check_seed(seed)), strict=True))

    def routed(
        self,
        family: Mapping[str, Architecture],
        *,
        engine: str = "numpy",
        threads: int = 1,
        latency: LatencyTable | None = None,
        kept: int | None = None,
    ) -> RoutedModel:
        """The model for the task "auto" with given architectures, one for each superclass.

        Args:
            latency: see `build`.
            kept: most networks held at the same time; by default all.

        Raises:
            TaskError: the bundle has no router.
            ArchitectureError: the bank cannot serve an architecture.
        """
        router, table = self.checked_router(), latency or self.latency
        networks = [self.bundle.space.structure(found, len(self.bundle.labels)) for found in family.values()]
        return RoutedModel(
            router.compile(engine, threads),
            family,
            functools.partial(self._routed, engine=engine, threads=threads, latency=table),
            madds=router.cost.madds + max(cost(nodes).madds for nodes in networks),
            memory_bytes=memory_bytes(router.nodes, engine) + max(memory_bytes(n, engine) for n in networks),
            latency_ms=None
            if table is None
            else table.latency_ms(router.nodes) + max(table.latency_ms(nodes) for nodes in networks),
            kept=kept or len(family),
        )

    def _routed(self, superclass: str, architecture: Architecture, **options: Any) -> Model:
        """The network for a superclass behind the router; see `build`."""
        return self.build(routed(self.tasks.index(superclass), self.bundle.superclasses), architecture, **options)

    def checked_router(self) -> Router:
        """The bundle's router.

        Raises:
            TaskError: it has none.
        """
        if self.router is None:
            raise TaskError(
                f"the task 'auto' needs a router, and the bundle {self.bundle.name!r} has none: train one (`eas train "
                f"--stage router --stage bundle`), or name a task: {', '.join(self.tasks)}"
            )
        return self.router

    def _is_auto(self, task: TaskLike) -> bool:
        return is_auto(task, self.bundle.superclasses)

    def build(
        self,
        task: TaskLike,
        architecture: Architecture,
        *,
        engine: str = "numpy",
        threads: int = 1,
        latency: LatencyTable | None = None,
    ) -> Model:
        """The network of a given architecture for a task, whatever it costs.

        Args:
            latency: predicts the model's `latency_ms`; by default the runtime's table, if it has one.

        Raises:
            TaskError: there is no such task.
            ArchitectureError: the bank cannot serve the architecture.
        """
        resolved = resolve(task, self.bundle.superclasses)
        model = Model.of(self.bundle, resolved, architecture, engine, threads)
        table = latency or self.latency
        return model if table is None else dataclasses.replace(model, latency_ms=table.latency_ms(model.graph.nodes))

    def adaptive(self, task: TaskLike, **options: Any) -> Session:
        """A session whose network follows the state of the device; `options` are those of `Session`.

        >>> with runtime.adaptive("birds", target="8ms") as session:  # doctest: +SKIP
        ...     session.predict(images)

        Raises:
            TaskError, BudgetError, InputError: see `eas_sdk.adaptive.session.Session`.
        """
        from eas_sdk.adaptive.session import Session

        return Session(self, task, **options)

    def costs(self, budget: Budget, engine: str = "numpy", threads: int = 1) -> Costs:
        """What networks cost on an engine, as far as a budget asks for it.

        Where it bounds time or energy, and no latency table was loaded or measured on this machine, one is measured
        quickly (`latency.quick`); that takes a second or two, once.

        Raises:
            TableError: the budget bounds time or energy, and this machine's latency table is out of date.
            InputError, MissingDependency: there is no such engine here.
        """
        latency = self.latency
        if latency is None and (budget.latency_ms is not None or budget.energy_mj is not None):
            from eas_sdk.latency.store import own_table

            latency = own_table(self._networks, engine, threads)
        return Costs(latency, self.power, memory_model(engine))

    @functools.cached_property
    def _networks(self) -> Networks:
        from eas_sdk.latency.store import Networks

        return Networks(self.bundle.space, () if self.router is None else self.router.nodes)


def check_seed(seed: object) -> int:
    """A seed as int.

    Raises:
        InputError: it is not an integer of 0 or more.
    """
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or seed < 0:
        raise InputError(f"a seed is an integer of 0 or more; got {seed!r}")
    return int(seed)


def read_budget(budget: object) -> Budget:
    """The budget that a caller gave; "auto" asks the device, and what that gave is logged (the logger "eas_sdk").

    Raises:
        BudgetError: it cannot be read.
    """
    if isinstance(budget, str) and budget.strip().lower() == "auto":
        from eas_sdk.device.policy import DEFAULT_POLICY, decide
        from eas_sdk.device.state import read_state

        decision = decide(DEFAULT_POLICY, read_state())
        logger.info('the budget "auto" is %s now: %s (%s)', decision.budget, decision.rule_name, decision.reason)
        return decision.budget
    return Budget.parse(budget)


def load(
    bundle: str | os.PathLike[str] | None = None,
    *,
    latency: LatencyTable | str | os.PathLike[str] | None = None,
    power: PowerTable | str | os.PathLike[str] = DEFAULT,
) -> Runtime:
    """Load a bundle.

    Args:
        bundle: name of one that ships with the package: "emoji" (14 superclasses of drawings); by default the first of
            them. Else the path of a file, or of the folder of the training that made it; "./emoji" is a path even where
            it has such a name.
        latency: the latency table that budgets in time and energy are met by, or its file: of a phone, for instance.
            By default the one of this machine, engine and number of threads, which `eas lut build` measures; without
            it a quick one, measured at the first such budget.
        power: the power table for budgets in energy, or its file.

    Raises:
        BundleError: the file is truncated, altered, malformed or of another version, or a folder holds none.
        TableError: a table's file is malformed.
        FileNotFoundError: there is no such file.
    """
    if isinstance(latency, (str, os.PathLike)):
        latency = read_latency_table(latency)
    if isinstance(power, (str, os.PathLike)):
        power = PowerTable.read(power)
    read = bundles.load(bundle)
    return Runtime(read, load_selector(read), latency, power, load_router(read))


@functools.lru_cache(maxsize=1)
def _embedded() -> Runtime:
    return load()


@overload
def specialize(  # type: ignore[overload-overlap]  # "auto" is a str too
    task: Literal["auto"], budget: object, *, seed: int = 0, engine: str = "numpy", threads: int = 1
) -> RoutedModel: ...


@overload
def specialize(task: TaskLike, budget: object, *, seed: int = 0, engine: str = "numpy", threads: int = 1) -> Model: ...


def specialize(
    task: TaskLike, budget: object, *, seed: int = 0, engine: str = "numpy", threads: int = 1
) -> Model | RoutedModel:
    """`Runtime.specialize` on the embedded bundle, which is loaded at the first call."""
    return _embedded().specialize(task, budget, seed=seed, engine=engine, threads=threads)
