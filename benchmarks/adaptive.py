"""Adaptive sessions at the paper's network size (224 px, about 300M multiply-adds, random weights).

    python -m benchmarks.adaptive
    python -m benchmarks.adaptive --switches 50 --cached 200      # a short run

- cached: from the choice of an architecture to its use, where the network is in the cache; while nobody predicts, and
  while four threads do.
- rebuilds: switches to networks that are built anew each time, while four threads predict without a pause, one image
  at a time. Each answer is compared with the logits of the architecture that it names.
  - prediction_ms: what predictions took that overlapped with a rebuild.
  - longest_wait_ms: each of the thousand numpy calls of a prediction is timed. The wait in a call is its wall time less
    the CPU time of its thread, in which the thread had no core or not the interpreter. This is a prediction's longest.
  - blocked_ms: the longest wait of a prediction that can be the rebuild's fault: of each wait, the part that coincides
    with turns of the building thread (see eas_sdk/adaptive/pace.py), for no longer than that thread computed in the
    turn. Where the system took the core from it within a turn, it may have held the interpreter all along, and all of
    the turn counts: on a machine with other work to do, this is an upper bound.
  - blocked_total_ms: the sum over the waits of a prediction, likewise.
  - turn_cpu_ms: CPU time of a turn: for no longer can it keep the interpreter from others, while it has a core.
  - without_rebuilds: the same waits and times where switches are to cached networks: the other predictions' doing, and
    the operating system's.
  - unpaced: the same with rebuilds that do not rest.
  - rss_mb: resident set, mean over the fifty switches up to the hundredth, and up to the last.
- loops: one thread predicts within a bound on latency, then other processes load all cores, then they stop: predictions
  and seconds until the median of the last five is within the bound, and until the network is as large as before.
"""

from __future__ import annotations

import argparse
import dataclasses
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import mmap
import random
import tempfile
import threading
import time
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.closed_loop import closed_loop
from benchmarks.networks import paper_runtime
from benchmarks.record import record
from benchmarks.waits import Turns, Waits, percentiles
from eas_sdk.adaptive.session import Session
from eas_sdk.budget import Budget
from eas_sdk.device.policy import Policy
from eas_sdk.device.state import DeviceState
from eas_sdk.engine.protocol import Array
from eas_sdk.latency.build import build, space_segments
from eas_sdk.latency.local import LocalMeter
from eas_sdk.runtime import Runtime
from eas_sdk.space.architecture import Architecture

TASK = "things"
PREDICTING = 4
BUDGETS = range(240_000_000, 361_000_000, 4_000_000)
CACHED_NETWORKS = 4
LOOPS = 5
TOLERANCE = 1e-5
"""Of the largest logit: the numpy engine's own."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--switches", type=int, default=1000, help="to networks that are built anew")
    parser.add_argument("--cached", type=int, default=2000, help="switches to cached networks")
    parser.add_argument("--table", type=Path, help="latency table for the closed loop; what it lacks is measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        runtime = paper_runtime(Path(name))
        crowd = Crowd(runtime)
        short = min(options.switches, 50)
        figures: dict[str, Any] = {
            "cached": {
                "alone": cached(crowd, options.cached, threads=0),
                f"{PREDICTING}_threads_predict": cached(crowd, options.cached, threads=PREDICTING),
            },
            "rebuilds": {
                **rebuilds(crowd, options.switches, Turns()),
                "without_rebuilds": without_rebuilds(crowd, short),
                "unpaced": rebuilds(crowd, short, Turns(paced=False)),
            },
        }
        runtime = with_table(runtime, options.table or Path(name) / "latency.json")
        figures["loops"] = [closed_loop(runtime, TASK) for _ in range(LOOPS)]
    record("adaptive", figures)


def with_table(runtime: Runtime, path: Path) -> Runtime:
    """The runtime with a latency table of this machine."""
    parts = space_segments(runtime.bundle.space, (2, len(runtime.labels(TASK))))
    return dataclasses.replace(runtime, latency=build(LocalMeter("numpy"), parts, path))


class Crowd:
    """Threads that predict without a pause and check every answer, and the networks they may meet."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        side = runtime.bundle.space.input_sizes[-1]
        self._images = np.random.default_rng(0).integers(0, 256, (PREDICTING, 1, side, side, 3), np.uint8)
        found: dict[Architecture, int] = {}
        for budget in BUDGETS:
            (architecture,) = runtime.architectures([(TASK, budget)])
            found.setdefault(architecture, budget)
        self.budgets = list(found.values())
        self._expected: Mapping[Architecture, list[Array]] = {
            architecture: [runtime.build(TASK, architecture).logits(image) for image in self._images]
            for architecture in found
        }
        self.wrong = self.lost = 0

    def session(self, cache_bytes: int) -> Session:
        """A session that decides when it is told to, by its target alone."""
        options: dict[str, Any] = {"policy": Policy((), "100%"), "read_state": DeviceState, "poll_s": 3600.0}
        return Session(self.runtime, TASK, target=self.budgets[0], cache_bytes=cache_bytes, **options)

    @contextmanager
    def predicting(self, session: Session, waits: Waits, threads: int = PREDICTING) -> Iterator[None]:
        """So many threads predict inside the `with`."""
        stop = threading.Event()
        errors: list[Exception] = []

        def work(index: int) -> None:
            while not stop.is_set():
                waits.begin()
                try:
                    answer = session.answer(self._images[index])
                except Exception as error:  # whatever it is, the prediction is lost
                    errors.append(error)
                    continue
                waits.end(answer.elapsed_ms)
                expected = self._expected[answer.model.architecture][index]
                if np.abs(answer.logits - expected).max() > TOLERANCE * np.abs(expected).max():
                    self.wrong += 1

        crowd = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
        for thread in crowd:
            thread.start()
        try:
            with waits.watching():
                yield
        finally:
            stop.set()
            for thread in crowd:
                thread.join()
            self.lost += len(errors)


