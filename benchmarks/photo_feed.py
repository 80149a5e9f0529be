"""Photos from disk: images a second of the data path against the training step's, and a training's memory.

    python -m benchmarks.photo_feed PHOTOS

PHOTOS is a folder with JPEG photos at any depth. The folder that is trained on has 100,000 files: copies, by hard
links, of up to 500 of those photos, each brought to 500 x 375 as ImageNet's are on average. The data path alone runs
with as many workers as there are cores; the step is that of the sandwich rule. Memory is the proportional set size of
the training process and its workers, at equal times, for 1,000 and for 100,000 files.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.record import record
from eas_train.data.feed import Asked, feed
from eas_train.data.imageset import Superclass
from eas_train.data.order import Epochs
from eas_train.data.photo_augment import PhotoAugmentation
from eas_train.data.photoset import PhotoFiles, PhotoSet
from eas_train.progress import progress
from eas_train.supernet.recipe import Phase, SupernetRecipe
from eas_train.supernet.train import train_supernet

CPU = torch.device("cpu")
FILES = (1_000, 100_000)
DISTINCT = 500
SIZE = (500, 375)
CLASSES = 100
CASES = {"small": 64, "paper": 224}
AUGMENTATION = {
    "crop and flip": PhotoAugmentation(),
    "all of it": PhotoAugmentation(policy="trivial", p_erase=0.25, mixup=0.2, cutmix=1.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--batches", type=int, default=24, help="of the data path, of which a sixth warm it up")
    parser.add_argument("--steps", type=int, default=6, help="of the training, after a first one")
    parser.add_argument("--batch-size", type=int, default=64)
    options = parser.parse_args()
    figures: dict[str, Any] = {"threads": torch.get_num_threads(), "batch_size": options.batch_size}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_files(options.photos, root / "photos", max(FILES))
        for preset, side in CASES.items():
            data = photo_set(root / "photos", max(FILES))
            step = training_rate(preset, data, root, options)
            paths = {
                name: data_rate(data, settings, side, options, os.cpu_count() or 1)
                for name, settings in AUGMENTATION.items()
            }
            figures[preset] = {
                "input_px": side,
                "step_images_per_s": round(step, 1),
                "data_images_per_s": {name: round(rate, 1) for name, rate in paths.items()},
                "data_over_step": {name: round(rate / step, 2) for name, rate in paths.items()},
            }
        figures["memory_mib"] = {str(count): memory(root, count, options) for count in FILES}
    record("photo_feed", figures)


def write_files(photos: Path, folder: Path, count: int) -> None:
    """`count` JPEG files in class folders, of which every `DISTINCT`-th is the same."""
    originals = sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    originals = originals[:: max(1, len(originals) // DISTINCT)][:DISTINCT]
    (folder / "originals").mkdir(parents=True)
    for i, path in enumerate(originals):
        Image.open(path).convert("RGB").resize(SIZE, Image.Resampling.BICUBIC).save(
            folder / "originals" / f"{i}.jpg", quality=90
        )
    with progress("files", count) as update:
        for i in range(count):
            place = folder / f"n{i % CLASSES:08}"
            if i < CLASSES:
                place.mkdir()
            os.link(folder / "originals" / f"{i % len(originals)}.jpg", place / f"{i:07}.JPEG")
            update(i + 1, "")


def photo_set(folder: Path, count: int) -> PhotoSet:
    names = np.array([f"n{i % CLASSES:08}/{i:07}.JPEG".encode() for i in range(count)])
    superclass = Superclass("all", tuple(f"n{c:08}" for c in range(CLASSES)))
    return PhotoSet(PhotoFiles(folder, names), np.arange(count) % CLASSES, (superclass,))


def recipe(preset: str, steps: int, batch_size: int) -> SupernetRecipe:
    phase = Phase(name="sandwich", steps=steps, learning_rate=0.01, networks=4, sandwich=True, distillation=1.0)
    return SupernetRecipe(
        preset=preset,
        batch_size=batch_size,
        augmentation=AUGMENTATION["all of it"],
        checkpoint_every_s=1e9,
        phases=(phase,),
    )


def training_rate(preset: str, data: PhotoSet, root: Path, options: argparse.Namespace) -> float:
    """Images a second of a whole training, its data path included: by what further steps take."""
    took = []
    for steps in (1, 1 + options.steps):
        began = time.perf_counter()
        train_supernet(recipe(preset, steps, options.batch_size), data, root / f"{preset}-{steps}", CPU)
        took.append(time.perf_counter() - began)
    return float(options.batch_size * options.steps / (took[1] - took[0]))


def data_rate(
    data: PhotoSet, settings: PhotoAugmentation, side: int, options: argparse.Namespace, workers: int
) -> float:
    """Images a second of the data path alone."""
    epochs, warm = Epochs(len(data), 0), options.batches // 6
    asked = (Asked(epochs.batch(step, options.batch_size), step, side) for step in itertools.count())
    began = 0.0
    for done, _ in enumerate(feed(data, itertools.islice(asked, options.batches), settings, CPU, workers=workers), 1):
        if done == warm:
            began = time.perf_counter()
    return float(options.batch_size * (options.batches - warm) / (time.perf_counter() - began))


def memory(root: Path, count: int, options: argparse.Namespace) -> list[int]:
    """MiB of a training process with its workers, at five equal times."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_train, args=(root, count, options.batch_size))
    process.start()
    assert process.pid is not None
    seen: list[int] = []
    while process.is_alive():
        seen.append(sum(proportional_bytes(pid) for pid in family(process.pid)) // 2**20)
        time.sleep(0.5)
    process.join()
    return [seen[round(i * (len(seen) - 2) / 5)] for i in range(1, 6)]


def _train(root: Path, count: int, batch_size: int) -> None:
    data = photo_set(root / "photos", count)
    train_supernet(recipe("small", 60, batch_size), data, root / f"memory-{count}", CPU)


def family(pid: int) -> list[int]:
    """A process and those that it started."""
    found = [pid]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            if parent == pid:
                found += family(int(entry.name))
    return found


def proportional_bytes(pid: int) -> int:
    """Resident bytes, of what is shared with others its part."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    main()
