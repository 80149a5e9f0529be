"""Is the capacity of a supernet trained? Its members against the same networks trained alone, on Tiny ImageNet.

    python -m benchmarks.capacity tiny-imagenet-200 runs/capacity

The smallest, the middle and the largest network of the recipe's space, each trained alone for as many epochs as the
recipe's teacher; then the recipe's supernet. All are judged on the official validation photos, which nothing else sees,
recalibrated on training photos. The largest alone is the recipe's teacher, and the supernet goes on from it. Every
training goes on where it was stopped.

`--only NAME` (alone-smallest, alone-middle, alone-largest, supernet) trains one of them, so that several processes may
share the work; without it whatever is missing is trained, and the figures are stored.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import record
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.protocol import Space
from eas_sdk.space.tables import madds_table
from eas_train.data.feed import random_images
from eas_train.data.fixed_views import fixed_views
from eas_train.data.imageset import superclass_of_class
from eas_train.data.source import Source
from eas_train.data.splits import Images, Splits
from eas_train.diagnosis.measure import TRAINING_IMAGES, diagnose, difference
from eas_train.diagnosis.members import ends_and_middle
from eas_train.recipe import Recipe
from eas_train.strategy.uniform import Uniform
from eas_train.supernet.evaluate import logits_of, recalibrated, within_superclass
from eas_train.supernet.identity import CHECKPOINT
from eas_train.supernet.model import Supernet
from eas_train.supernet.recipe import SupernetRecipe
from eas_train.supernet.score import Score
from eas_train.supernet.train import load_supernet, train_over, train_supernet

CPU = torch.device("cpu")
MEMBERS = ("smallest", "middle", "largest")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="tiny-imagenet-200")
    parser.add_argument("folder", type=Path, help="of the trainings")
    parser.add_argument("--recipe", default="tiny-imagenet")
    parser.add_argument("--only", choices=[*(f"alone-{name}" for name in MEMBERS), "supernet"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--name", default="capacity", help="of the result")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = Recipe.read(options.recipe).supernet
    splits, _, _ = Source(options.photos, classes="photos").load(0, "photo")
    if options.only:
        train(options.only, recipe, splits, options.folder)
        return
    for name in [*(f"alone-{member}" for member in MEMBERS), "supernet"]:
        train(name, recipe, splits, options.folder)
    record(options.name, figures(recipe, splits, options.folder))


class Only(Uniform):
    """Trains one architecture."""

    def __init__(self, net: Supernet, architecture: Architecture) -> None:
        super().__init__(net)
        self.architecture = architecture

    def draw(self, *_: object) -> Architecture:
        return self.architecture


def members(recipe: SupernetRecipe) -> dict[str, Architecture]:
    space = recipe.search_space()
    assert isinstance(space, ElasticSpace)
    return ends_and_middle(space)


def alone(recipe: SupernetRecipe, name: str, data: Images) -> tuple[Space, SupernetRecipe, Architecture, str]:
    """Space, recipe, network and fingerprint of a network that is trained alone, as the recipe trains its teacher."""
    architecture = members(recipe)[name]
    first = recipe.teacher()
    assert first is not None
    if name == "largest":
        return recipe.search_space(), first, architecture, first.fingerprint(data, grouped=False)
    phases = tuple(phase.model_copy(update={"largest_only": False}) for phase in first.phases)
    own = first.model_copy(update={"phases": phases})
    text = json.dumps([own.fingerprint(data, grouped=False), str(architecture)])
    space = recipe.search_space().narrowed([architecture])
    return space, own, architecture, hashlib.sha256(text.encode()).hexdigest()


def train(name: str, recipe: SupernetRecipe, splits: Splits[Images], folder: Path) -> None:
    """Train, or go on training; nothing where it is finished."""
    if name == "supernet":
        train_supernet(recipe, splits.train, folder / name, CPU, teacher=folder / "alone-largest")
        return
    space, own, architecture, fingerprint = alone(recipe, name.removeprefix("alone-"), splits.train)
    train_over(space, own, splits.train, folder / name, CPU, lambda net: Only(net, architecture), fingerprint)


def figures(recipe: SupernetRecipe, splits: Splits[Images], folder: Path) -> dict[str, Any]:
    """Accuracies on the test photos, slopes and their ratio, and what each choice is worth."""
    net = load_supernet(recipe, splits.train, folder / "supernet", CPU)
    began = load_supernet(recipe, splits.train, folder / "supernet", CPU, as_it_began=True)
    found = diagnose(net, began, splits.train, splits.test, recipe.augmentation, most_images=len(splits.test))
    scores = {name: judged_alone(recipe, name, splits, folder) for name in MEMBERS}
    made: dict[str, Any] = {
        "test_photos": len(splits.test),
        "epochs": {
            phase.name: round(phase.steps * recipe.batch_size / len(splits.train), 2) for phase in recipe.phases
        },
        "alone": {name: score.to_json() for name, score in scores.items()},
        "supernet": found.to_json(),
        "seconds": {name: round(_seconds(folder / name)) for name in (*(f"alone-{m}" for m in MEMBERS), "supernet")},
    }
    for kind in ("top1", "within"):
        ends = {
            way: [getattr(by_name[name], kind) for name in ("largest", "smallest")]
            for way, by_name in (("alone", scores), ("supernet", found.members))
        }
        slopes = {way: difference(*pair) for way, pair in ends.items()}
        drawn = _ratios(*(largest * 1.0 - smallest for largest, smallest in ends.values()))
        made[f"slope_{kind}"] = {name: [round(v, 4) for v in slope] for name, slope in slopes.items()} | {
            "supernet_over_alone": [round(slopes["supernet"][0] / slopes["alone"][0], 3), *drawn],
            "largest_minus_largest_alone": [round(v, 4) for v in difference(ends["supernet"][0], ends["alone"][0])],
        }
    return made


def judged_alone(recipe: SupernetRecipe, name: str, splits: Splits[Images], folder: Path) -> Score:
    """A network that was trained alone, on the test photos."""
    space, own, architecture, fingerprint = alone(recipe, name, splits.train)
    net, _ = train_over(
        space, own, splits.train, folder / f"alone-{name}", CPU, lambda net: Only(net, architecture), fingerprint
    )
    net.eval()
    size = space.input_sizes[-1]
    images, targets = fixed_views(splits.test, 1, size, CPU)
    calibration = random_images(splits.train, TRAINING_IMAGES, size, recipe.augmentation, CPU, 0)
    logits = logits_of(net, architecture, images, recalibrated(net, architecture, calibration))
    owner = torch.from_numpy(superclass_of_class(splits.superclasses))
    madds = int(madds_table(space).total(space, space.encode([architecture]), net.classes)[0])
    within = within_superclass(logits, targets, owner)
    return Score(architecture, madds, (logits.argmax(1) == targets).numpy(), within.numpy())


def _ratios(alone_slope: Any, supernet_slope: Any, draws: int = 4000) -> list[float]:
    """95% interval of the ratio of two mean slopes over the same photos, by the bootstrap."""
    rng, count = np.random.default_rng(0), len(alone_slope)
    index = rng.integers(count, size=(draws, count), dtype=np.int32)
    ratios = supernet_slope[index].mean(1) / alone_slope[index].mean(1)
    return [round(float(v), 3) for v in np.percentile(ratios, [2.5, 97.5])]


def _seconds(folder: Path) -> float:
    state = torch.load(folder / CHECKPOINT, map_location="cpu", weights_only=True)
    return float(state["seconds"])


if __name__ == "__main__":
    main()
