"""What decides and builds: from the state of the device to a budget, an architecture, a network."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from eas_sdk.adaptive.cache import Key, ModelCache, model_bytes
from eas_sdk.adaptive.dwell import Adoption, adopt
from eas_sdk.adaptive.feedback import Feedback, corrected, moved
from eas_sdk.adaptive.pace import REST_S, URGENT_REST_S, paced
from eas_sdk.adaptive.records import Switch
from eas_sdk.adaptive.traffic import Traffic
from eas_sdk.budget import Budget
from eas_sdk.device.policy import Decision, Policy, decide
from eas_sdk.device.state import DeviceState
from eas_sdk.engine.numpy_engine import NumpyProgram
from eas_sdk.errors import InfeasibleBudget
from eas_sdk.latency.table import LatencyTable
from eas_sdk.model import Model
from eas_sdk.processes import Lock
from eas_sdk.task import Task

if TYPE_CHECKING:
    from eas_sdk.runtime import Runtime

HISTORY = 100
"""Switches that are remembered."""

RETRY_S = 30.0
"""A network that could not be built is not tried again for so long, unless somebody asks."""


@dataclass(frozen=True)
class Wanted:
    """What the application asks for: both the policy's budget and the target, where there is one, hold.

    Attributes:
        routed: a router runs before each network, and the budget pays for both.
    """

    task: Task
    policy: Policy
    target: Budget | None = None
    routed: bool = False


@dataclass(frozen=True)
class Settings:
    """What does not change in the life of a session; see `Session`."""

    runtime: Runtime
    engine: str
    threads: int
    dwell_s: float
    read_state: Callable[[], DeviceState]
    clock: Callable[[], float]
    on_switch: Callable[[Switch], object] | None
    on_error: Callable[[Exception], object] | None


@dataclass(frozen=True)
class Pick:
    """What to build.

    Attributes:
        key: task, architecture and engine.
        latency: predicts the network's time; None where no bound asks for it and the runtime has no table.
        infeasible: says that no network meets the budget in force, and that this one meets the nearest feasible.
    """

    key: Key
    latency: LatencyTable | None
    infeasible: InfeasibleBudget | None

    def predict(self, model: Model) -> Model:
        """The network with its predicted time."""
        if self.latency is None or model.latency_ms is not None:
            return model
        return dataclasses.replace(model, latency_ms=self.latency.latency_ms(model.graph.nodes))


class Controller:
    """Decides the budget, picks the architecture, builds the network and puts it in use.

    One thread at a time may call `work`; the rest may be read from any.

    Raises:
        EasError, OSError: the first network cannot be built.
    """

    def __init__(self, settings: Settings, wanted: Wanted, cache_bytes: int) -> None:
        self._settings = settings
        self.wanted = wanted
        self.closing = False
        self.lock = Lock()
        self.counts = dict.fromkeys(("decisions", "builds", "failures", "infeasible", "callback_errors", "switches"), 0)
        self.history: deque[Switch] = deque(maxlen=HISTORY)
        self.last_error: BaseException | None = None
        self._met: Wanted | None = None
        self._reported: tuple[Wanted | None, Budget] | None = None
        self._failed: tuple[Key, float] | None = None
        self.decision, self.adoption = self._decide(None, None, Feedback())
        pick = self._pick()
        self._key = pick.key
        self.traffic = traffic = Traffic(pick.predict(self._build(pick, at_once=1)))
        self.cache = ModelCache(cache_bytes, lambda model: model_bytes(model, traffic.most_at_once))
        self.cache.activate(pick.key, traffic.active)
        self._report_infeasible(pick.infeasible)

    def work(self, forced: bool) -> None:
        """Decide once, and switch where the decision asks for it. An error leaves the network as it is.

        Args:
            forced: try a network that could not be built a while ago.
        """
        try:
            self._attempt(forced or self.wanted is not self._met)
        except BaseException as error:  # sys.exit() in a callback or in read_state would end the thread in silence
            self._count("failures")
            self.last_error = error

    def _attempt(self, forced: bool) -> None:
        try:
            self._step(forced)
        except Exception as error:  # whatever it is, predictions and later decisions go on
            if isinstance(error, MemoryError):
                self.cache.trim()
            self._report("failures", error)

    def _step(self, forced: bool) -> None:
        traffic = self.traffic
        slower = moved(feedback := traffic.feedback, traffic.used) and feedback.scale > traffic.used.scale
        with self._paced(urgent=slower):
            if moved(feedback, traffic.used):
                traffic.used = feedback
            self.decision, self.adoption = self._decide(self.decision, self.adoption, traffic.used)
            pick = self._pick()
        self._report_infeasible(pick.infeasible)
        key, active = pick.key, traffic.active
        if key == self._key:
            traffic.active = pick.predict(active)  # the first bound on time may come later than the network
            return
        if not forced and self._failed is not None and key == self._failed[0] and self._now() < self._failed[1]:
            return
        chosen = time.perf_counter()
        found, build_ms = self.cache.get(key), 0.0
        if found is None:
            built = self._rebuild(pick, urgent=slower)
            build_ms = 1e3 * (time.perf_counter() - chosen)
        model = pick.predict(found or built)
        swapping = time.perf_counter()
        traffic.active = model
        swapped = time.perf_counter()
        self._key = key
        self.cache.activate(key, model)
        switch = Switch(
            time_s=self._now(),
            task=model.task.name,
            before=active.architecture,
            after=model.architecture,
            before_madds=active.madds,
            after_madds=model.madds,
            budget=self.adoption.budget,
            reason=self._reason(),
            cached=found is not None,
            build_ms=build_ms,
            switch_ms=1e3 * (swapped - chosen),
            swap_us=1e6 * (swapped - swapping),
        )
        with self.lock:
            self.history.append(switch)
            self.counts["switches"] += 1
        self._tell(self._settings.on_switch, switch)

    def _decide(
        self, decision: Decision | None, adoption: Adoption | None, used: Feedback
    ) -> tuple[Decision, Adoption]:
        """The decision and the adoption that follow those in force."""
        wanted = self.wanted
        decision = decide(wanted.policy, self._settings.read_state(), decision)
        wish = decision.budget if wanted.target is None else decision.budget & wanted.target
        wish = corrected(wish, used)
        if adoption is None or wanted is not self._met:
            adoption = Adoption(wish)  # what the application asks for need not last
        else:
            adoption = adopt(adoption, wish, self._now(), self._settings.dwell_s)
        self._met = wanted
        self._count("decisions")
        return decision, adoption

    def _pick(self) -> Pick:
        """The network for the budget in force."""
        assert self._met is not None
        task, budget, settings = self._met.task, self.adoption.budget, self._settings
        runtime, engine, threads = settings.runtime, settings.engine, settings.threads
        latency = runtime.costs(budget, engine, threads).latency
        if engine == "auto" and latency is not None and runtime.latency is None:
            engine = latency.conditions.engine
        infeasible = None
        options: dict[str, Any] = {"engine": engine, "threads": threads, "after_router": self._met.routed}
        try:
            (architecture,) = runtime.architectures([(task, budget)], **options)
        except InfeasibleBudget as error:
            (architecture,) = runtime.architectures([(task, error.nearest)], **options)
            infeasible = error
        return Pick(Key(task, architecture, engine), latency, infeasible)

    def _rebuild(self, pick: Pick, urgent: bool) -> Model:
        """`_build`, on the side."""
        # "auto" times the engines against each other, which rests would spoil.
        pacing = contextlib.nullcontext() if pick.key.engine == "auto" else self._paced(urgent)
        try:
            with pacing:
                return self._build(pick, at_once=self.traffic.most_at_once)
        except Exception:
            self._failed = pick.key, self._now() + RETRY_S
            raise

    def _build(self, pick: Pick, at_once: int) -> Model:
        """A network that is ready for `at_once` predictions at the same time."""
        task, architecture, engine = pick.key
        model = self._settings.runtime.build(task, architecture, engine=engine, threads=self._settings.threads)
        if isinstance(model.program, NumpyProgram):
            model.program.prepare(1, at_once)  # else the first predictions do so, in milliseconds of Python
        else:  # other runtimes do the same and more when they run first
            model.logits(np.zeros((1, model.input_size, model.input_size, 3), np.uint8))
        self._count("builds")
        return model

    def _paced(self, urgent: bool) -> contextlib.AbstractContextManager[None]:
        """Urgent is what mends a bound that predictions miss."""
        return paced(lambda: self.traffic.busy and not self.closing, URGENT_REST_S if urgent else REST_S)

    def _reason(self) -> str:
        scale = self.traffic.used.scale
        slower = "" if scale == 1 else f"; predictions take {scale:.2f} times what the latency table says"
        return f"{self.decision.rule_name}: {self.decision.reason}{slower}"

    def _now(self) -> float:
        return self._settings.clock()

    def _count(self, name: str) -> None:
        with self.lock:
            self.counts[name] += 1

    def _report(self, name: str, error: Exception) -> None:
        self._count(name)
        self.last_error = error
        self._tell(self._settings.on_error, error)

    def _report_infeasible(self, error: InfeasibleBudget | None) -> None:
        """Once for what is asked, not at each poll and each correction."""
        asked = None if error is None else (self._met, self.decision.budget)
        if error is not None and asked != self._reported:
            self._report("infeasible", error)
        self._reported = asked

    def _tell(self, callback: Callable[[Any], object] | None, value: object) -> None:
        if callback is None:
            return
        try:
            callback(value)
        except Exception as error:  # of the application; the session goes on
            self._count("callback_errors")
            self.last_error = error
