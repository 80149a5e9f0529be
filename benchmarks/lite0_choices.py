"""What each choice of the space `lite0` costs before any training, and what it saves.

    python -m benchmarks.lite0_choices --photos photos-unlabelled --judged imagenet-sample-images

One choice at a time departs from the published network at 224 px; statistics are recorded anew over random photos of
one folder, but for the published network's own and its smaller input sizes. Judged is the share of photos of the other
folder on which the network answers as the published one does at 224 px. It says which choices a training can begin
with, and that ratios below those are too far away to be worth their places.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.record import record
from benchmarks.size_statistics import answers, divided, photos
from eas_sdk.graph.cost import cost
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic.backbones import LITE0
from eas_sdk.space.elastic.space import ElasticSpace
from eas_train.pretrained.importer import load_pretrained
from eas_train.progress import progress
from eas_train.supernet.evaluate import recalibrated
from eas_train.supernet.norm import Norm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos to record statistics over")
    parser.add_argument("--judged", required=True, help="folder inside it whose photos are kept for judging")
    parser.add_argument("--recorded", type=int, default=768, help="photos for the statistics of each network")
    parser.add_argument("--count", type=int, default=300, help="photos to judge on")
    options = parser.parse_args()
    recorded, kept = divided(options.photos, options.judged)
    pool, judged = (photos(f).float() / 255 for f in (recorded[: options.recorded], kept[: options.count]))
    torch.set_num_threads(2)
    figures: dict[str, Any] = {"photos": len(judged)}
    for name, sort in (("channels sorted", True), ("channels as published", False)):
        pretrained = load_pretrained("lite0", space=wider(), sort=sort)
        net, space = pretrained.net, pretrained.net.elastic
        truth = answers(net, space.largest, judged, pretrained.norm)
        cases = [(what, a) for what, a in departures(space) if sort or what.startswith("ratio")]
        rows = {}
        with progress(name, len(cases)) as update:
            for i, (what, architecture) in enumerate(cases):
                whole = architecture.units == space.largest.units
                norm: Norm = pretrained.norm if whole else recalibrated(net, architecture, pool)
                rows[what] = {
                    "madds": cost(space.structure(architecture, net.classes)).madds,
                    "agreement": share(answers(net, architecture, judged, norm) == truth),
                }
                update(i + 1, "")
        figures[name] = rows
    record("lite0_choices", figures)


def wider() -> ElasticSpace:
    """The space with smaller ratios than it was given for what they cost."""
    units = [u if u.fixed else dataclasses.replace(u, expansions=(3, *u.expansions)) for u in LITE0.units]
    return dataclasses.replace(LITE0, units=tuple(units))


def departures(space: ElasticSpace) -> Iterator[tuple[str, Architecture]]:
    """Each choice alone, then some together."""
    largest = space.largest
    for size in space.input_sizes[::-1]:
        yield f"{size} px", dataclasses.replace(largest, input_size=size)
    for ratio in (5, 4, 3):
        yield f"ratio {ratio} everywhere", changed(largest, expansion=ratio)
    for u, unit in enumerate(space.units):
        if not unit.fixed:
            yield f"ratio 5 in unit {u}", changed(largest, expansion=5, only=u)
    yield "kernel 3 everywhere", changed(largest, kernel=3)
    for u, unit in enumerate(space.units):
        if len(unit.depths) > 1:
            blocks = list(largest.units)
            blocks[u] = blocks[u][:-1]
            yield f"one block less in unit {u}", dataclasses.replace(largest, units=tuple(blocks))
    yield "depth 1 everywhere", dataclasses.replace(largest, units=tuple(blocks[:1] for blocks in largest.units))


def changed(largest: Architecture, *, kernel: int = 99, expansion: int = 99, only: int | None = None) -> Architecture:
    """With kernels and ratios of at most these, in one unit or in all."""
    units = [
        tuple(Block(min(b.kernel, kernel), min(b.expansion, expansion)) for b in blocks)
        if only in (None, u)
        else blocks
        for u, blocks in enumerate(largest.units)
    ]
    return dataclasses.replace(largest, units=tuple(units))


def share(right: Tensor) -> float:
    return round(float(right.float().mean()), 4)


if __name__ == "__main__":
    main()
