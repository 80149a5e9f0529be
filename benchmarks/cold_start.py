"""A cold process: import, load, specialize, first prediction; time of each and peak resident memory.

python -m benchmarks.cold_start
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from benchmarks.record import record

CHILD = """
import time; t0 = time.perf_counter()
import numpy
t1 = time.perf_counter()
import eas_sdk
t2 = time.perf_counter()
runtime = eas_sdk.load()
t3 = time.perf_counter()
task = runtime.tasks[0]
model = runtime.specialize(task, sum(runtime.budget_range(task)) // 2)
t4 = time.perf_counter()
model.predict(numpy.zeros((1, model.input_size, model.input_size, 3), numpy.uint8))
t5 = time.perf_counter()
import json, resource, sys
scale = 1 if sys.platform == "darwin" else 1024
names = ("import_numpy", "import_eas_sdk", "load", "specialize", "first_prediction")
times = [(b - a) * 1e3 for a, b in zip((t0, t1, t2, t3, t4), (t1, t2, t3, t4, t5))]
print(json.dumps({**dict(zip(names, times)), "total": (t5 - t0) * 1e3,
                  "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e6}))
"""
NUMPY_ONLY = """
import numpy, resource, sys
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6)
"""


def main() -> None:
    runs = [json.loads(_run(CHILD)) for _ in range(15)]
    median = {name: round(statistics.median(run[name] for run in runs), 2) for name in runs[0]}
    peak = median.pop("peak_rss_mb")
    record(
        "cold_start",
        {
            "processes": len(runs),
            "median_ms": median,
            "peak_rss_mb": peak,
            "peak_rss_mb_of_numpy_alone": round(float(_run(NUMPY_ONLY)), 2),
        },
    )


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
