"""Networks that the photo bank's generator picks against random ones of the same cost and input size, by the numpy
engine.

    python -m benchmarks.photo_random PHOTOS --choose FOLDER     # PHOTOS: a folder with labels.csv

At five budgets that lie between input sizes, so that there is a choice of blocks: the generated network for all
classes; the mean of random members of its input size whose multiply-adds lie within 2% below its own; and the best of
them, as someone would choose it who tries them all: by how often they answer as the published network does on the
photos of FOLDER, which are none of the test. Intervals are 95% bootstraps over photos, paired.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

import eas_sdk
from benchmarks.bootstrap import interval
from benchmarks.photo_budgets import untrained_bundle
from benchmarks.photo_test import BATCH, logits_of, percent, read_squares, read_test_photos, right
from benchmarks.record import record
from eas_sdk.bank.slicing import cut
from eas_sdk.engine.registry import load_engine
from eas_sdk.image_file import image_files
from eas_sdk.images import as_float_batch
from eas_sdk.runtime import Runtime
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.tables import madds_table
from eas_train.pretrained.labels import imagenet_rows
from eas_train.progress import progress

BUDGETS = (45e6, 85e6, 115e6, 165e6, 240e6)
NEAR = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--choose", type=Path, required=True, help="folder of photos that choose the best random one")
    parser.add_argument("--chosen-by", type=int, default=300, help="how many of them")
    parser.add_argument("--random", type=int, default=50, help="random networks for each budget")
    parser.add_argument("--bundle", help="a bundle file (default: the embedded one)")
    options = parser.parse_args()
    runtime = eas_sdk.load(options.bundle)
    photos = read_test_photos(options.photos, runtime)
    pixels, targets = choosers(options.choose, options.chosen_by, runtime)
    rng = np.random.default_rng(0)
    rows, differences = [], []
    with progress("networks", len(BUDGETS) * (1 + options.random)) as update:
        for b, budget in enumerate(BUDGETS):
            model = runtime.specialize("all", int(budget))
            ours = photos.top1(logits_of(model, photos.pixels))
            found = random_members(runtime, model.architecture, model.madds, options.random, rng)
            hits, chosen = [], []
            for i, architecture in enumerate(found):
                other = runtime.build("all", architecture)
                hits.append(photos.top1(logits_of(other, photos.pixels)))
                chosen.append(float(right(logits_of(other, pixels), targets).mean()))
                update(b * (1 + options.random) + i + 2, "")
            best = int(np.argmax(chosen))
            rows.append(
                {
                    "budget": int(budget),
                    "madds": model.madds,
                    "input_px": model.input_size,
                    "random_networks": len(found),
                    "generated": percent(ours),
                    "random": percent(np.mean(hits, 0)),
                    "best_random": percent(hits[best]),
                    "generated_minus_random": percent(ours - np.mean(hits, 0)),
                    "generated_minus_best": percent(ours - hits[best]),
                    "ours_by_the_choosers": round(100 * float(right(logits_of(model, pixels), targets).mean()), 2),
                    "best_by_the_choosers": round(100 * chosen[best], 2),
                }
            )
            differences.append(ours - np.mean(hits, 0))
    record(
        "photo_random",
        {
            "photos": len(photos),
            "choosers": len(targets),
            "columns": "mean, low and high end of the 95% interval, in per cent",
            "mean_generated_minus_random": [round(100 * v, 2) for v in interval(np.mean(differences, 0))],
            "rows": rows,
        },
    )


def choosers(folder: Path, count: int, runtime: Runtime) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Photos, and what the published network says of them at 224 px."""
    files = image_files(folder)
    pixels = read_squares(files[:: max(1, len(files) // count)][:count])
    source = untrained_bundle(224)
    program = load_engine("numpy").compile(cut(source, source.space.largest, range(len(source.labels))))
    parts = [program.run(as_float_batch(pixels[i : i + BATCH], 224)) for i in range(0, len(pixels), BATCH)]
    return pixels, np.concatenate(parts)[:, imagenet_rows(runtime.bundle.labels)].argmax(1)


def random_members(
    runtime: Runtime, like: Architecture, madds: int, count: int, rng: np.random.Generator
) -> list[Architecture]:
    """Different random members of the same input size, none of them `like`, whose multiply-adds lie within 2% below."""
    space, classes = runtime.bundle.space, len(runtime.bundle.labels)
    uniform = [rng.random((100_000, 1)), rng.random((100_000, space.random_numbers - 1))]
    choices = np.unique(space.members(np.concatenate(uniform, 1)), axis=0)
    total = madds_table(space).total(space, choices, classes)
    near = [space.decode(c) for c in rng.permutation(choices[(total <= madds) & (total >= (1 - NEAR) * madds)])]
    return [each for each in near if each.input_size == like.input_size and each != like][:count]


if __name__ == "__main__":
    main()
