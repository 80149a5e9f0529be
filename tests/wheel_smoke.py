"""What `make wheel-test` runs where the wheel and numpy are the only packages; not a pytest file.

With the argument "litert", for an environment that the wheel's extra of that name has made: the same network through
LiteRT, and as a .tflite file.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
import tempfile
from pathlib import Path

import numpy as np

import eas_sdk
from eas_sdk._version import DISTRIBUTION, __version__

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (ROOT / "eas_sdk", ROOT / "exporters" / "eas_exporters", ROOT / "eas_train")


def missing_files(installed: Path) -> list[str]:
    """Files of the checkout's packages that the wheel did not bring."""
    names = [
        path.relative_to(package.parent)
        for package in PACKAGES
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    return sorted(str(name) for name in names if not (installed / name).is_file())


def foreign_names() -> set[str]:
    """Names in site-packages that the wheel claims and that are not ours: `exporters`, for one, others may have."""
    files = importlib.metadata.files(DISTRIBUTION) or []
    names = {file.parts[0] for file in files if file.parts[0] != ".."}  # scripts lie elsewhere
    return {name for name in names if not name.endswith(".dist-info")} - {package.name for package in PACKAGES}


def specialize_and_predict() -> str:
    """Cuts a network for the embedded bundle's first task and has it predict two images."""
    runtime = eas_sdk.load()
    task = runtime.tasks[0]
    budget = sum(runtime.budget_range(task)) // 2
    model = eas_sdk.specialize(task, budget)
    assert model.madds <= budget, f"{model.madds} multiply-adds for a budget of {budget}"
    shape = (2, model.input_size, model.input_size, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    predictions = model.predict(images, top_k=len(model.labels))
    assert [sorted(label for label, _ in p.top) for p in predictions] == [sorted(runtime.labels(task))] * 2
    assert np.allclose([sum(probability for _, probability in p.top) for p in predictions], 1)
    return f"a network for {task!r} of {model.madds} of {budget} multiply-adds predicts"


def run_with_litert() -> str:
    """The same through LiteRT, compared with numpy, and as a proved int8 file."""
    runtime = eas_sdk.load()
    task = runtime.tasks[0]
    model = eas_sdk.specialize(task, runtime.budget_range(task)[1], engine="litert")
    images = np.random.default_rng(0).integers(0, 256, (2, model.input_size, model.input_size, 3), dtype=np.uint8)
    expected = model.reference(images)
    error = np.abs(model.logits(images) - expected).max() / np.abs(expected).max()
    assert error < 1e-4, f"LiteRT is {error:g} away from numpy"
    with tempfile.TemporaryDirectory() as folder:
        made = model.export(Path(folder) / "model.tflite", precision="int8")
        assert made.proof is not None, made.unproved
    return f"LiteRT runs it, and an int8 file of {made.bytes} bytes is proved"


def main() -> None:
    installed = Path(eas_sdk.__file__).parents[1]
    assert installed != ROOT, f"eas_sdk comes from the checkout, {installed}, not from the wheel"
    assert importlib.util.find_spec("click") is None, "the environment holds more than the wheel and numpy"
    missing = missing_files(installed)
    assert not missing, f"the wheel lacks {missing}: see package-data in pyproject.toml, and __init__.py"
    assert not foreign_names(), f"the wheel claims names that are not ours: {foreign_names()}"
    for name in eas_sdk.__all__:
        getattr(eas_sdk, name)
    bundled = any((installed / "eas_sdk" / "assets").rglob("*.safetensors"))
    outcome = specialize_and_predict() if bundled else "imports; it holds no bundle"
    if sys.argv[1:] == ["litert"]:
        outcome += "; " + run_with_litert()
    python = sys.version.split()[0]
    print(f"wheel of eas_sdk {__version__}, numpy {np.__version__}, Python {python}: {outcome}")


if __name__ == "__main__":
    main()
