"""Core ML packages against the numpy engine: how near, how large. Runs where there is no Core ML.

    python -m benchmarks.coreml

Random architectures of the embedded bundle in every precision: the saved program is loaded back and evaluated operator
by operator (tests/exporters/mil_evaluator.py, in torch), on views of the test artist's drawings. Greatest difference of
logits as a part of the greatest logit, share of equal labels, bytes as a part of the float32 weights.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import eas_sdk
from benchmarks.drawings import drawings
from benchmarks.record import record
from eas_exporters.coreml.exporter import CoreMLExporter
from eas_sdk.export import Options
from eas_sdk.space.sample import random_architecture
from eas_train.progress import progress
from tests.exporters import mil_evaluator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=50, help="random architectures")
    parser.add_argument("--images", type=int, default=24, help="drawings for each")
    options = parser.parse_args()
    runtime, exporter, rng = eas_sdk.load("emoji"), CoreMLExporter(), random.Random(0)
    data = drawings(runtime, "test", 4)
    made: dict[str, list[tuple[float, float, float]]] = {precision: [] for precision in exporter.precisions}
    with tempfile.TemporaryDirectory() as name, progress("grid", options.networks) as update:
        path = Path(name) / "network.mlpackage"
        for i in range(options.networks):
            task = runtime.tasks[i % len(runtime.tasks)]
            model = runtime.build(task, random_architecture(runtime.bundle.space, rng))
            images = data.images[data.superclass == model.task.shares[0][0]]
            pixels = images.reshape(-1, *images.shape[2:])[: options.images]
            expected = model.logits(pixels)
            weights = sum(weight.nbytes for weight in model.graph.weights.values())
            for precision, rows in made.items():
                chosen = Options(precision, "float32", "logits", runtime.bundle.calibration_images, "benchmark", ())
                exporter.write({"main": model.graph}, path, chosen)
                _, program = mil_evaluator.load(path)
                (found,) = mil_evaluator.run(program, pixels.astype(np.float32) / 255).values()
                size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
                error = float(np.abs(found - expected).max() / np.abs(expected).max())
                rows.append((error, float((found.argmax(1) == expected.argmax(1)).mean()), size / weights))
                shutil.rmtree(path)
            update(i + 1, task)
    figures: dict[str, Any] = {"networks": options.networks, "images": options.images}
    for precision, rows in made.items():
        errors, agreements, sizes = zip(*rows, strict=True)
        figures[precision] = {
            "greatest_error": float(f"{max(errors):.3g}"),
            "mean_top1_agreement": round(float(np.mean(agreements)), 4),
            "of_float32_weights": [round(min(sizes), 4), round(max(sizes), 4)],
        }
    record("coreml", figures)


if __name__ == "__main__":
    main()
