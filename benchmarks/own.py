"""Photos of one's own: `eas train --data` beside a plain fine-tuning of the published network in the same time.

    python -m benchmarks.own PHOTOS RUN --name own_cifar --plain 128 224
    python -m benchmarks.own PHOTOS RUN --name own_few --scratch

- own: `eas train --data PHOTOS`, as it comes, as a process; seconds, and top-1 on the test photos of its smallest,
  middle and largest network (of the budgets of each superclass), within the superclass and among all classes.
- plain: a plain loop of torch over the same published network at each of the sides: a new classifier, all weights
  trained by AdamW along a cosine that ends when `own` did, on the same threads with the same augmentation.
- scratch: `eas train --data PHOTOS --from scratch` in the same time.

Trainings go on where they were stopped; finished ones are judged only. Intervals are 95% bootstraps over photos,
differences are paired.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import eas_sdk
from benchmarks.bootstrap import interval
from benchmarks.record import record
from eas_sdk.bank.shipped import OF_A_TRAINING
from eas_train.bundle import to_supernet
from eas_train.data.feed import Asked, feed, random_images
from eas_train.data.fixed_views import fixed_views
from eas_train.data.imageset import superclass_of_class
from eas_train.data.order import order_of
from eas_train.data.photo_augment import PhotoAugmentation
from eas_train.data.source import Source
from eas_train.data.splits import Images, Splits
from eas_train.pretrained.importer import load_pretrained
from eas_train.progress import progress
from eas_train.supernet.evaluate import recalibrated
from eas_train.supernet.norm import Norm

CPU = torch.device("cpu")
LEVELS = {"smallest": 0.0, "middle": 0.5, "largest": 1.0}
AUGMENTATION = PhotoAugmentation(least_area=0.5)
BATCH, RATE, WEIGHT_DECAY, SMOOTHING = 32, 3e-4, 0.01, 0.1
RECORDED = 2048

Hits = npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("run", type=Path, help="folder of the trainings")
    parser.add_argument("--name", required=True, help="of the stored results")
    parser.add_argument("--bundle", help="what own begins with (default: the first that ships)")
    parser.add_argument("--plain", type=int, nargs="*", default=[], help="sides of the plain fine-tunings")
    parser.add_argument("--scratch", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data, _, _ = Source(options.photos).load(0, "photo")
    wanted = [] if options.bundle is None else [f"--from={options.bundle}"]
    seconds = trained(options, "own", wanted)
    own = judged(options.run / "own", data)
    figures: dict[str, Any] = {
        "training_photos": len(data.train),
        "test_photos": len(data.test),
        "classes": len(data.classes),
        "superclasses": len(data.superclasses),
        "columns": "mean, low and high end of the 95% interval, in per cent",
        "threads": options.threads,
        "own": {"seconds": round(seconds, 1), **{level: shown(hits) for level, hits in own.items()}},
        "slope": {kind: percent(own["largest"][kind] - own["smallest"][kind]) for kind in own["largest"]},
    }
    for side in options.plain:
        hits, steps = plain(data, options.run / f"plain-{side}.npz", side, seconds)
        differences = {kind: percent(own["largest"][kind] - hits[kind]) for kind in hits}
        figures[f"plain at {side} px"] = {"steps": steps, **shown(hits), "own_minus_this": differences}
    if options.scratch:
        trained(options, "scratch", ["--from=scratch", f"--minutes={max(1, seconds / 60):.1f}"])
        figures["scratch"] = {level: shown(hits) for level, hits in judged(options.run / "scratch", data).items()}
    record(options.name, figures)


def trained(options: argparse.Namespace, name: str, more: list[str]) -> float:
    """Train as a user does; the seconds that it took, in all its runs."""
    folder, clock = options.run / name, options.run / f"{name}.json"
    spent: float = json.loads(clock.read_text()) if clock.exists() else 0.0
    if not (folder / OF_A_TRAINING).exists() or not spent:
        options.run.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "eas_sdk.cli", "train", "--data", options.photos, "--out", folder]
        started = time.monotonic()
        done = subprocess.run([*command, f"--threads={options.threads}", *more], check=False)
        spent += time.monotonic() - started
        clock.write_text(json.dumps(spent))
        if done.returncode:
            sys.exit(f"{name} was not finished; the same command goes on with it")
    return spent


def judged(folder: Path, data: Splits[Images]) -> dict[str, dict[str, Hits]]:
    """Level -> which test photos are right: among all classes, by the network for all; within the superclass, by the
    networks for each."""
    runtime = eas_sdk.load(folder)
    net, statistics = to_supernet(runtime.bundle)
    place = [data.classes.index(label) for label in runtime.bundle.labels]
    owner = superclass_of_class(data.superclasses)
    made = {}
    for level, part in LEVELS.items():
        hits = {}
        for kind, tasks in (("top1", ["all"]), ("within", runtime.tasks)):
            right = np.zeros(len(data.test))
            for task in tasks:
                rows = range(len(data.test)) if task == "all" else np.flatnonzero(shows(data, task))
                low, high = runtime.budget_range(task)
                architecture = runtime.specialize(task, round(low + part * (high - low))).architecture
                images = data.test.take(np.asarray(rows))
                logits = answers(net, architecture, images, statistics.norm(architecture))
                ordered = logits.new_empty(logits.shape)
                ordered[:, place] = logits
                if task != "all":
                    ordered[:, owner != names(data).index(task)] = -torch.inf
                right[rows] = (ordered.argmax(1).numpy() == images.targets).astype(np.float64)
            hits[kind] = right
        made[level] = hits
    return made


def names(data: Splits[Images]) -> list[str]:
    return [superclass.name for superclass in data.superclasses]


def shows(data: Splits[Images], task: str) -> npt.NDArray[np.bool_]:
    """Which test photos are of a superclass, [N]."""
    found: npt.NDArray[np.bool_] = superclass_of_class(data.superclasses)[data.test.targets] == names(data).index(task)
    return found


@torch.no_grad()
def answers(net: nn.Module, architecture: Any, images: Images, norm: Norm) -> Tensor:
    """Logits [N, C], of photos as a user's are read."""
    size = architecture.input_size
    parts = []
    for start in range(0, len(images), 100):
        seen, _ = fixed_views(images.take(np.arange(start, min(start + 100, len(images)))), 1, size, CPU)
        parts.append(net(seen.float() / 255, architecture, norm))
    return torch.cat(parts)


