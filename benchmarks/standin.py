"""From a moved slider to a prediction of the new network, in the stand-in of the phone's screen.

    python -m benchmarks.standin

The app's Python module decides, slices and writes the .tflite; LiteRT loads it and classifies the newest frame of the
camera, which goes on all the time. Sliders go to random places of random tasks, so that no network is written already;
and back to places they were at, where the file is there.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import random
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from android_demo.standin.screen import Screen
from benchmarks.record import record

PARTS = ("decide_ms", "slice_ms", "write_ms", "load_ms", "first_ms", "total_ms")
PATIENCE_S = 20.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=200, help="of the slider")
    options = parser.parse_args()
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        screen = Screen(Path(folder))
        try:
            tasks = screen.state()["info"]["tasks"]
            move(screen, next(iter(tasks)), 4e6)
            fresh, known = [], []
            for _ in range(options.moves):
                task = rng.choice(sorted(tasks))
                low, high = tasks[task]["madds"]
                before = screen.state()["wish"]
                if (made := move(screen, task, rng.uniform(low, high))) is None:
                    continue  # the same network serves both
                fresh.append(made)
                if (made := move(screen, before["task"], before["value"])) is not None:
                    known.append(made)
        finally:
            screen.close()
    record("standin", {"new_networks": summary(fresh), "networks_used_before": summary(known)})


def move(screen: Screen, task: str, madds: float) -> dict[str, Any] | None:
    """Move the slider; the switch that follows, or None where the network stays."""
    known = screen.state()["switch_count"]
    wish = screen.wish(task, "madds", madds)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if screen.answered == (wish, False):
            return None
        state = screen.state()
        if state["switch_count"] > known:
            switch: dict[str, Any] = state["switches"][-1]
            return switch
        time.sleep(0.005)
    raise SystemExit("error: the network does not come")


def summary(switches: list[dict[str, Any]]) -> dict[str, Any]:
    """Milliseconds of each part, median and 95th percentile."""
    return {
        "switches": len(switches),
        **{
            name: {"p50": round(float(np.percentile(v, 50)), 2), "p95": round(float(np.percentile(v, 95)), 2)}
            for name in PARTS
            if (v := [switch[name] for switch in switches])
        },
    }


if __name__ == "__main__":
    main()
