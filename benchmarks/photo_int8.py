"""int8 files of the photo bank's networks against the float32 networks that they are made from.

    python -m benchmarks.photo_int8 PHOTOS [MORE ...]       # PHOTOS: a folder with labels.csv

At three budgets the network of the task "all" is exported to .tflite as float32 and as int8, calibrated on the images
that the bundle carries, and both files are run: top-1 on the test photos with the paired difference, and how often the
int8 file gives the float32 file's answer, by superclass; photos of the folders MORE, without labels, count for the
superclass that the float32 network takes them for. 95% bootstraps over photos.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import eas_sdk
from benchmarks.photo_test import TestPhotos, percent, read_squares, read_test_photos
from benchmarks.record import record
from eas_exporters.tflite.interpreter import Interpreter
from eas_sdk.image_file import image_files
from eas_sdk.images import as_float_batch
from eas_sdk.model import Model
from eas_train.progress import progress

BUDGETS = (72e6, 130e6, 1e9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("more", type=Path, nargs="*", help="folders of further photos, for the agreement")
    parser.add_argument("--count", type=int, default=2000, help="of the further photos, evenly chosen")
    parser.add_argument("--bundle", help="a bundle file (default: the embedded one)")
    options = parser.parse_args()
    runtime = eas_sdk.load(options.bundle)
    photos = read_test_photos(options.photos, runtime)
    files = [path for folder in options.more for path in image_files(folder)]
    more = read_squares(files[:: max(1, len(files) // options.count)][: options.count]) if files else None
    rows = [row(runtime.specialize("all", int(budget)), int(budget), photos, more, runtime.tasks) for budget in BUDGETS]
    record(
        "photo_int8",
        {
            "photos": len(photos),
            "further_photos": 0 if more is None else len(more),
            "columns": "mean, low and high end of the 95% interval, in per cent",
            "rows": rows,
        },
    )


def row(
    model: Model, budget: int, photos: TestPhotos, more: npt.NDArray[np.uint8] | None, tasks: tuple[str, ...]
) -> dict[str, Any]:
    """One budget."""
    pixels = photos.pixels if more is None else np.concatenate([photos.pixels, more])
    answers = {}
    with tempfile.TemporaryDirectory() as folder:
        for precision in ("float32", "int8"):
            path = Path(folder) / f"{precision}.tflite"
            model.export(path, precision=precision, input="float32", output="logits")
            answers[precision] = logits_of_file(path, pixels, model.input_size, f"{model.input_size} px {precision}")
    tested = {precision: photos.top1(logits[: len(photos)]) for precision, logits in answers.items()}
    float32, int8 = (answers[precision].argmax(1) for precision in ("float32", "int8"))
    same = (float32 == int8).astype(np.float64)
    shown = np.concatenate([photos.superclass, photos.owner[float32[len(photos) :]]])
    return {
        "budget": budget,
        "input_px": model.input_size,
        **{precision: percent(hits) for precision, hits in tested.items()},
        "float32_minus_int8": percent(tested["float32"] - tested["int8"]),
        "agreement": percent(same),
        "agreement_by_superclass": {
            task: [round(100 * float(same[shown == t].mean()), 1), int((shown == t).sum())]
            for t, task in enumerate(tasks)
            if (shown == t).any()
        },
    }


def logits_of_file(path: Path, pixels: npt.NDArray[np.uint8], side: int, title: str) -> npt.NDArray[np.float32]:
    """[N, labels]."""
    interpreter, made = Interpreter(path), []
    with progress(title, len(pixels)) as update:
        for i, image in enumerate(pixels):
            made.append(interpreter.run(as_float_batch([image], side)))
            update(i + 1, "")
    return np.concatenate(made)


if __name__ == "__main__":
    main()
