"""What `benchmarks.arm` runs on the emulated processor: networks through every engine, and exported files."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np

import eas_sdk
from eas_exporters.tflite.interpreter import Interpreter
from eas_sdk.budget import Budget

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

ENGINES = ("numpy", "litert", "onnxruntime")


def main(folder: Path) -> None:
    asked = json.loads((folder / "cases.json").read_text())
    runtime = eas_sdk.load(asked["bundle"])
    found: dict[str, Any] = {"engines": {}, "files": {}}
    for case in asked["cases"]:
        with np.load(folder / f"{case['name']}.npz") as data:
            images, pixels, expected = data["images"], data["pixels"], data["expected"]
        for engine in ENGINES:
            model: Any = runtime.specialize(case["task"], Budget(level=case["level"]), engine=engine)
            found["engines"].setdefault(engine, []).append(compared(probabilities(model.logits(images)), expected))
        for name, file in case["files"].items():
            found["files"].setdefault(name, []).append(compared(run_file(folder / file, pixels), expected))
        print(case["name"], flush=True)
    packages = ("numpy", "ai-edge-litert", "onnxruntime")
    found["versions"] = {"python": platform.python_version(), "machine": platform.machine()}
    found["versions"] |= {package: importlib.metadata.version(package) for package in packages}
    (folder / "found.json").write_text(json.dumps(found))


def run_file(file: Path, pixels: np.ndarray) -> np.ndarray:
    """Probabilities [N, labels]."""
    if file.suffix == ".tflite":
        return Interpreter(file).run(pixels)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, {session.get_inputs()[0].name: pixels})[0]
    return found


def probabilities(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(1, keepdims=True), dtype=np.float64)
    made: np.ndarray = raised / raised.sum(1, keepdims=True)
    return made


def compared(found: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    return {
        "difference": float(np.abs(found - expected).max()),
        "agreement": float((found.argmax(1) == expected.argmax(1)).mean()),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
