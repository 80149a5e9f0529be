"""The photo bank's router: the superclass from one photo, and photos of nothing that it knows.

    python -m benchmarks.photo_router PHOTOS --none FOLDER     # PHOTOS: a folder with labels.csv

- known: the superclass of the test photos.
- none: photos of FOLDER, textures and skies that the training has not seen. `auc` is the area under the rejection
  curve: how often a test photo's superclass is more probable to the router than that of a photo of nothing.
- all_classes: for comparison, the network of the middle budget over all classes, its probabilities summed by
  superclass.

Intervals are 95% bootstraps over photos.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import eas_sdk
from benchmarks.photo_test import BATCH, logits_of, percent, read_squares, read_test_photos
from benchmarks.record import record
from eas_sdk.image_file import image_files
from eas_sdk.router.network import log_softmax

MIDDLE = 0.5
"""The budget that the router's multiply-adds are compared with, as a part of the way from the smallest to the largest
network."""

Probabilities = npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--none", type=Path, required=True, help="folder of photos that show none of the superclasses")
    parser.add_argument("--bundle", help="a bundle file (default: the embedded one)")
    options = parser.parse_args()
    runtime = eas_sdk.load(options.bundle)
    photos = read_test_photos(options.photos, runtime)
    none = read_squares(image_files(options.none))
    router, count = runtime.checked_router(), len(runtime.tasks)
    compiled = router.compile()
    low, high = runtime.budget_range("all")
    middle = low + MIDDLE * (high - low)
    model = runtime.specialize("all", int(middle))
    starts = np.flatnonzero(np.diff(photos.owner, prepend=-1))

    def routed(pixels: npt.NDArray[np.uint8]) -> Probabilities:
        parts = [compiled.log_probabilities(pixels[i : i + BATCH]) for i in range(0, len(pixels), BATCH)]
        return np.exp(np.concatenate(parts))[:, :count]

    def summed(pixels: npt.NDArray[np.uint8]) -> Probabilities:
        logs = log_softmax(logits_of(model, pixels).astype(np.float64))
        return np.exp(np.logaddexp.reduceat(logs, starts, axis=1))

    def measured(known: Probabilities, strange: Probabilities) -> dict[str, Any]:
        hits: npt.NDArray[np.bool_] = known.argmax(1) == photos.superclass
        sure, unsure = known.max(1), strange.max(1)
        return {
            "top1": percent(hits.astype(np.float64)),
            "top1_by_superclass": {
                task: [round(100 * float(hits[photos.superclass == t].mean()), 1), int((photos.superclass == t).sum())]
                for t, task in enumerate(runtime.tasks)
                if (photos.superclass == t).any()
            },
            "auc": round(float((sure[:, None] > unsure[None]).mean()), 4),
            "accepted": percent((sure >= router.threshold).astype(np.float64)),
            "none_rejected": percent((unsure < router.threshold).astype(np.float64)),
        }

    record(
        "photo_router",
        {
            "photos": len(photos),
            "photos_of_none": len(none),
            "columns": "mean, low and high end of the 95% interval, in per cent",
            "madds": router.cost.madds,
            "of_the_middle_budget": round(router.cost.madds / middle, 3),
            "threshold": round(router.threshold, 3),
            "router": measured(routed(photos.pixels), routed(none)),
            "all_classes": {"madds": model.madds} | measured(summed(photos.pixels), summed(none)),
        },
    )


if __name__ == "__main__":
    main()