def cached(crowd: Crowd, switches: int, threads: int) -> dict[str, Any]:
    """Switches between networks that stay in the cache."""
    taken = []
    with crowd.session(cache_bytes=10**10) as session, crowd.predicting(session, Waits(Turns()), threads):
        for step in range(CACHED_NETWORKS + switches):
            switch_to(session, crowd.budgets[(step + 1) % CACHED_NETWORKS])
            if step >= CACHED_NETWORKS:
                taken.append(session.switches[-1])
    assert all(switch.cached for switch in taken)
    return {
        "switches": len(taken),
        "switch_ms": percentiles([switch.switch_ms for switch in taken], (50, 95, 100)),
        "swap_us": percentiles([switch.swap_us for switch in taken], (50, 95, 100)),
    }


def rebuilds(crowd: Crowd, switches: int, turns: Turns) -> dict[str, Any]:
    """Switches to networks that are built anew, while threads predict."""
    rng, waits = random.Random(0), Waits(turns)
    build_ms, resident = array("d"), array("d")
    crowd.wrong = crowd.lost = 0
    with turns.recorded(), crowd.session(cache_bytes=0) as session, crowd.predicting(session, waits):
        for _ in range(switches):
            others = [budget for budget in crowd.budgets if Budget(madds=budget) != session.target]
            with turns.decision():
                switch_to(session, rng.choice(others))
            build_ms.append(session.switches[-1].build_ms)
            resident.append(resident_mb())
        counters = session.counters
    assert counters.switches == counters.builds - 1 == switches
    first = min(100, switches)
    return {
        "switches": switches,
        "predictions": counters.predictions,
        "wrong": crowd.wrong,
        "lost": crowd.lost,
        "build_ms": percentiles(build_ms, (50, 95, 100)),
        **waits.figures(),
        "turn_cpu_ms": percentiles(turns.cpu_ms, (50, 99, 100)) if len(turns.cpu_ms) else None,
        "rss_mb": {
            f"after_{n}": round(float(np.mean(resident[max(0, n - 50) : n])), 1) for n in sorted({first, switches})
        },
    }


def without_rebuilds(crowd: Crowd, switches: int) -> dict[str, Any]:
    """The same predictions, with switches to cached networks twice a second."""
    waits = Waits(Turns())
    with crowd.session(cache_bytes=10**10) as session:
        for step in range(CACHED_NETWORKS):
            switch_to(session, crowd.budgets[step])
        with crowd.predicting(session, waits):
            for step in range(switches):
                switch_to(session, crowd.budgets[step % CACHED_NETWORKS])
                time.sleep(0.5)
    return {"switches": switches, **waits.figures()}


def switch_to(session: Session, budget: int) -> None:
    """Set the target and wait for the switch."""
    session.target = budget
    session.refresh()


def resident_mb() -> float:
    """Resident set of this process, on Linux; 0 elsewhere."""
    statistics = Path("/proc/self/statm")
    if not statistics.exists():
        return 0.0
    return int(statistics.read_text().split()[1]) * mmap.PAGESIZE / 1e6


if __name__ == "__main__":
    main()
