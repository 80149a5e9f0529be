"""Progressive shrinking against the sandwich rule, from one teacher, in the same time.

    python -m benchmarks.shrinking --minutes 5 --teacher-steps 1200

One teacher (the largest network of the emoji recipe, at 32 px) is trained once. From it the supernet is trained twice,
each for the given wall-clock time on this machine: by progressive shrinking (kernel, then depth in two steps, then
width in two steps, in OFA's proportions and with its numbers of sub-networks a step) and by the sandwich rule in one
phase. Twenty random architectures, recalibrated, are then measured on the validation artist's drawings.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from benchmarks.bootstrap import interval
from benchmarks.record import record
from eas_sdk.space.sample import random_architecture
from eas_train.data.emoji import load_emoji
from eas_train.data.feed import random_images
from eas_train.data.fixed_views import fixed_views
from eas_train.data.imageset import ImageSet, superclass_of_class
from eas_train.data.splits import Splits
from eas_train.progress import progress
from eas_train.recipe import Recipe
from eas_train.supernet.evaluate import logits_of, recalibrated, within_superclass
from eas_train.supernet.model import Supernet
from eas_train.supernet.recipe import Phase, SupernetRecipe
from eas_train.supernet.train import train_supernet

SIZE = 32
Plan: TypeAlias = tuple[tuple[float, dict[str, Any]], ...]
SHRINKING: Plan = (
    (125, {"name": "kernel", "networks": 1, "depths": (4,), "expansions": (6,)}),
    (25, {"name": "depth 1", "networks": 2, "depths": (3, 4), "expansions": (6,)}),
    (125, {"name": "depth 2", "networks": 2, "expansions": (6,)}),
    (25, {"name": "width 1", "networks": 4, "expansions": (4, 6), "sort_channels": True}),
    (125, {"name": "width 2", "networks": 4, "sort_channels": True, "sort_tiers": (4,)}),
)
"""OFA's phases with their epochs; the largest network of a phase is the teacher of its own step where it is drawn."""
SANDWICH: Plan = ((1, {"name": "sandwich", "networks": 4, "sandwich": True, "sort_channels": True}),)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0, help="training time of each way")
    parser.add_argument("--teacher-steps", type=int, help="steps of the teacher (default: the recipe's)")
    parser.add_argument("--folder", type=Path, help="keeps the teacher between runs (default: a temporary folder)")
    options = parser.parse_args()
    data = load_emoji()
    recipe = Recipe.read("emoji").supernet
    first = recipe.phases[0]
    if options.teacher_steps:
        first = first.model_copy(update={"steps": options.teacher_steps})
    teacher = recipe.model_copy(update={"phases": (first,)})
    with tempfile.TemporaryDirectory() as temporary:
        root = options.folder or Path(temporary)
        train_supernet(teacher, data.train, root / "teacher", torch.device("cpu"))
        ways = {}
        for name, plan in (("progressive shrinking", SHRINKING), ("sandwich", SANDWICH)):
            ways[name] = train_and_measure(name, plan, teacher, data, root, options.minutes * 60)
    ours, theirs = (np.array(ways[name].pop("by_drawing")) for name in ("sandwich", "progressive shrinking"))
    owners = superclass_of_class(data.superclasses)[data.validation.targets]
    gap = [round(100 * v, 2) for v in interval(ours - theirs, owners)]
    record(
        "shrinking",
        {
            "teacher_steps": first.steps,
            "minutes_each": options.minutes,
            "ways": ways,
            "sandwich_minus_progressive_points": gap,
        },
    )


def train_and_measure(
    name: str, plan: Plan, teacher: SupernetRecipe, data: Splits[ImageSet], root: Path, seconds: float
) -> dict[str, Any]:
    """Train for `seconds` after the teacher, then measure random sub-networks."""
    total = sum(share for share, _ in plan)
    phases = [phase_of(choices, 3) for _, choices in plan]
    folder = root / name.replace(" ", "-")
    timed = [seconds_per_step(teacher, phase, data, folder / "timing" / phase.name, root) for phase in phases]
    steps = [max(1, int(seconds * share / total / s)) for (share, _), s in zip(plan, timed, strict=True)]
    full = [phase_of(choices, n) for (_, choices), n in zip(plan, steps, strict=True)]
    start = time.perf_counter()
    net = continued(teacher, full, data, folder, root)
    spent = time.perf_counter() - start
    right = measured(net, data)
    return {
        "seconds": round(spent, 1),
        "steps": {phase.name: phase.steps for phase in full},
        "random_top1": round(float(np.mean(right)), 4),
        "by_drawing": right.tolist(),
    }


def phase_of(choices: dict[str, Any], steps: int) -> Phase:
    settings: dict[str, Any] = {"image_size": SIZE, "distillation": 0.5, "superclass_dropout": 0.3, **choices}
    return Phase(learning_rate=0.1, steps=steps, warmup_steps=min(20, steps // 4), **settings)


def seconds_per_step(teacher: SupernetRecipe, phase: Phase, data: Splits[ImageSet], folder: Path, root: Path) -> float:
    start = time.perf_counter()
    continued(teacher, [phase], data, folder, root)
    return (time.perf_counter() - start) / phase.steps


def continued(
    teacher: SupernetRecipe, phases: list[Phase], data: Splits[ImageSet], folder: Path, root: Path
) -> Supernet:
    """The supernet after the teacher's phase and `phases`."""
    recipe = teacher.model_copy(update={"phases": (*teacher.phases, *phases)})
    return train_supernet(recipe, data.train, folder, torch.device("cpu"), teacher=root / "teacher")


def measured(net: Supernet, data: Splits[ImageSet]) -> np.ndarray:
    """[N] share of 20 random, recalibrated sub-networks and 4 views that get each validation drawing right."""
    net = net.eval()
    rng, device = random.Random(0), torch.device("cpu")
    settings = Recipe.read("emoji").supernet.augmentation
    training = random_images(data.train, 512, SIZE, settings, device, seed=0)
    x, targets = fixed_views(data.validation, 4, SIZE, device)
    owner = torch.from_numpy(superclass_of_class(data.superclasses))
    right = []
    with progress("measuring", 20) as update:
        for i in range(20):
            architecture = random_architecture(net.space, rng)
            norm = recalibrated(net, architecture, training, side=SIZE)
            logits = logits_of(net, architecture, x, norm, side=SIZE)
            right.append(within_superclass(logits, targets, owner).numpy().reshape(-1, 4).mean(1))
            update(i + 1, "")
    mean: np.ndarray = np.mean(right, 0)
    return mean


if __name__ == "__main__":
    main()