def plain(data: Splits[Images], path: Path, side: int, seconds: float) -> tuple[dict[str, Hits], int]:
    """Fine-tune the published network for so many seconds: which test photos are right, and its steps."""
    if path.exists():
        kept = np.load(path)
        return {kind: kept[kind] for kind in ("top1", "within")}, int(kept["steps"])
    torch.manual_seed(0)
    net = load_pretrained("lite0").net.train().to(memory_format=torch.channels_last)
    architecture = dataclasses.replace(net.space.largest, input_size=side)
    head = nn.Linear(1280, len(data.classes))
    weights = [*(p for p in net.parameters() if p.requires_grad), *head.parameters()]
    optimizer = torch.optim.AdamW(weights, RATE, weight_decay=WEIGHT_DECAY)
    order = order_of(data.train, 0)

    def asked() -> Iterator[Asked]:
        return (Asked(order.batch(step, BATCH), step, side) for step in itertools.count())

    started, step = time.monotonic(), 0
    with closing(feed(data.train, asked(), AUGMENTATION, CPU)) as batches, progress("plain", round(seconds)) as update:
        for batch in batches:
            done = (time.monotonic() - started) / seconds
            if done >= 1:
                break
            for group in optimizer.param_groups:
                group["lr"] = RATE * min(1.0, (step + 1) / 20) * 0.5 * (1 + math.cos(math.pi * done))
            _, features = net.answer(batch.images, architecture)
            loss = F.cross_entropy(head(features), batch.targets, label_smoothing=SMOOTHING)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            update(round(done * seconds), f"{side} px loss {loss.item():.3f}")
    norm = recalibrated(net, architecture, random_images(data.train, RECORDED, side, AUGMENTATION, CPU, 0))
    owner = superclass_of_class(data.superclasses)
    with torch.no_grad():
        parts = []
        for start in range(0, len(data.test), 100):
            index = np.arange(start, min(start + 100, len(data.test)))
            seen, _ = fixed_views(data.test.take(index), 1, side, CPU)
            parts.append(head(net.answer(seen.float() / 255, architecture, norm)[1]))
    logits = torch.cat(parts).numpy()
    targets = data.test.targets
    known = owner[None] == owner[targets][:, None]
    hits = {
        "top1": (logits.argmax(1) == targets).astype(np.float64),
        "within": (np.where(known, logits, -np.inf).argmax(1) == targets).astype(np.float64),
    }
    np.savez(path, steps=step, allow_pickle=False, **hits)
    return hits, step


def shown(hits: dict[str, Hits]) -> dict[str, list[float]]:
    return {kind: percent(values) for kind, values in hits.items()}


def percent(values: Hits) -> list[float]:
    """Mean and its 95% interval over photos, in per cent."""
    return [round(100 * value, 2) for value in interval(values)]


if __name__ == "__main__":
    main()
