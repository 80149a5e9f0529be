"""Exported files: how near they are to the numpy engine, how small, and how fast from request to first answer.

    python -m benchmarks.exports
    python -m benchmarks.exports --peers peers/bin/python  # against OFA and litert-torch (see peers/once_for_all.py)

- grid: 50 random architectures of the bundle `emoji` x every format and precision that runs here; greatest difference
  of logits (as a part of the greatest logit) and share of equal labels, on random views of the test artist's drawings.
- int8: exports at default settings of every task at `--budgets` budgets in every format that is calibrated; which are
  refused, and the least share of equal labels on the same views of the task.
- accuracy: top-1 within the known superclass of the TFLite precisions at the top budget of every task, with the paired
  difference from float32 (needs the emoji drawings).
- size: bytes of the files of a network of the paper's size, as a part of the float32 file.
- first: from a request to the first answer of LiteRT, with its parts, for the same network; random weights.
- steady: milliseconds of one image on one thread, all engines and precisions in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import random

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import eas_sdk
from benchmarks.bootstrap import interval
from benchmarks.drawings import Drawings, drawings
from benchmarks.networks import ABOUT_300M, KERNELS_7, paper_runtime
from benchmarks.record import record
from eas_exporters.tflite.exporter import file_parts
from eas_exporters.tflite.interpreter import Interpreter
from eas_sdk.engine.registry import ENGINES, load_engine
from eas_sdk.errors import MissingDependency
from eas_sdk.export import EXPORTERS, SIGNATURE, Exporter, Options, load_exporter
from eas_sdk.runtime import Runtime
from eas_sdk.space.sample import random_architecture
from eas_train.progress import progress

INSTANCES = 3
"""Of everything whose steady latency is measured."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=50, help="architectures in the grid")
    parser.add_argument("--budgets", type=int, default=10, help="of each task, for int8")
    parser.add_argument("--peers", help="a Python that has ofa and litert-torch (see benchmarks/peers/once_for_all.py)")
    options = parser.parse_args()
    runtime = eas_sdk.load("emoji")
    data = drawings(runtime, "test", 4)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paper = paper_runtime(folder)
        figures = {
            "grid": grid(runtime, data, options.networks, folder),
            "int8": defaults(runtime, data, options.budgets, folder),
            "accuracy": accuracy(runtime, data),
            "size": sizes(paper, folder),
            "first": first(paper),
            "steady_ms": None,
        }
        peer = folder if options.peers else None
        if options.peers:
            done = subprocess.run(
                [options.peers, Path(__file__).parent / "peers" / "once_for_all.py", folder],
                check=True,
                capture_output=True,
                text=True,
            )
            figures["peer_ms"] = json.loads(done.stdout.splitlines()[-1])
        figures["steady_ms"] = steady(paper, peer)
        if options.peers:
            figures["ratios"] = ratios(figures)
    record("exports", figures)


def chosen(precision: str, calibration: np.ndarray | None, **changes: Any) -> Options:
    return replace(Options(precision, "uint8", "logits", calibration, "benchmark", ()), **changes)


def runnable() -> dict[str, Exporter]:
    """The exporters whose files run here."""
    found = {}
    for suffix in EXPORTERS:
        if suffix != ".mlpackage":  # runs on macOS only
            found[suffix] = load_exporter(suffix)
    return found


def grid(runtime: Runtime, data: Drawings, count: int, folder: Path) -> dict[str, Any]:
    """Difference from the numpy engine over random architectures."""
    rng = random.Random(0)
    made: dict[str, list[tuple[float, float]]] = {}
    exporters = runnable()
    with progress("grid", count) as update:
        for i in range(count):
            task = runtime.tasks[i % len(runtime.tasks)]
            model = runtime.build(task, random_architecture(runtime.bundle.space, rng))
            images = data.images[data.superclass == model.task.shares[0][0]]
            pixels = images.reshape(-1, *images.shape[2:])[:64]
            expected = model.logits(pixels)
            for suffix, exporter in exporters.items():
                for precision in exporter.precisions:
                    options = chosen(precision, runtime.bundle.calibration_images)
                    path = folder / f"network{suffix}"
                    path.unlink(missing_ok=True)
                    exporter.write({"main": model.graph}, path, options)
                    found = exporter.run(path, "main", pixels.astype(np.float32) / 255, options)
                    error = float(np.abs(found - expected).max() / np.abs(expected).max())
                    agree = float((found.argmax(1) == expected.argmax(1)).mean())
                    made.setdefault(f"{exporter.name} {precision}", []).append((error, agree))
            update(i + 1, task)
    return {
        name: {
            "greatest_error": float(f"{max(e for e, _ in values):.3g}"),
            "mean_top1_agreement": round(float(np.mean([a for _, a in values])), 4),
            "least_top1_agreement": round(min(a for _, a in values), 4),
        }
        for name, values in made.items()
    }


