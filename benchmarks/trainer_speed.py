"""Images a second of a whole training, before photos stayed files and now: data path, sandwich step, optimiser.

    git worktree add ../before fc8a40e~1
    python -m benchmarks.trainer_speed ../before tiny-imagenet-200

The same photos, 64 px, the space `small`, four networks a step, one thread. Before, they are an array of RGBA squares
with the augmentation of drawings, all that there was; now the JPEG files with that of photos, and for comparison the
same array with the augmentation of drawings. By what further steps take; the least of several.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.record import record

CHILD = """
import sys, tempfile, time
from pathlib import Path
import numpy as np, torch
torch.set_num_threads(1)
from eas_train.data.imageset import ImageSet, Superclass
try:
    from eas_train.supernet.recipe import Phase, SupernetRecipe
except ImportError:
    from eas_train.recipe import Phase, SupernetRecipe
from eas_train.supernet.train import train_supernet
kind, photos, rounds, steps, batch = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:])
files = sorted((photos / "train").rglob("*.JPEG"))[::2]
names = tuple(sorted({path.parents[1].name for path in files}))
targets = np.array([names.index(path.parents[1].name) for path in files])
superclasses, extra = (Superclass("all", names),), {}
if kind == "photos":
    from eas_train.data.photo_augment import PhotoAugmentation
    from eas_train.data.photoset import PhotoFiles, PhotoSet
    where = np.array([str(path.relative_to(photos)).encode() for path in files])
    data, extra = PhotoSet(PhotoFiles(photos, where), targets, superclasses), {"augmentation": PhotoAugmentation()}
else:
    from PIL import Image
    images = np.stack([np.asarray(Image.open(path).convert("RGBA")) for path in files])
    data = ImageSet(images, targets, names, superclasses, ("a",) * len(files), tuple(map(str, range(len(files)))))
def seconds(count):
    phase = Phase(name="s", steps=count, learning_rate=0.01, networks=4, sandwich=True, distillation=1.0)
    recipe = SupernetRecipe(batch_size=batch, phases=(phase,), checkpoint_every_s=1e9, **extra)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        train_supernet(recipe, data, Path(folder), torch.device("cpu"))
        return time.perf_counter() - began
least = min(seconds(1 + steps) for _ in range(rounds)) - min(seconds(1) for _ in range(rounds))
print(batch * steps / least)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="a checkout of before")
    parser.add_argument("photos", type=Path, help="tiny-imagenet-200")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=64)
    options = parser.parse_args()
    here = Path(__file__).parent.parent
    cases = {"before": (options.before, "array"), "now, array": (here, "array"), "now, files": (here, "photos")}
    rates = {name: images_per_s(tree, kind, options) for name, (tree, kind) in cases.items()}
    figures: dict[str, Any] = {"images_per_s": {name: round(rate, 1) for name, rate in rates.items()}}
    figures["now_over_before"] = round(rates["now, files"] / rates["before"], 2)
    record("trainer_speed", figures | {"steps": options.steps, "batch_size": options.batch_size})


def images_per_s(tree: Path, kind: str, options: argparse.Namespace) -> float:
    """Of one checkout, in a process of its own."""
    arguments = [kind, str(options.photos.resolve()), options.rounds, options.steps, options.batch_size]
    command = [sys.executable, "-c", CHILD, *map(str, arguments)]
    done = subprocess.run(command, cwd=tree, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    main()
