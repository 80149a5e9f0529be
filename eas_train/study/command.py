"""`eas study`: run what is missing, compare, and write results.json, tables.md, figures and report.html."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eas_sdk.bank.atomic import write_atomically
from eas_train.data.imageset import superclass_of_class
from eas_train.data.source import Source
from eas_train.study.compare import figures
from eas_train.study.config import Study
from eas_train.study.report import write_report
from eas_train.study.run import run_study

RESULTS = "results.json"


def study(config: str, source: Source, folder: Path, device: str, *, jobs: int, margin: int) -> dict[str, Any]:
    """Run a study and write all that it leaves; its figures.

    Raises:
        TrainingError, DataError: as `run_study` does.
        MissingDependency: a package is not installed; matplotlib is missed after the runs, which are kept.
    """
    plan = Study.read(config)
    runs = run_study(plan, source, folder, device, jobs=jobs, margin=margin)
    spaces = {method.name: plan.training_recipe(method, 0, 0).supernet.space() for method in plan.methods}
    data, _, _ = source.load(next(iter(spaces.values())).input_size + margin)
    owner = superclass_of_class(data.superclasses)[data.test.targets]
    made = figures(plan, runs, [s.name for s in data.superclasses], owner, spaces)
    write_atomically(folder / RESULTS, [(json.dumps(made, indent=1) + "\n").encode()])
    write_report(made, folder)
    return made
