"""`eas study`: run what is missing, compare, and write results.json, tables.md, figures and report.html."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eas_sdk.bank.atomic import write_atomically
from eas_train.data.imageset import superclass_of_class
from eas_train.data.source import Source
from eas_train.data.splits import Images, Splits
from eas_train.pipeline import Training
from eas_train.study.compare import figures
from eas_train.study.config import Quality, Study
from eas_train.study.quality import correlations, rank, repeated
from eas_train.study.report import write_report
from eas_train.study.run import STAGES, run_study

RESULTS = "results.json"


def study(config: str, source: Source, folder: Path, device: str, *, jobs: int, margin: int) -> dict[str, Any]:
    """Run a study and write all that it leaves; its figures.

    Raises:
        TrainingError, DataError: as `run_study` does.
        MissingDependency: a package is not installed; matplotlib is missed after the runs, which are kept.
    """
    plan = Study.read(config)
    runs = run_study(plan, source, folder, device, jobs=jobs, margin=margin)
    supernets = {method.name: plan.training_recipe(method, 0, 0).supernet for method in plan.methods}
    spaces = {name: supernet.search_space() for name, supernet in supernets.items()}
    first = supernets[plan.methods[0].name]  # of one size and kind with the others: `run_study` refuses what is not
    data, _, _ = source.load(first.search_space().input_sizes[-1] + margin, first.augmentation.kind)
    owner = superclass_of_class(data.superclasses)[data.test.targets]
    made = figures(plan, runs, [s.name for s in data.superclasses], owner, spaces)
    if plan.quality is not None:
        made["quality"] = supernet_quality(plan, plan.quality, data, folder, device)
    write_atomically(folder / RESULTS, [(json.dumps(made, indent=1) + "\n").encode()])
    write_report(made, folder)
    return made


def supernet_quality(
    plan: Study, quality: Quality, data: Splits[Images], folder: Path, device: str
) -> list[dict[str, Any]]:
    """Rank correlations of every supernet of a study with networks that are trained alone, one row a supernet."""
    trainings: dict[str, list[Training]] = {}
    names: dict[str, list[str]] = {}
    for method in plan.methods:
        mine = [
            Training(
                plan.training_recipe(method, seed, plan.seeds[0]),
                data,
                folder / STAGES,
                torch.device(device),
                shared=True,
            )
            for seed in plan.supernet_seeds
        ]
        key = " ".join(training.fingerprints["supernet"] for training in mine)
        trainings[key] = mine
        names.setdefault(key, []).append(method.name)
    rows = []
    for key, mine in trainings.items():
        ranked = [rank(training, quality, plan.views, folder) for training in mine]
        rows.append(
            {
                "methods": names[key],
                **correlations(ranked),
                **({"repeated": correlations(repeated(ranked))} if quality.trainings > 1 else {}),
                "networks": quality.networks,
                "supernet_seconds": round(float(np.mean([r.supernet_seconds for r in ranked])), 1),
                "alone_seconds": round(float(np.mean([r.seconds for r in ranked])), 1),
                "mean_shared": round(float(np.mean([r.shared for r in ranked])), 4),
                "mean_alone": round(float(np.mean([r.alone for r in ranked])), 4),
            }
        )
    return rows
