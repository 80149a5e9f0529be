"""NSE round by round: the front of each round on drawings of an artist that no choice has seen.

    eas study strategies
    python -m benchmarks.rounds studies/strategies

Every round leaves its supernet and its front. Each network of the fronts is tested with its round's weights and
batch-norm recalibrated on training images. The network that did best on validation drawings is trained alone as well,
as `eas study` trains networks to judge a supernet's ranks: later rounds have more training behind their weights, but
alone all networks are trained alike. `--picture FILE` draws the first seed's rounds.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.bootstrap import interval
from benchmarks.record import record
from benchmarks.trainings import training_of
from eas_sdk.bank.atomic import write_atomically
from eas_train.data.fixed_views import fixed_views
from eas_train.data.imageset import superclass_of_class
from eas_train.nse.drawing import draw_rounds
from eas_train.nse.history import read_history
from eas_train.nse.rounds import round_supernets
from eas_train.progress import progress
from eas_train.strategy.recipe import NseRecipe
from eas_train.study.config import Study
from eas_train.study.plots import png
from eas_train.study.quality import shown_to, train_alone
from eas_train.supernet.evaluate import logits_of, recalibrated, within_superclass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of `eas study strategies`")
    parser.add_argument("--picture", type=Path, help="file of the picture (default: none is drawn)")
    parser.add_argument("--trainings", type=int, default=2, help="of each round's best network alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    plan = Study.read("strategies")
    quality = plan.quality
    assert quality is not None
    device = torch.device("cpu")
    seeds: list[dict[str, Any]] = []
    for seed in plan.supernet_seeds:
        training = training_of(plan, "NSE", seed, options.folder)
        recipe, data = training.recipe, training.data
        size = recipe.supernet.search_space().input_sizes[-1]
        place = training.place("supernet")
        unit, history = read_history(place)
        if options.picture and seed == plan.supernet_seeds[0]:
            write_atomically(options.picture, [png(draw_rounds(unit, history))])
        images, targets = fixed_views(data.test, plan.views, size, device)
        superclass_of = torch.from_numpy(superclass_of_class(data.superclasses))
        owner = superclass_of[torch.from_numpy(data.test.targets)].numpy()
        settings = recipe.supernet.strategy
        assert isinstance(settings, NseRecipe)
        calibration = training.training_images(settings.recalibration_images)(0)
        shown = shown_to(training, quality, plan.views, recipe.supernet.search_space(), quality.image_size)
        rows = []
        nets = round_supernets(recipe.supernet, data.train, data.validation, place, device)
        for number, (one, net) in enumerate(zip(history, nets, strict=True)):
            shares = []
            with progress(f"round {number + 1}", len(one.front)) as update:
                for i, judged in enumerate(one.front):
                    norm = recalibrated(net, judged.architecture, calibration)
                    right = within_superclass(logits_of(net, judged.architecture, images, norm), targets, superclass_of)
                    shares.append(right.float().reshape(-1, plan.views).mean(1).numpy())
                    update(i + 1, "")
            best = one.front[-1].architecture
            alone = [
                train_alone(net.space, best, recipe.supernet, quality, again, data, shown, options.folder).accuracy
                for again in range(quality.seed, quality.seed + options.trainings)
            ]
            mean = np.mean(shares, 0)
            rows.append(
                {
                    "round": number + 1,
                    "front": len(one.front),
                    "cost": [round(one.front[0].cost, 2), round(one.front[-1].cost, 2)],
                    "validation_top1": round(float(np.mean([j.accuracy for j in one.front])), 4),
                    "validation_best": round(max(j.accuracy for j in one.front), 4),
                    "test_top1": [round(v, 4) for v in interval(mean, owner)],
                    "test_top1_of_the_best": [round(v, 4) for v in interval(shares[-1], owner)],
                    "alone_top1_of_the_best": [round(v, 4) for v in alone],
                    "branches": round(float(np.mean([len(j.architecture.blocks) for j in one.front])), 1),
                }
            )
        seeds.append({"supernet_seed": seed, "rounds": rows})
    columns = "mean, low and high end of the 95% interval over drawings"
    record("rounds", {"unit": unit, "columns": columns, "seeds": seeds})


if __name__ == "__main__":
    main()
