"""A folder of images to CSV on standard output: file, label, probability, error.

python examples/classify_folder.py FOLDER [BUNDLE] --task birds --budget 40M > labels.csv

Needs Pillow. Images are prepared as for `eas predict`: upright, central square, on white.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from pathlib import Path

import eas_sdk
from eas_sdk.image_file import image_files


def main() -> None:
    parser = argparse.ArgumentParser(description="Classify the images of a folder; CSV on standard output.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("bundle", nargs="?", help="a bundle file (default: the shipped one)")
    parser.add_argument("--task", help="default: the bundle's first")
    parser.add_argument("--budget", help="most multiply-adds of one image, such as 40M (default: no limit)")
    options = parser.parse_args()
    try:
        files = image_files(options.folder)
        runtime = eas_sdk.load(options.bundle)
        task = options.task or runtime.tasks[0]
        model = runtime.specialize(task, options.budget or runtime.budget_range(task)[1])
    except (eas_sdk.EasError, OSError) as error:
        parser.error(str(error))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the encoding lacks is shown escaped
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["file", "label", "probability", "error"])
    for file in files:
        try:
            best = model.predict(file)[0]
        except eas_sdk.ImageError as error:  # the others go on
            table.writerow([file.relative_to(options.folder), "", "", error])
        else:
            table.writerow([file.relative_to(options.folder), best.label, f"{best.probability:.4f}", ""])


if __name__ == "__main__":
    main()
