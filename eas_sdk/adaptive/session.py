"""An adaptive session: predictions go on while the network behind them follows the state of the device.

Predictions read one attribute, which holds the active network; a switch exchanges it between two predictions. All else
happens on a background thread: reading the state, deciding the budget, building the network.

With the task "auto" the network follows the scene as well: a router looks at every image first, and when it has seen
another superclass for a few of them, that becomes the task.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from eas_sdk.adaptive.controller import Controller, Settings, Wanted
from eas_sdk.adaptive.feedback import Feedback
from eas_sdk.adaptive.records import Answer, Counters, Switch
from eas_sdk.adaptive.worker import Worker
from eas_sdk.budget import Budget
from eas_sdk.device.policy import DEFAULT_POLICY, Decision, Policy
from eas_sdk.device.state import DeviceState, read_state
from eas_sdk.engine.protocol import Array
from eas_sdk.errors import InputError
from eas_sdk.images import FloatArray, Images, as_float_batch, in_list
from eas_sdk.model import Model, Prediction
from eas_sdk.processes import Lock
from eas_sdk.router.model import combined
from eas_sdk.router.network import Route
from eas_sdk.router.scene import Tracker
from eas_sdk.task import Task, TaskLike, is_auto, resolve, routed

if TYPE_CHECKING:
    from eas_sdk.runtime import Runtime


class Session:
    """Predicts with a network that is kept within what the device allows. Threads may share it.

    In a forked child it predicts with the network that was active, and is closed.

    >>> with Session(eas_sdk.load(), "birds", target="8ms") as session:  # doctest: +SKIP
    ...     session.predict(images)[0].label
    'owl'

    Args:
        runtime: where networks come from.
        task: what to tell apart; "auto" for the superclass that the images show.
        policy: the budget for each state of the device.
        target: a budget on top of the policy's, whatever `Budget.parse` reads; both hold.
        engine: what runs the networks.
        threads: most threads for one prediction.
        cache_bytes: memory for networks that may be wanted again, the active one included.
        poll_s: seconds between two looks at the state of the device.
        dwell_s: seconds that the wish for a larger budget has to last. A smaller one is adopted at once, and so is a
            new task, policy or target.
        read_state: reads the state of the device.
        on_switch: is told of each switch, on the background thread.
        on_error: is told of each failure and each infeasible budget, on the background thread.
        clock: seconds, for `dwell_s` and the times of switches.

    Raises:
        TaskError, BudgetError: of task and target. An infeasible budget is none: the nearest feasible one holds.
        InputError: a number or the engine is not allowed.
        EasError, OSError: the first network cannot be built; later failures leave the network as it is.
    """

    def __init__(
        self,
        runtime: Runtime,
        task: TaskLike,
        *,
        policy: Policy = DEFAULT_POLICY,
        target: object = None,
        engine: str = "numpy",
        threads: int = 1,
        cache_bytes: int = 64_000_000,
        poll_s: float = 1.0,
        dwell_s: float = 3.0,
        read_state: Callable[[], DeviceState] = read_state,
        on_switch: Callable[[Switch], object] | None = None,
        on_error: Callable[[Exception], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _check("cache_bytes", cache_bytes, 0)
        _check("poll_s", poll_s, 0.001)
        _check("dwell_s", dwell_s, 0)
        self._runtime, self._superclasses = runtime, runtime.bundle.superclasses
        self._engine, self._threads = engine, threads
        self._tracker = self._new_tracker(task)
        auto = self._tracker is not None
        first = routed(0, self._superclasses) if auto else resolve(task, self._superclasses)
        wanted = Wanted(first, policy, _target(target), auto)
        settings = Settings(runtime, engine, threads, dwell_s, read_state, clock, on_switch, on_error)
        self._controller = Controller(settings, wanted, int(cache_bytes))
        self._traffic = self._controller.traffic
        self._wanting = Lock()
        self._worker = Worker(self._controller.work, poll_s, "eas_sdk adaptive session")
        self._traffic.on_moved = self._worker.wake

    def predict(self, images: Images, top_k: int = 3) -> list[Prediction]:
        """`Model.predict` of the active network, whose input size may change from one call to the next.

        With the task "auto", the images are the next frames of one scene, and the router's word counts as well
        (`eas_sdk.router.model.combined`); there is no label where it shows no superclass. While the network for a new
        scene is being built, the one before it answers, which knows every class too.
        """
        route, seen = self._look(images)
        if route is None:
            return self._traffic.run(images, lambda model, batch: model.predict(batch, top_k))[0]
        if route.superclass is None:
            self._traffic.predictions.add()
            return [Prediction(())] * len(in_list(images))
        answer = Answer(*self._traffic.run(images, Model.logits, seen))
        return [combined(route, logits, answer.model, top_k) for logits in answer.logits]

    def logits(self, images: Images) -> Array:
        """`Model.logits` of the active network. See `answer` where labels matter and the task may change."""
        return self.answer(images).logits

    def answer(self, images: Images) -> Answer:
        """Logits of the active network, and the network that gave them."""
        _, seen = self._look(images)
        return Answer(*self._traffic.run(images, Model.logits, seen))

    @property
    def scene(self) -> Route | None:
        """What the images so far show; None before the first, and where the task is not "auto"."""
        return None if self._tracker is None else self._tracker.route

    @property
    def model(self) -> Model:
        """The active network. It never changes; the session takes another."""
        return self._traffic.active

    @property
    def task(self) -> Task:
        """What is to be told apart. May be set, by name too: the network follows."""
        return self._controller.wanted.task

    @task.setter
    def task(self, task: TaskLike) -> None:
        tracker = self._new_tracker(task)
        if tracker is None:
            self._want(task=resolve(task, self._superclasses), routed=False)
        else:
            self._want(task=routed(0, self._superclasses), routed=True)
        self._tracker = tracker

    @property
    def target(self) -> Budget | None:
        """The application's own budget. May be set to whatever `Budget.parse` reads, or None: the network follows."""
        return self._controller.wanted.target

    @target.setter
    def target(self, target: object) -> None:
        self._want(target=_target(target))

    @property
    def policy(self) -> Policy:
        """The budget for each state of the device. May be set: the network follows."""
        return self._controller.wanted.policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        self._want(policy=policy)

    @property
    def decision(self) -> Decision:
        """What the policy said last."""
        return self._controller.decision

    @property
    def budget(self) -> Budget:
        """The budget in force: that of policy and target, once it has dwelt, corrected by `feedback`."""
        return self._controller.adoption.budget

    @property
    def feedback(self) -> Feedback:
        """How much longer predictions take than the latency table says."""
        return self._traffic.feedback

    @property
    def switches(self) -> tuple[Switch, ...]:
        """The last hundred, oldest first."""
        with self._controller.lock:
            return tuple(self._controller.history)

    @property
    def last_error(self) -> BaseException | None:
        """The latest failure, infeasible budget or error of a callback, if there has been one.

        SystemExit and its like end no thread: they stand here as well, though `on_error` is not told of them.
        """
        return self._controller.last_error

    @property
    def counters(self) -> Counters:
        """What happened so far."""
        cache = self._controller.cache.counters
        with self._controller.lock:
            history, counts = self._controller.history, dict(self._controller.counts)
            last_switch_ms = history[-1].switch_ms if history else None
        return Counters(
            predictions=self._traffic.predictions.value,
            cache_hits=cache.hits,
            cache_misses=cache.misses,
            evictions=cache.evictions,
            cached_networks=cache.networks,
            cached_bytes=cache.bytes,
            last_switch_ms=last_switch_ms,
            **counts,
        )

    def refresh(self, *, wait: bool = True) -> None:
        """Look at the device and decide now rather than at the next poll.

        Args:
            wait: return when that is done, a switch included.

        Raises:
            InputError: the session is closed, or of the process that this one was forked from.
        """
        if self._worker.closed:
            raise InputError("a session decides until it is closed, in the process that opened it; this one is closed")
        self._worker.run(wait=wait)

    def close(self) -> None:
        """End the background thread. The active network goes on predicting. May be called again."""
        self._controller.closing = True
        self._worker.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a session belongs to one process: pickle its runtime, and open a session in the other one")

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _new_tracker(self, task: TaskLike) -> Tracker | None:
        if not is_auto(task, self._superclasses):
            return None
        return Tracker(self._runtime.checked_router().compile(self._engine, self._threads))

    def _look(self, images: Images) -> tuple[Route | None, FloatArray | None]:
        """Show images to the tracker, if there is one; what the scene is now, and the images at the router's size."""
        tracker = self._tracker
        if tracker is None:
            return None, None
        seen = as_float_batch(images, tracker.input_size)
        changed = tracker.look(seen)
        route = tracker.route
        if changed and route is not None and route.superclass is not None:
            names = [superclass.name for superclass in self._superclasses]
            self._want(task=routed(names.index(route.superclass), self._superclasses))
        return route, seen

    def _want(self, **changes: Any) -> None:
        with self._wanting:
            self._controller.wanted = dataclasses.replace(self._controller.wanted, **changes)
        self._worker.wake()


def _target(target: object) -> Budget | None:
    return None if target is None else Budget.parse(target)


def _check(name: str, value: object, least: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < math.inf:
        raise InputError(f"{name} is a finite number of at least {least}; got {value!r}")
