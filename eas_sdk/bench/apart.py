"""Measuring a network in a process of its own, where no earlier network has left memory or threads behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eas_sdk.bench.figures import Case, Figures, Switch
from eas_sdk.bench.local import measure
from eas_sdk.budget import Budget
from eas_sdk.errors import EasError
from eas_sdk.latency.benchmark_model import excerpt
from eas_sdk.runtime import load

PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from eas_sdk.bench.apart import main; main()"
"""Imports what this process would, and nothing else from the current folder."""


def measure_apart(case: Case, bundle: Path | None = None, latency: Path | None = None) -> Figures | str:
    """Figures of a network, or the error that there is instead: what `measure` raises, or how the process ended.

    Args:
        bundle: its file; None for the embedded one.
        latency: file of a latency table; see `eas_sdk.load`.

    Raises:
        OSError: no process can be started.
    """
    asked = {
        "bundle": None if bundle is None else str(bundle),
        "latency": None if latency is None else str(latency),
        "case": {**asdict(case), "budget": case.budget.bounds},
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *sys.path],
        input=json.dumps(asked),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        said = excerpt(done.stderr) or "nothing"
        return f"a process that measures ends with status 0; it ended with {done.returncode} and said {said!r}"
    answer: dict[str, Any] = json.loads(done.stdout)
    if "error" in answer:
        return str(answer["error"])
    return Figures(**{**answer, "switch": Switch(**answer["switch"])})


def main() -> None:
    """Read one request from standard input, answer on standard output."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as output:
        os.dup2(2, 1)  # what engines print is no part of the answer
        asked = json.load(sys.stdin)
        case = Case(**{**asked["case"], "budget": Budget(**asked["case"]["budget"])})
        answer: dict[str, Any]
        try:
            answer = asdict(measure(load(asked["bundle"], latency=asked["latency"]), case))
        except EasError as error:
            answer = {"error": str(error)}
        json.dump(answer, output)
