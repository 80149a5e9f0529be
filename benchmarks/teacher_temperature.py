"""What the logits of EfficientNet-Lite0 are divided by to be probabilities: the least cross-entropy on photos that it
has not seen, with labels of people.

    python -m benchmarks.teacher_temperature PHOTOS       # folders by WordNet id, of ImageNet's validation set

`bundle.teacher_temperature` of the recipe `photos` is this figure; the temperatures of its networks follow from it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.photo_test import BATCH, read_squares
from benchmarks.record import record
from eas_sdk.image_file import image_files
from eas_sdk.images import as_float_batch
from eas_train.data.class_lists import read_list
from eas_train.pretrained.importer import load_pretrained
from eas_train.pretrained.labels import LIST
from eas_train.temperature import best_temperature


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    options = parser.parse_args()
    listed = read_list(LIST)
    names = [name for superclass in listed.superclasses for name in superclass.class_names]
    label_of_id = {each.id: names.index(each.name) for each in listed.classes}
    files = image_files(options.photos)
    targets = torch.tensor([label_of_id[path.parent.name] for path in files])
    pixels = read_squares(files)
    teacher = load_pretrained("lite0", classes=names).teacher()
    parts = [as_float_batch(pixels[i : i + BATCH], 224) for i in range(0, len(pixels), BATCH)]
    logits = torch.cat([teacher(torch.from_numpy(part).permute(0, 3, 1, 2)) for part in parts])
    rng = torch.Generator().manual_seed(0)
    drawn = [torch.randint(len(targets), (len(targets),), generator=rng) for _ in range(200)]
    spread = np.percentile([best_temperature(logits[index], targets[index]) for index in drawn], [2.5, 97.5])
    temperature = best_temperature(logits, targets)
    record(
        "teacher_temperature",
        {
            "photos": len(targets),
            "classes": len(set(targets.tolist())),
            "top1": round(float((logits.argmax(1) == targets).float().mean()), 4),
            "temperature": round(temperature, 3),
            "interval": [round(float(v), 3) for v in spread],
            "mean_probability": {
                name: round(float((logits / t).softmax(1).amax(1).mean()), 4)
                for name, t in (("as published", 1.0), ("divided", temperature))
            },
            "cross_entropy": {
                name: round(float(F.cross_entropy(logits / t, targets)), 4)
                for name, t in (("as published", 1.0), ("divided", temperature))
            },
        },
    )


if __name__ == "__main__":
    main()
