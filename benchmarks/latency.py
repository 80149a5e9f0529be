"""Latency tables: what a table predicts for whole networks, and what they take.

    python -m benchmarks.latency
    python -m benchmarks.latency --engine numpy --networks 50

Builds a table of the paper's space (224 px, width 1.0, random weights) for one thread of an engine, then measures
random architectures that had no part in it. Draws docs/latency.png for LiteRT.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import tempfile
import time
from pathlib import Path

from benchmarks.record import record
from eas_sdk.cli.lut import CLASSIFIERS, NETWORKS, draw
from eas_sdk.latency.build import build, calibrate, space_segments
from eas_sdk.latency.check import check, random_networks
from eas_sdk.latency.local import LocalMeter
from eas_sdk.space.elastic.backbones import PAPER
from eas_train.progress import progress

CLASSES = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="litert")
    parser.add_argument("--networks", type=int, default=100, help="random architectures")
    options = parser.parse_args()
    meter = LocalMeter(options.engine)
    parts = space_segments(PAPER, (*CLASSIFIERS, CLASSES))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.json"
        began = time.perf_counter()
        with progress("blocks", len(parts)) as update:
            table = build(meter, parts, path, advance=lambda done, total, name: update(done, name[:40]))
        table = calibrate(meter, table, random_networks(PAPER, NETWORKS, CLASSES, seed=0), path)
        built_s = time.perf_counter() - began
    done = 0
    with progress("networks", options.networks) as update:

        def advance() -> None:
            nonlocal done
            done += 1
            update(done, "")

        found = check(meter, table, random_networks(PAPER, options.networks, CLASSES, seed=1), advance)
    if options.engine == "litert":
        draw(found, Path("docs") / "latency.png", "LiteRT, one thread: networks of the paper's space")
    measured = [network.measured_ms for network in found.networks]
    name = "latency" if options.engine == "litert" else f"latency-{options.engine}"
    record(
        name,
        {
            "engine": options.engine,
            "blocks": len(table.timings),
            "built_in_s": round(built_s, 1),
            "scale": round(table.scale, 4),
            "networks": len(found.networks),
            "measured_ms": [round(min(measured), 2), round(max(measured), 2)],
            "median_error": round(found.median_error, 4),
            "p95_error": round(found.p95_error, 4),
            "measured_per_predicted": round(found.ratio, 4),
        },
    )


if __name__ == "__main__":
    main()
