"""What `make wheel-test` runs where the wheel and numpy are the only packages; not a pytest file."""

from __future__ import annotations

import doctest
import importlib.util
import sys
from pathlib import Path

import numpy as np

import eas_sdk
from eas_sdk._version import __version__

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("eas_sdk", "exporters", "eas_train")


def missing_files(installed: Path) -> list[str]:
    """Files of the checkout's packages that the wheel did not bring."""
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()]
    names = [path.relative_to(ROOT) for path in paths if "__pycache__" not in path.parts]
    return sorted(str(name) for name in names if not (installed / name).is_file())


def run_documented_example() -> str:
    """Runs the example in the docstring of eas_sdk, which goes from a task and a budget to a prediction."""
    text = eas_sdk.__doc__ or ""
    for call in (">>>", "specialize(", ".predict("):
        assert call in text, f"the docstring of eas_sdk holds an example with {call!r}"
    result = doctest.testmod(eas_sdk)
    assert not result.failed, f"the example in the docstring of eas_sdk: {result}"
    return f"example of {result.attempted} statements ok"


def main() -> None:
    installed = Path(eas_sdk.__file__).parents[1]
    assert installed != ROOT, f"eas_sdk comes from the checkout, {installed}, not from the wheel"
    assert importlib.util.find_spec("click") is None, "the environment holds more than the wheel and numpy"
    missing = missing_files(installed)
    assert not missing, (
        f"the wheel lacks {missing}: see package-data in pyproject.toml, and __init__.py files"
    )
    for name in eas_sdk.__all__:
        getattr(eas_sdk, name)
    bundled = any((installed / "eas_sdk" / "assets").rglob("*.safetensors"))
    example = run_documented_example() if bundled else "no embedded bundle, so no example"
    print(
        f"wheel of eas_sdk {__version__}, numpy {np.__version__}, Python {sys.version.split()[0]}: {example}"
    )


if __name__ == "__main__":
    main()
