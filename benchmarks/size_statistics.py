"""How statistics of batch-norms know the input size: EfficientNet-Lite0's, over members near the published network.

    python -m benchmarks.size_statistics --photos photos-unlabelled --judged imagenet-sample-images

Sub-networks of all input sizes that differ little from the published network are recorded over random photos of one
folder, and three models are fitted to most of them: blind to the size; with the size's gates as further features; one
for each size. Each is moved so that the published network keeps its published statistics (`anchored`). On the networks
that were held out, and on photos of the other folder:

- error: how far predicted means and log variances are from recorded ones; a mean counts in standard deviations.
- agreement: share of photos on which the network answers as it does when its statistics are recorded anew.
- published: the published network at every input size: share of photos on which it answers as at 224 px, with its
  statistics as they are, with each model's, and with statistics recorded anew at that size.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.record import record
from eas_sdk.image_file import image_files, read_image
from eas_sdk.images import to_square
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic.space import ElasticSpace
from eas_train.pretrained.importer import Pretrained, load_pretrained
from eas_train.progress import progress
from eas_train.statistics.model import Observations, StatisticsModel, anchored, fit, observe
from eas_train.supernet.evaluate import logits_of, recalibrated
from eas_train.supernet.model import Supernet
from eas_train.supernet.norm import FixedStatistics, Norm

SIDE = 224


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos to record statistics over")
    parser.add_argument("--judged", required=True, help="folder inside it whose photos are kept for judging")
    parser.add_argument("--networks", type=int, default=200, help="sub-networks to record")
    parser.add_argument("--held-out", type=int, default=30, help="how many of them the models are judged on")
    parser.add_argument("--images", type=int, default=64, help="photos for each network")
    options = parser.parse_args()
    recorded, kept = divided(options.photos, options.judged)
    pool, judged = photos(recorded[:3000]), photos(kept[:300]).float() / 255
    pretrained = load_pretrained("lite0")
    space = pretrained.net.elastic

    def draw(seed: int) -> Tensor:
        picked = torch.randint(len(pool), (options.images,), generator=torch.Generator().manual_seed(seed))
        return (pool[picked].float() / 255).contiguous(memory_format=torch.channels_last)

    observed = observe(pretrained.net, draw, lambda rng: near(space, rng), options.networks)
    known = slice(0, options.networks - options.held_out)
    models = fitted(pretrained, part(observed, known))
    held = range(options.networks - options.held_out, options.networks)
    drawn = recorded_architectures(space, options.networks)
    figures: dict[str, Any] = {
        "error": {name: error(model, observed, held) for name, model in models.items()},
        "agreement": agreement(pretrained.net, models, [drawn[i] for i in held], draw, judged),
        "published": published(pretrained, models, draw, judged),
    }
    record("size_statistics", figures)


def divided(folder: Path, judged: str) -> tuple[list[Path], list[Path]]:
    """The photos below a folder in random order: to record statistics over, and those of one folder in it to judge
    on."""
    files = image_files(folder)
    random.Random(0).shuffle(files)
    return [f for f in files if judged not in f.parts], [f for f in files if judged in f.parts]


def photos(files: Sequence[Path]) -> Tensor:
    """Their central squares, N x 3 x SIDE x SIDE uint8."""
    pixels = np.stack([to_square(read_image(file), SIDE) for file in files])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def near(space: ElasticSpace, rng: random.Random) -> Architecture:
    """A member of any size that differs little from the largest: untrained, others do not work at all."""
    units = []
    for unit, most in zip(space.units, space.largest.units, strict=True):
        depth = max(unit.depths[0], len(most) - (rng.random() < 0.25))
        units.append(
            tuple(
                Block(
                    block.kernel if rng.random() < 0.85 else unit.kernels[0],
                    block.expansion if rng.random() < 0.8 or len(unit.expansions) == 1 else unit.expansions[-2],
                )
                for block in most[:depth]
            )
        )
    return Architecture(tuple(units), rng.choice(space.input_sizes))


def recorded_architectures(space: ElasticSpace, count: int) -> list[Architecture]:
    """What `observe` draws, again."""
    rng = random.Random(0)
    return [*space.covering(), *(near(space, rng) for _ in range(count - len(space.covering())))]


def part(observed: Observations, rows: slice) -> Observations:
    """Some of the recorded networks."""
    return Observations(observed.features[rows], {name: value[rows] for name, value in observed.layers.items()})


def fitted(pretrained: Pretrained, observed: Observations) -> Mapping[str, StatisticsModel | PerSize]:
    """The three forms, each moved to the published statistics of the published network."""
    space = pretrained.net.elastic
    gates = space.layout.places[-1].tolist()
    blind = dataclasses.replace(observed, features=observed.features.clone())
    blind.features[:, gates] = 0
    row = observed.features[:, gates].sum(1).long()
    by_size = {
        index: anchored_like(space, part_of(blind, row == index), pretrained, observed, index)
        for index in range(len(space.input_sizes))
    }
    return {
        "blind": anchored(fit(space, blind), space.largest, pretrained.statistics),
        "gates": anchored(fit(space, observed), space.largest, pretrained.statistics),
        "per size": PerSize(space, by_size),
    }


def part_of(observed: Observations, rows: Tensor) -> Observations:
    """Some of the recorded networks, by a mask."""
    return Observations(observed.features[rows], {name: value[rows] for name, value in observed.layers.items()})


def anchored_like(
    space: ElasticSpace, observed: Observations, pretrained: Pretrained, every: Observations, index: int
) -> StatisticsModel:
    """A model of one size, moved by what moves the model of the largest size to the published statistics."""
    gates = space.layout.places[-1].tolist()
    largest = every.features[:, gates].sum(1).long() == len(space.input_sizes) - 1
    plain = every.features.clone()
    plain[:, gates] = 0
    reference = fit(space, part_of(dataclasses.replace(every, features=plain), largest))
    moved = anchored(reference, space.largest, pretrained.statistics)
    mine = fit(space, observed)
    layers = {
        name: dataclasses.replace(
            layer, offset=layer.offset + moved.layers[name].offset - reference.layers[name].offset
        )
        for name, layer in mine.layers.items()
    }
    return StatisticsModel(space, layers)


@dataclasses.dataclass(frozen=True, eq=False)
class PerSize:
    """A model for each input size."""

    space: ElasticSpace
    models: Mapping[int, StatisticsModel]

    def norm(self, architecture: Architecture) -> FixedStatistics:
        """How a sub-network normalises."""
        index = self.space.input_sizes.index(architecture.input_size or 0)
        return self.models[index].norm(architecture)


def error(model: StatisticsModel | PerSize, observed: Observations, rows: Sequence[int]) -> dict[str, float]:
    """Root mean squares over layers, channels and networks; the model's own shift to the published statistics is taken
    out, as what is recorded is recorded on other photos."""
    space = model.space
    assert isinstance(space, ElasticSpace)
    drawn = recorded_architectures(space, len(observed.features))
    base = {name: value[0] for name, value in observed.layers.items()}  # the largest comes first
    means, variances = [], []
    first = model.norm(space.largest)
    for i in rows:
        norm = model.norm(drawn[i])
        for name, value in observed.layers.items():
            mean, variance = value[i]
            there = ~torch.isnan(mean)
            if not there.any():  # the network lacks the block
                continue
            said, said_first = norm.lookup(name), first.lookup(name)
            deviation = (base[name][1] + space.epsilon).sqrt()
            change = (mean - base[name][0]) / deviation
            told = (said[0] - said_first[0]) / deviation
            means.append((told - change)[there].square().mean())
            log = torch.log((variance + space.epsilon) / (base[name][1] + space.epsilon))
            told = torch.log((said[1] + space.epsilon) / (said_first[1] + space.epsilon))
            variances.append((told - log)[there].square().mean())
    return {
        "mean": round(float(torch.stack(means).mean().sqrt()), 4),
        "log_variance": round(float(torch.stack(variances).mean().sqrt()), 4),
    }


def answers(net: Supernet, architecture: Architecture, judged: Tensor, norm: Norm) -> Tensor:
    """[N] most probable classes."""
    return logits_of(net, architecture, judged, norm, 50).argmax(1)


def agreement(
    net: Supernet, models: Mapping[str, Any], drawn: Sequence[Architecture], draw: Any, judged: Tensor
) -> dict[str, float]:
    """Mean share of photos answered as with statistics that were recorded anew."""
    shares: dict[str, list[float]] = {name: [] for name in models}
    with progress("agreement", len(drawn)) as update:
        for i, architecture in enumerate(drawn):
            images = torch.cat([draw(10_000_000 + i * 10 + k) for k in range(6)])
            expected = answers(net, architecture, judged, recalibrated(net, architecture, images))
            for name, model in models.items():
                found = answers(net, architecture, judged, model.norm(architecture))
                shares[name].append(float((found == expected).float().mean()))
            update(i + 1, "")
    return {name: round(float(np.mean(values)), 4) for name, values in shares.items()}


def published(pretrained: Pretrained, models: Mapping[str, Any], draw: Any, judged: Tensor) -> dict[str, Any]:
    """By input size: share of photos on which the published network answers as it does at 224 px."""
    net, space = pretrained.net, pretrained.net.elastic
    truth = answers(net, space.largest, judged, pretrained.norm)
    found: dict[str, dict[str, float]] = {}
    for size in space.input_sizes:
        architecture = dataclasses.replace(space.largest, input_size=size)
        images = torch.cat([draw(20_000_000 + k) for k in range(16)])
        norms = {"published": pretrained.norm, "recorded anew": recalibrated(net, architecture, images)}
        norms |= {name: model.norm(architecture) for name, model in models.items()}
        found[str(size)] = {
            name: round(float((answers(net, architecture, judged, norm) == truth).float().mean()), 4)
            for name, norm in norms.items()
        }
    return found


if __name__ == "__main__":
    main()
