"""What kept the capacity of the first supernets from being trained: one change at a time, same seed, same steps.

    python -m benchmarks.suspects tiny-imagenet-200 runs/suspects

Each row is the recipe `tiny-imagenet`, shortened and without its phases on small photos, with one thing as it was
before; the first is as it is now. Members
are judged on validation photos, recalibrated; beside them how much residual branches add to what passes them by, and
how far filters turned. Trainings go on where they were stopped; `--only ROW` trains one, so that several processes may
share the work.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import record
from eas_sdk.graph.nodes import Add, DepthwiseConv2d
from eas_sdk.space.architecture import Architecture
from eas_train.data.drawing_augment import DrawingAugmentation
from eas_train.data.source import Source
from eas_train.data.splits import Images, Splits
from eas_train.diagnosis.measure import diagnose
from eas_train.recipe import Recipe
from eas_train.strategy.uniform import Uniform
from eas_train.supernet.model import Supernet
from eas_train.supernet.recipe import Phase, SupernetRecipe
from eas_train.supernet.train import load_supernet, new_supernet, train_over

CPU = torch.device("cpu")
EACH = 160
"""Training photos of a class, so that drawings' augmentation has room for them in memory."""

Change = Callable[[SupernetRecipe], SupernetRecipe]
Touch = Callable[[Supernet], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="tiny-imagenet-200")
    parser.add_argument("folder", type=Path, help="of the trainings")
    parser.add_argument("--teacher-steps", type=int, default=2400)
    parser.add_argument("--supernet-steps", type=int, default=1600)
    parser.add_argument("--only", choices=list(ROWS))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = {}
    for name in [options.only] if options.only else ROWS:
        rows[name] = row(name, options)
    if not options.only:
        steps = {"teacher": options.teacher_steps, "supernet": options.supernet_steps}
        record("suspects", {"steps": steps, "photos_a_class": EACH, "rows": rows})


def row(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train one variant, or go on with it, and judge it."""
    change, touch, even = ROWS[name]
    base = Recipe.read("tiny-imagenet").supernet
    recipe = change(shortened(base, options.teacher_steps, options.supernet_steps))
    splits = photos(options.photos, recipe)
    folder = options.folder / name.replace(" ", "-")
    fingerprint = f"{recipe.fingerprint(splits.train, grouped=False)} {name}"
    torch.manual_seed(recipe.seed)
    start = new_supernet(recipe.search_space(), recipe, splits.train, CPU)
    touch(start)
    make = NoSmallest if even else Uniform
    train_over(recipe.search_space(), recipe, splits.train, folder, CPU, make, fingerprint, weights=start.state_dict())
    net, began = (
        load_supernet(recipe, splits.train, folder, CPU, fingerprint=fingerprint, as_it_began=flag)
        for flag in (False, True)
    )
    path = folder / "row.json"
    if path.exists():
        known: dict[str, Any] = json.loads(path.read_text())
        return known
    found = diagnose(net, began, splits.train, splits.validation, recipe.augmentation, most_images=10_000).to_json()
    shares = [block["residual_share"] for block in found["blocks"] if block["residual_share"] is not None]
    turned: dict[str, list[float]] = {}
    for block in found["blocks"]:
        for moved in block["moved"]:
            turned.setdefault(moved["layer"].rpartition(".")[2], []).append(moved["cosine"])
    made = {
        "members": found["members"],
        "slope": found["slope"],
        "choices": {
            kind: next(iter(by_label.values()))["most_minus_this"] for kind, by_label in found["choices"].items()
        },
        "residual_share_median": round(float(np.median(shares)), 3),
        "cosine_median": {layer: round(float(np.median(values)), 3) for layer, values in turned.items()},
        "findings": found["findings"],
    }
    path.write_text(json.dumps(made, indent=1))
    return made


def shortened(recipe: SupernetRecipe, teacher: int, supernet: int) -> SupernetRecipe:
    *_, first, last = (phase for phase in recipe.phases if phase.image_size is None)
    phases = (
        first.model_copy(update={"steps": teacher}),
        last.model_copy(update={"steps": supernet, "sort_channels": True}),
    )
    return recipe.model_copy(update={"phases": phases})


def photos(folder: Path, recipe: SupernetRecipe) -> Splits[Images]:
    """A part of the training photos of each class, and all that validate."""
    kind = recipe.augmentation.kind
    whole, _, _ = Source(folder, classes="photos").load(96 if kind == "drawing" else 0, kind)
    kept = [np.flatnonzero(whole.train.targets == target)[:EACH] for target in range(len(whole.classes))]
    return Splits(whole.train.take(np.sort(np.concatenate(kept))), whole.validation, whole.test)


class NoSmallest(Uniform):
    """The largest network in every step, and random ones instead of the smallest."""

    def __init__(self, net: Supernet) -> None:
        super().__init__(net)
        self.last = -1

    def draw(self, phase: Phase, rng: Any, step: int) -> Architecture:
        if step != self.last:
            self.last = step
            return self.net.space.largest
        return super().draw(phase, rng, step)


def same(recipe: SupernetRecipe) -> SupernetRecipe:
    return recipe


def untouched(net: Supernet) -> None:
    """Nothing is other."""


def with_fields(**fields: Any) -> Change:
    return lambda recipe: recipe.model_copy(update=fields)


def without_smallest(recipe: SupernetRecipe) -> SupernetRecipe:
    first, last = recipe.phases
    return recipe.model_copy(update={"phases": (first, last.model_copy(update={"sandwich": False}))})


def half_size(recipe: SupernetRecipe) -> SupernetRecipe:
    """The teacher's phase on images of half the side."""
    first, last = recipe.phases
    side = recipe.search_space().input_sizes[-1] // 2
    return recipe.model_copy(update={"phases": (first.model_copy(update={"image_size": side}), last)})


@torch.no_grad()
def without_channels(net: Supernet) -> None:
    """Depthwise convolutions begin as if their fan-out were of one channel."""
    for node in net.space.bank(net.classes):
        if isinstance(node, DepthwiseConv2d):
            net.tensor(f"{node.name}.weight").mul_(node.channels**0.5)


def gamma(value: float) -> Touch:
    """At the end of every residual branch."""

    @torch.no_grad()
    def touch(net: Supernet) -> None:
        for node in net.space.bank(net.classes):
            if isinstance(node, Add):
                net.tensor(f"{node.inputs[0]}.gamma").fill_(value)

    return touch


ROWS: dict[str, tuple[Change, Touch, bool]] = {
    "as it is": (same, untouched, False),
    "depthwise fan-out without channels": (same, without_channels, False),
    "gamma 0": (same, gamma(0.0), False),
    "gamma 0.5": (same, gamma(0.5), False),
    "gamma 1": (same, gamma(1.0), False),
    "weight decay 3e-5": (with_fields(weight_decay=3e-5), untouched, False),
    "weight decay 5e-4": (with_fields(weight_decay=5e-4), untouched, False),
    "not the smallest in every step": (without_smallest, untouched, True),
    "teacher at half size": (half_size, untouched, False),
    "batches of 128": (with_fields(batch_size=128), untouched, False),
    "dropout 0.2": (with_fields(dropout=0.2), untouched, False),
    "augmentation of drawings": (with_fields(augmentation=DrawingAugmentation()), untouched, False),
}
"""Name -> change of the recipe, of the initial weights, and whether the largest is trained without the smallest."""


if __name__ == "__main__":
    main()
