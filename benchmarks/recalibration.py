"""Batch-norm statistics of freshly sliced networks against full recalibration, several ways.

    python -m benchmarks.recalibration

For every superclass and five budgets, the generated architecture is run with

- recalibrated: its own statistics over 2,048 augmented training images (what OFA does; needs the training set),
- bundle:       the statistics that the bundle's linear models predict from all gates upstream (what the device does),
- own block:    the same fitted here on the gates of the layer's own block alone,
- average:      the average over sub-networks, whatever the architecture,
- largest:      the statistics of the largest network, a prefix of them (a supernet's running statistics),
- images-64 and images-256: its own statistics over a small batch, as if that batch were shipped.

Figures are top-1 within the superclass on fixed views of the test artist's drawings, in points below recalibrated.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch

import eas_sdk
from benchmarks.bootstrap import interval
from benchmarks.drawings import drawings
from benchmarks.record import record
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.sample import random_architecture
from eas_train.bundle import to_supernet
from eas_train.data.emoji import load_emoji
from eas_train.data.feed import random_images
from eas_train.progress import progress
from eas_train.recipe import Recipe
from eas_train.statistics.model import fit, observe
from eas_train.supernet.evaluate import calibrate, logits_of, recalibrated
from eas_train.supernet.norm import FixedStatistics, Norm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="emoji", help="a bundle of the same classes")
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--budgets", type=int, default=5)
    parser.add_argument("--networks", type=int, default=150, help="sub-networks that the fits are made from")
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    options = parser.parse_args()
    runtime = eas_sdk.load(options.bundle)
    net, bundled = to_supernet(runtime.bundle)
    data = drawings(runtime, options.split, options.views)
    augmented = training_images(128, net.space.input_sizes[-1])
    training = torch.cat([augmented(-1 - i) for i in range(16)]).contiguous(memory_format=torch.channels_last)
    observations = observe(net, augmented, lambda rng: random_architecture(net.space, rng), options.networks)
    largest = calibrate(net, net.space.largest, training)
    norms: dict[str, Callable[[Architecture], Norm]] = {
        "recalibrated": lambda a: recalibrated(net, a, training),
        "bundle": bundled.norm,
        "own block": fit(net.space, observations, context="block").norm,
        "average": fit(net.space, observations, context="none").norm,
        "largest": lambda a: FixedStatistics(largest.__getitem__, net.space.epsilon),
        "images-64": lambda a: recalibrated(net, a, training[:64]),
        "images-256": lambda a: recalibrated(net, a, training[:256]),
    }
    shares: dict[str, list[np.ndarray]] = {name: [] for name in norms}
    fractions = np.linspace(0, 1, options.budgets)
    with progress("statistics", len(fractions) * len(runtime.tasks)) as update:
        for i, fraction in enumerate(fractions):
            for t, task in enumerate(runtime.tasks):
                low, high = runtime.budget_range(task)
                (architecture,) = runtime.architectures([(task, low + fraction * (high - low))])
                mine = data.superclass == t
                images = torch.from_numpy(data.images[mine].reshape(-1, *data.images.shape[2:]))
                x = images.permute(0, 3, 1, 2).float().div(255).contiguous(memory_format=torch.channels_last)
                first = data.targets[mine].min()
                columns = slice(int(first), int(first) + len(runtime.labels(task)))
                for name, norm in norms.items():
                    logits = logits_of(net, architecture, x, norm(architecture))[:, columns].numpy()
                    right = logits.argmax(1) == np.repeat(data.targets[mine] - first, options.views)
                    shares[name].append(right.reshape(-1, options.views).mean(1))
                update(i * len(runtime.tasks) + t + 1, task)
    record("recalibration", summary(shares, data.superclass, len(fractions), options))


def summary(
    shares: dict[str, list[np.ndarray]], superclass: np.ndarray, levels: int, options: argparse.Namespace
) -> dict[str, object]:
    """Mean accuracy, mean gap with its interval, and the largest single gap of each way."""
    tasks = len(shares["recalibrated"]) // levels
    reference = np.array([s.mean() for s in shares["recalibrated"]]).reshape(levels, tasks)
    figures: dict[str, object] = {"split": options.split, "views": options.views, "budgets": levels}
    ways = {}
    for name, values in shares.items():
        means = np.array([s.mean() for s in values]).reshape(levels, tasks)
        # Each drawing's gap is averaged over the budgets, then drawings are resampled.
        by_drawing = [
            np.mean([shares["recalibrated"][i * tasks + t] - values[i * tasks + t] for i in range(levels)], 0)
            for t in range(tasks)
        ]
        gap = interval(np.concatenate(by_drawing), np.repeat(np.arange(tasks), [len(b) for b in by_drawing]))
        ways[name] = {
            "top1": round(float(means.mean()), 4),
            "points_below_recalibrated": [round(100 * v, 2) for v in gap],
            "by_budget": [round(100 * float(v), 2) for v in (reference - means).mean(1)],
            "largest_single_gap": round(100 * float((reference - means).max()), 2),
        }
    return figures | {"columns": "mean, low and high end of the 95% interval over drawings", "ways": ways}


def training_images(count: int, size: int) -> Callable[[int], torch.Tensor]:
    """A function from a seed to `count` augmented training drawings, as the supernet saw them."""
    settings = Recipe.read("emoji").supernet.augmentation
    train = load_emoji().train
    return lambda seed: random_images(train, count, size, settings, torch.device("cpu"), seed)


if __name__ == "__main__":
    main()