def defaults(runtime: Runtime, data: Drawings, budgets: int, folder: Path) -> dict[str, Any]:
    """Whether exports are refused that are right on views of their task, and how the others agree there."""
    agreed: dict[str, list[float]] = {}
    refused: dict[str, list[str]] = {}
    with progress("int8", len(runtime.tasks) * budgets) as update:
        for t, task in enumerate(runtime.tasks):
            pixels = data.images[data.superclass == t].reshape(-1, *data.images.shape[2:])
            for i in range(budgets):
                model = runtime.specialize(task, f"{100 * i / (budgets - 1):g}%")
                expected = model.logits(pixels).argmax(1)
                for suffix, exporter in runnable().items():
                    made = model.export(folder / f"int8{suffix}", precision="int8", output="logits", keep=True)
                    options = chosen("int8", None)
                    found = exporter.run(made.path, SIGNATURE, pixels.astype(np.float32) / 255, options)
                    agreed.setdefault(exporter.name, []).append(float((found.argmax(1) == expected).mean()))
                    if made.failed:
                        refused.setdefault(exporter.name, []).append(
                            f"{task} {model.madds}: {agreed[exporter.name][-1]}"
                        )
                update(t * budgets + i + 1, task)
    return {
        name: {
            "files": len(shares),
            "refused": refused.get(name, []),
            "mean_top1_agreement": round(float(np.mean(shares)), 4),
            "least_top1_agreement": round(min(shares), 4),
        }
        for name, shares in agreed.items()
    }


def accuracy(runtime: Runtime, data: Drawings) -> dict[str, Any]:
    """Top-1 of TFLite files on the unseen artist's views, and the paired difference from float32 in points."""
    precisions = load_exporter(".tflite").precisions
    right: dict[str, list[np.ndarray]] = {p: [] for p in precisions}
    superclass = []
    for task in runtime.tasks:
        model = runtime.specialize(task, runtime.budget_range(task)[1])
        owner = model.task.shares[0][0]
        mine = data.superclass == owner
        images, targets = data.images[mine], data.targets[mine] - model.task.classes[0]
        pixels = images.reshape(-1, *images.shape[2:])
        superclass.append(np.full(len(images), owner))
        for precision in precisions:
            options = chosen(precision, runtime.bundle.calibration_images)
            logits = Interpreter(b"".join(file_parts({"main": model.graph}, options))).run(pixels)
            hits = logits.argmax(1) == np.repeat(targets, images.shape[1])
            right[precision].append(hits.reshape(len(images), -1).mean(1))
    owners = np.concatenate(superclass)
    joined = {precision: np.concatenate(shares) for precision, shares in right.items()}
    return {
        precision: {
            "top1": round(interval(shares, owners)[0], 4),
            "minus_float32_points": [round(100 * v, 2) for v in interval(shares - joined["float32"], owners)],
        }
        for precision, shares in joined.items()
    }


def sizes(paper: Runtime, folder: Path) -> dict[str, Any]:
    """Bytes of each format and precision, and their ratio to float32."""
    model = paper.build("things", ABOUT_300M)
    calibration = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    found: dict[str, Any] = {"float32_weight_bytes": sum(w.nbytes for w in model.graph.weights.values())}
    for suffix, exporter in runnable().items():
        size = {}
        for precision in exporter.precisions:
            path = folder / f"paper-{precision}{suffix}"
            exporter.write({"main": model.graph}, path, chosen(precision, calibration))
            size[precision] = path.stat().st_size
        found[exporter.name] = {p: {"bytes": b, "of_float32": round(b / size["float32"], 4)} for p, b in size.items()}
    return found


