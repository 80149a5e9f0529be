"""Batch-norm statistics that the photo bank's slices have on the device, against full recalibration.

    python -m benchmarks.photo_statistics PHOTOS --recalibrate FOLDER     # PHOTOS: a folder with labels.csv

For every budget, the network of the task "all" is run with the statistics of the bundle, as the device has them, and
with its own over photos of FOLDER as the training augments them. Points of top-1 among 1,000 classes by which the
device is below; 95% bootstraps over photos.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

import eas_sdk
from benchmarks.bootstrap import interval
from benchmarks.photo_budgets import BUDGETS
from benchmarks.photo_test import percent, read_test_photos
from benchmarks.record import record
from eas_train.bundle import to_supernet
from eas_train.data.class_lists import read_list
from eas_train.data.feed import random_images
from eas_train.data.unlabelled import unlabelled_photos
from eas_train.pretrained.labels import LIST
from eas_train.progress import progress
from eas_train.recipe import Recipe
from eas_train.supernet.evaluate import logits_of, recalibrated
from eas_train.supernet.resize import resized


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--recalibrate", type=Path, required=True, help="folder of photos, none of them of the test")
    parser.add_argument("--images", type=int, default=2048, help="how many of them")
    parser.add_argument("--bundle", help="a bundle file (default: the embedded one)")
    options = parser.parse_args()
    runtime = eas_sdk.load(options.bundle)
    photos = read_test_photos(options.photos, runtime)
    pixels = torch.from_numpy(photos.pixels).permute(0, 3, 1, 2).float() / 255
    net, bundled = to_supernet(runtime.bundle)
    drawn = unlabelled_photos(options.recalibrate, read_list(LIST).superclasses)
    augmentation = Recipe.read("photos").supernet.augmentation
    rows, gaps = [], []
    with progress("budgets", len(BUDGETS)) as update:
        for i, budget in enumerate(BUDGETS):
            architecture = runtime.specialize("all", int(budget)).architecture
            size = architecture.input_size or 0
            images = random_images(drawn, options.images, size, augmentation, torch.device("cpu"), 0)
            seen = resized(pixels, size)
            hits = {
                name: photos.top1(logits_of(net, architecture, seen, norm).numpy())
                for name, norm in (
                    ("device", bundled.norm(architecture)),
                    ("recalibrated", recalibrated(net, architecture, images)),
                )
            }
            gap = hits["recalibrated"] - hits["device"]
            rows.append({"budget": int(budget), "input_px": size, **{name: percent(h) for name, h in hits.items()}})
            rows[-1]["device_below_recalibrated"] = percent(gap)
            gaps.append(gap)
            update(i + 1, "")
    record(
        "photo_statistics",
        {
            "photos": len(photos),
            "recalibration_images": options.images,
            "columns": "mean, low and high end of the 95% interval, in per cent",
            "mean_device_below_recalibrated": [round(100 * v, 2) for v in interval(np.mean(gaps, 0))],
            "largest_gap": round(100 * max(float(gap.mean()) for gap in gaps), 2),
            "rows": rows,
        },
    )


if __name__ == "__main__":
    main()
