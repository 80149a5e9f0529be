"""The bundles that GreedyNAS, Cream and NSE end in: every engine and every exported file against the numpy engine.

    eas study strategies
    python -m benchmarks.strategy_bundles studies/strategies

- grid: the menu's cheapest, middle and dearest network, and of NSE the one with most branches, x every engine, format
  and precision that runs here: greatest difference of logits (as a part of the greatest logit), least share of equal
  labels, and whether one XNNPACK partition takes the whole file. Images are views of the test artist's drawings.
- accuracy: top-1 within the known superclass on those drawings at the study's largest budget, of the numpy engine and
  of TFLite in float32 and int8.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

import eas_sdk
from benchmarks.bootstrap import interval
from benchmarks.drawings import Drawings, accuracy_by_drawing, drawings
from benchmarks.exports import chosen, runnable
from benchmarks.record import record
from benchmarks.trainings import training_of
from eas_exporters.tflite.exporter import file_parts
from eas_exporters.tflite.interpreter import Interpreter
from eas_sdk.engine.registry import ENGINES, load_engine
from eas_sdk.errors import MissingDependency
from eas_sdk.graph.nodes import Mean
from eas_sdk.model import Model
from eas_sdk.runtime import Runtime
from eas_sdk.selector.menu import MenuSelector
from eas_train import bundle as bundles
from eas_train.progress import progress
from eas_train.study.config import Study

METHODS = ("SPOS", "GreedyNAS", "Cream", "NSE")
PIXELS = 64
"""Images of each network in the grid."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of `eas study strategies`")
    options = parser.parse_args()
    torch.set_num_threads(1)
    plan = Study.read("strategies")
    made: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        for method in METHODS:
            training = training_of(plan, method, plan.supernet_seeds[0], options.folder)
            path = Path(name) / f"{training.recipe.name}.safetensors"
            size = bundles.save(bundles.half(training.whole_bundle()), path)
            runtime = eas_sdk.load(path)
            shown = drawings(runtime, "test", plan.views)
            made[method] = {
                "bundle_bytes": size,
                "networks": len(menu(runtime).architectures),
                "grid": grid(runtime, shown, Path(name)),
                "accuracy": accuracy(runtime, shown, plan.madds[-1]),
            }
    record("strategy_bundles", made)


def menu(runtime: Runtime) -> MenuSelector:
    assert isinstance(runtime.selector, MenuSelector)
    return runtime.selector


def networks(runtime: Runtime, task: str) -> list[Model]:
    """The cheapest, a middle and the dearest network of the menu, and the one with most branches."""
    models = sorted(
        (runtime.build(task, architecture) for architecture in dict.fromkeys(menu(runtime).architectures)),
        key=lambda model: model.madds,
    )
    branches = max(models, key=lambda model: len(model.architecture.blocks))
    picked = [models[0], models[len(models) // 2], models[-1], branches]
    return list({model.architecture: model for model in picked}.values())


def grid(runtime: Runtime, shown: Drawings, folder: Path) -> dict[str, Any]:
    """Errors and agreement by engine, and by format and precision."""
    found: dict[str, list[tuple[float, float]]] = {}
    whole: dict[str, list[bool]] = {}
    models = networks(runtime, runtime.tasks[0])
    images = shown.images[shown.superclass == models[0].task.shares[0][0]]
    pixels = images.reshape(-1, *images.shape[2:])[:PIXELS]
    with progress("grid", len(models)) as update:
        for i, model in enumerate(models):
            expected = model.logits(pixels)

            def compare(name: str, logits: np.ndarray, expected: np.ndarray = expected) -> None:
                error = float(np.abs(logits - expected).max() / np.abs(expected).max())
                found.setdefault(name, []).append((error, float((logits.argmax(1) == expected.argmax(1)).mean())))

            for engine in ENGINES:
                try:
                    load_engine(engine)
                except MissingDependency:
                    continue
                compare(f"engine {engine}", runtime.build(model.task, model.architecture, engine=engine).logits(pixels))
            for suffix, exporter in runnable().items():
                for precision in exporter.precisions:
                    given = chosen(precision, runtime.bundle.calibration_images)
                    path = folder / f"network-{i}-{precision}{suffix}"
                    path.unlink(missing_ok=True)
                    exporter.write({"main": model.graph}, path, given)
                    name = f"{exporter.name} {precision}"
                    compare(name, exporter.run(path, "main", pixels.astype(np.float32) / 255, given))
                    if suffix == ".tflite":
                        whole.setdefault(name, []).append(fully_delegated(path))
            update(i + 1, str(model.architecture))
    means = [sum(isinstance(node, Mean) for node in model.graph.nodes) for model in models]
    rows = {
        name: {
            "greatest_error": float(f"{max(error for error, _ in values):.3g}"),
            "least_top1_agreement": round(min(agree for _, agree in values), 4),
            **({"fully_delegated": all(whole[name])} if name in whole else {}),
        }
        for name, values in found.items()
    }
    return {"networks": len(models), "most_means": max(means), "rows": rows}


def fully_delegated(path: Path) -> bool:
    """Whether one XNNPACK partition takes all of a .tflite file."""
    from ai_edge_litert.compiled_model import CompiledModel

    return bool(CompiledModel.from_file(str(path)).is_fully_accelerated())


def accuracy(runtime: Runtime, shown: Drawings, madds: int) -> dict[str, Any]:
    """Top-1 with intervals over drawings."""
    shares: dict[str, list[np.ndarray]] = {}
    owners = []
    for task in runtime.tasks:
        model = runtime.specialize(task, madds)
        mine = shown.superclass == model.task.shares[0][0]
        images, targets = shown.images[mine], shown.targets[mine] - model.task.classes[0]
        owners.append(shown.superclass[mine])
        shares.setdefault("numpy", []).append(accuracy_by_drawing(model, shown))
        for precision in ("float32", "int8"):
            given = chosen(precision, runtime.bundle.calibration_images)
            logits = Interpreter(b"".join(file_parts({"main": model.graph}, given))).run(
                images.reshape(-1, *images.shape[2:])
            )
            right = logits.argmax(1) == np.repeat(targets, images.shape[1])
            shares.setdefault(f"TFLite {precision}", []).append(right.reshape(len(images), -1).mean(1))
    owner = np.concatenate(owners)
    return {name: [round(v, 4) for v in interval(np.concatenate(each), owner)] for name, each in shares.items()}


if __name__ == "__main__":
    main()