def first(paper: Runtime, rounds: int = 15) -> dict[str, Any]:
    """Median milliseconds from a request to the first answer of LiteRT, and the parts."""
    from eas_sdk.bank.slicing import cut

    image = np.random.default_rng(0).random((1, 224, 224, 3), np.float32)
    resolved = paper.specialize("things", paper.budget_range("things")[0]).task
    options = chosen("float32", None, input="float32")
    taken: dict[str, list[float]] = {name: [] for name in ("select", "slice", "write", "load", "first answer")}
    for seed in range(rounds):
        marks = [time.perf_counter()]
        paper.architectures([("things", 300_000_000)], seed=seed)
        marks.append(time.perf_counter())
        graph = cut(paper.bundle, ABOUT_300M, resolved.classes)
        marks.append(time.perf_counter())
        content = b"".join(file_parts({"main": graph}, options))
        marks.append(time.perf_counter())
        interpreter = Interpreter(content)
        marks.append(time.perf_counter())
        interpreter.run(image)
        marks.append(time.perf_counter())
        for name, start, end in zip(taken, marks, marks[1:], strict=False):
            taken[name].append(1e3 * (end - start))
    parts = {name: round(statistics.median(values), 2) for name, values in taken.items()}
    totals = [sum(values) for values in zip(*taken.values(), strict=True)]
    return {"parts_ms": parts, "total_ms": round(statistics.median(totals), 2), "rounds": rounds}


def steady(paper: Runtime, peer: Path | None) -> dict[str, float]:
    """Milliseconds of one image on one thread: the median of many runs, in turns."""
    graph = paper.build("things", ABOUT_300M).graph
    image = np.random.default_rng(0).random((1, 224, 224, 3), np.float32)
    calibration = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    runs: list[tuple[str, Callable[[], object]]] = []

    def add(name: str, run: Callable[[Any], object], given: np.ndarray = image) -> None:
        runs.append((name, lambda: run(given)))

    wide = paper.build("things", KERNELS_7).graph
    for _ in range(INSTANCES):
        for name in ENGINES:
            with suppress(MissingDependency):
                add(f"engine {name}", load_engine(name).compile(graph).run)
        for precision in load_exporter(".tflite").precisions:
            content = b"".join(file_parts({"main": graph}, chosen(precision, calibration, input="float32")))
            add(f"TFLite {precision}", Interpreter(content).run)
        content = b"".join(file_parts({"main": wide}, chosen("float32", None, input="float32")))
        add("TFLite float32, 7 x 7", Interpreter(content).run)
        if peer is not None:
            planar = np.ascontiguousarray(image.transpose(0, 3, 1, 2))
            for name, file in (("float32", "peer.tflite"), ("float32, 7 x 7", "peer7.tflite")):
                add(f"litert-torch {name}", Interpreter(peer / file).run, planar)
    return in_turns(runs)


def in_turns(runs: Sequence[tuple[str, Callable[[], object]]], rounds: int = 40) -> dict[str, float]:
    """Median milliseconds of each name. The order changes from round to round: what ran before decides what is cached.

    A name stands for several instances, because one's place in memory makes a difference of some percent.
    """
    taken: dict[str, list[float]] = {name: [] for name, _ in runs}
    order = list(runs)
    for _, run in runs:
        run()
    for _ in range(rounds):
        random.shuffle(order)
        for name, run in order:
            start = time.perf_counter()
            run()
            taken[name].append(1e3 * (time.perf_counter() - start))
    return {name: round(statistics.median(values), 3) for name, values in taken.items()}


def ratios(figures: Mapping[str, Any]) -> dict[str, float]:
    """The comparisons that matter."""
    ms, peer, total = figures["steady_ms"], figures["peer_ms"], figures["first"]["total_ms"]
    return {
        "get_active_subnet + litert_torch / ours": round(
            (peer["get_active_subnet_ms"] + peer["litert_torch_convert_ms"]) / total, 1
        ),
        "get_active_subnet + torch.onnx / ours": round(
            (peer["get_active_subnet_ms"] + peer["torch_onnx_export_ms"]) / total, 1
        ),
        "our TFLite / litert-torch's": round(ms["TFLite float32"] / ms["litert-torch float32"], 3),
        "our TFLite / litert-torch's, 7 x 7": round(ms["TFLite float32, 7 x 7"] / ms["litert-torch float32, 7 x 7"], 3),
        "int8 / float32": round(ms["TFLite int8"] / ms["TFLite float32"], 3),
        "numpy / LiteRT": round(ms["engine numpy"] / ms["engine litert"], 2),
        "auto / best": round(
            ms["engine auto"] / min(v for n, v in ms.items() if n.startswith("engine") and n != "engine auto"), 3
        ),
    }


if __name__ == "__main__":
    main()
