"""Storing a benchmark's figures together with what made them."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from eas_sdk.bank.atomic import write_atomically

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("numpy", "torch", "pillow")


def record(name: str, figures: dict[str, Any]) -> Path:
    """Write benchmarks/results/<name>.json: the figures, the command, the machine, the versions; prints the figures."""
    data = {"command": command(), "machine": machine(), "versions": versions(), "figures": figures}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    write_atomically(path, [(json.dumps(data, indent=1) + "\n").encode()])
    print(json.dumps(figures, indent=1))
    return path


def command() -> str:
    """The command line as a user would type it; of folders elsewhere on the machine their names alone."""
    module = sys.modules["__main__"].__spec__
    words = [f"python -m {module.name}"] if module else ["python", Path(sys.argv[0]).name]
    return " ".join([*words, *(Path(word).name if os.path.isabs(word) else word for word in sys.argv[1:])])


def machine() -> dict[str, Any]:
    """Processor, cores, system."""
    return {"processor": processor(), "cores": os.cpu_count(), "system": platform.system(), "arch": platform.machine()}


def processor() -> str:
    """Name of the processor, with its vector extensions on Linux."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor()
    fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
    values = {key.strip(): value.strip() for key, value in fields.items()}
    flags = values.get("flags", "").split()
    vectors = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "amx_int8") if flag in flags]
    return " ".join([values.get("model name", platform.processor()), *vectors])


def versions() -> dict[str, str]:
    """Python and the packages that matter."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
