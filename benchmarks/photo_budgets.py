"""What a budget buys on photos: the photo bank against the network that it comes from, by the numpy engine.

    python -m benchmarks.photo_budgets PHOTOS            # a folder with labels.csv: file, imagenet_index

- source: the published network at 224 px, its accuracy A among 1,000 classes, and within the superclass.
- all: for every budget, the network of the task "all": accuracy among 1,000 classes, and of the same network within the
  known superclass. Floors, below A: 8 points at 200M multiply-adds, 17 at 130M, 33 at 72M, 60 at 30M; within the
  superclass, set before these photos were looked at: 6, 12, 23 and 41.
- superclass: for every budget, the networks that are made for each photo's superclass.
- untrained: the published network at the largest input size that the budget pays for, nothing else changed.

Intervals are 95% bootstraps over photos; differences are paired. The photos choose nothing.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import eas_sdk
from benchmarks.photo_test import Logits, TestPhotos, logits_of, percent, read_test_photos
from benchmarks.record import record
from eas_sdk.bank.bundle import Bundle
from eas_sdk.bank.slicing import cut
from eas_sdk.engine.registry import load_engine
from eas_sdk.graph.cost import cost
from eas_sdk.images import as_float_batch
from eas_sdk.runtime import Runtime
from eas_sdk.space.presets import PRESETS
from eas_train.pretrained.bundle import published_bundle
from eas_train.pretrained.importer import load_pretrained
from eas_train.pretrained.labels import imagenet_labels, imagenet_rows
from eas_train.progress import progress
from eas_train.space import changed

BUDGETS = (30e6, 50e6, 72e6, 110e6, 130e6, 200e6, 285e6, 1e9)
"""Multiply-adds; the last pays for the largest network."""
FLOORS = {"top1": {200e6: 8, 130e6: 17, 72e6: 33, 30e6: 60}, "within": {200e6: 6, 130e6: 12, 72e6: 23, 30e6: 41}}
"""Points below the source, at most."""
SIZES = tuple(range(32, 228, 4))
BATCH = 50

Hits = npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--bundle", help="a bundle file (default: the embedded one)")
    options = parser.parse_args()
    runtime = eas_sdk.load(options.bundle)
    photos = read_test_photos(options.photos, runtime)
    whole = untrained(224, runtime, photos)
    limits = {"top1": photos.top1(whole), "within": photos.within(whole)}
    rows = []
    with progress("budgets", len(BUDGETS)) as update:
        for i, budget in enumerate(BUDGETS):
            rows.append(row(runtime, photos, int(budget), limits))
            update(i + 1, "")
    steps = [[later[1] - earlier[1] for earlier, later in itertools.pairwise(of(rows, kind))] for kind in FLOORS]
    record(
        "photo_budgets",
        {
            "photos": len(photos),
            "classes": len(set(photos.targets.tolist())),
            "columns": "mean, low and high end of the 95% interval, in per cent",
            "source": {kind: percent(hits) for kind, hits in limits.items()},
            "rows": rows,
            "every_step_up": {kind: min(values) > 0 for kind, values in zip(FLOORS, steps, strict=True)},
        },
    )


def of(rows: list[dict[str, Any]], kind: str) -> list[tuple[int, float]]:
    return [(each["budget"], each["all"][kind][0]) for each in rows]


def row(runtime: Runtime, photos: TestPhotos, budget: int, limits: dict[str, Hits]) -> dict[str, Any]:
    """One budget."""
    model = runtime.specialize("all", budget)
    logits = logits_of(model, photos.pixels)
    hits = {"top1": photos.top1(logits), "within": photos.within(logits)}
    size = max(size for size in SIZES if madds_at(size) <= budget)
    plain = untrained(size, runtime, photos)
    before = {"top1": photos.top1(plain), "within": photos.within(plain)}
    own, madds = by_superclass(runtime, photos, budget)
    floors = {
        kind: round(100 * float(limits[kind].mean()) - allowed[budget], 2)
        for kind, allowed in FLOORS.items()
        if budget in allowed
    }
    return {
        "budget": budget,
        "all": {
            "madds": model.madds,
            "input_px": model.input_size,
            **{kind: percent(found) for kind, found in hits.items()},
            "source_minus_this": {kind: percent(limits[kind] - found) for kind, found in hits.items()},
        },
        "superclass": {"mean_madds": madds, "within": percent(own)},
        "untrained": {
            "madds": madds_at(size),
            "input_px": size,
            **{kind: percent(found) for kind, found in before.items()},
            "trained_minus_this": {kind: percent(hits[kind] - found) for kind, found in before.items()},
        },
        "floors": floors,
    }


def by_superclass(runtime: Runtime, photos: TestPhotos, budget: int) -> tuple[Hits, int]:
    """Hits of the networks made for each superclass, and their mean multiply-adds over the photos."""
    hits, madds = np.zeros(len(photos)), np.zeros(len(photos))
    for t, task in enumerate(runtime.tasks):
        mine = np.flatnonzero(photos.superclass == t)
        if len(mine):
            model = runtime.specialize(task, budget)
            first = int(np.flatnonzero(photos.owner == t)[0])
            hits[mine] = logits_of(model, photos.pixels[mine]).argmax(1) + first == photos.targets[mine]
            madds[mine] = model.madds
    return hits, round(float(madds.mean()))


def untrained_bundle(size: int) -> Bundle:
    """The published network for images of one size."""
    space = changed(PRESETS["lite0"], {"input_sizes": [size]})
    return published_bundle(load_pretrained("lite0", space=space), "lite0", imagenet_labels())


def madds_at(size: int) -> int:
    """Of the published network at an input size."""
    space = changed(PRESETS["lite0"], {"input_sizes": [size]})
    return cost(space.structure(space.largest, len(imagenet_labels()))).madds


def untrained(size: int, runtime: Runtime, photos: TestPhotos) -> Logits:
    """Its logits, in the order of the runtime's labels."""
    source = untrained_bundle(size)
    program = load_engine("numpy").compile(cut(source, source.space.largest, range(len(source.labels))))
    parts = [program.run(as_float_batch(photos.pixels[i : i + BATCH], size)) for i in range(0, len(photos), BATCH)]
    return np.concatenate(parts)[:, imagenet_rows(runtime.bundle.labels)]


if __name__ == "__main__":
    main()
