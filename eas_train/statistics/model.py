"""Statistics as a function of the architecture: what a freshly sliced sub-network needs, without calibration.

The mean and the variance of a channel depend on the block that makes it and on everything before it. Both are close
to linear in the architecture's features, such as the gates of an elastic space (the variance in its logarithm), and the
coefficients of one layer have a low rank. So each batch-norm keeps a linear model, fitted to the recorded statistics of
a few hundred sub-networks:

    (mean, log(variance + epsilon)) = offset + (features @ mix) @ basis
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from eas_sdk.graph.cost import output_shape
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.protocol import Space
from eas_sdk.space.sample import random_architecture
from eas_train import checkpoint
from eas_train.clock import clock
from eas_train.progress import progress
from eas_train.supernet.evaluate import calibrate
from eas_train.supernet.learned import LearnedStatistics
from eas_train.supernet.model import Supernet, has_norm
from eas_train.supernet.norm import FixedStatistics

Context = Literal["none", "block", "upstream"]

SAVE_EVERY_S = 30.0


@dataclass(frozen=True, eq=False)
class LayerStatistics:
    """The linear model of one batch-norm over C channels.

    Attributes:
        mix: [gates, r]; zero for features that do not matter here.
        basis: [r, 2, C]; offset: [2, C]. Row 0 is the mean, row 1 log(variance + epsilon).
        epsilon: of the space.
    """

    mix: Tensor
    basis: Tensor
    offset: Tensor
    epsilon: float

    def at(self, features: Tensor) -> Tensor:
        """[2, C] mean and variance under features [F]; differentiable in them."""
        mean, log_variance = self.offset + torch.tensordot(features @ self.mix, self.basis, 1)
        # A variance is not negative; slicing clamps alike.
        return torch.stack([mean, log_variance.exp().clamp(min=self.epsilon) - self.epsilon])


@dataclass(frozen=True, eq=False)
class StatisticsModel:
    """The linear models of all batch-norms of a supernet, by node name."""

    space: Space
    layers: Mapping[str, LayerStatistics]

    def norm(self, architecture: Architecture) -> FixedStatistics:
        """How a sub-network normalises on the device."""
        row = self.space.features_of(self.space.encode([architecture]))[0]
        features = torch.from_numpy(row).float().to(self.layers["stem"].mix.device)
        return FixedStatistics(lambda name: self.layers[name].at(features), self.space.epsilon)

    def to(self, device: torch.device) -> StatisticsModel:
        """The same on another device."""
        moved = {
            name: dataclasses.replace(
                layer, mix=layer.mix.to(device), basis=layer.basis.to(device), offset=layer.offset.to(device)
            )
            for name, layer in self.layers.items()
        }
        return StatisticsModel(self.space, moved)


@dataclass(frozen=True, eq=False)
class Observations:
    """Recorded statistics of sub-networks.

    Attributes:
        features: [N, F] of each sub-network.
        layers: node name -> [N, 2, C] mean and variance; NaN where a sub-network lacks the channel.
        seconds: how long the recording took.
    """

    features: Tensor
    layers: Mapping[str, Tensor]
    seconds: float = 0.0


def observe(
    net: Supernet,
    draw_images: Callable[[int], Tensor],
    draw_architecture: Callable[[random.Random], Architecture],
    networks: int,
    seed: int = 0,
    *,
    cache: Path | None = None,
    fingerprint: str = "",
) -> Observations:
    """Record the statistics of sub-networks, each over its own batch of training images.

    Args:
        draw_images: from a seed to a batch of training images N x 3 x S x S, on the net's device.
        draw_architecture: draws the sub-networks, after those that together have every block.
        networks: how many; at least as many as the latter.
        cache: keeps what was recorded when the process is stopped; removed at the end.

    Raises:
        TrainingError: the cache is damaged or belongs to another training.
    """
    rng = random.Random(seed)
    known = net.space.covering()
    architectures = [*known, *(draw_architecture(rng) for _ in range(networks - len(known)))]
    state = checkpoint.load(cache, recipe=fingerprint) if cache else None
    done, layers, before = (state["done"], state["layers"], state["seconds"]) if state else (0, {}, 0.0)
    channels = {node.name: output_shape(node)[-1] for node in net.space.bank(net.classes) if has_norm(node)}
    now = clock(next(net.parameters()).device)
    began, saved = now(), time.monotonic()
    networks = len(architectures)
    with progress("statistics", networks, done) as update:
        for i in range(done, networks):
            for name, row in calibrate(net, architectures[i], draw_images(seed * 100_003 + i)).items():
                if name not in layers:
                    layers[name] = torch.full((networks, 2, channels[name]), torch.nan)
                layers[name][i, :, : row.shape[1]] = row.cpu()
            if cache and time.monotonic() - saved >= SAVE_EVERY_S:
                elapsed = before + now() - began
                checkpoint.save(cache, {"recipe": fingerprint, "done": i + 1, "layers": layers, "seconds": elapsed})
                saved = time.monotonic()
            update(i + 1, "")
    if cache:
        cache.unlink(missing_ok=True)
    features = net.space.features_of(net.space.encode(architectures))
    return Observations(torch.from_numpy(features).float(), layers, before + now() - began)


def fit(
    space: Space,
    observations: Observations,
    *,
    rank: int = 8,
    own: float = 1.0,
    upstream: float = 100.0,
    context: Context = "upstream",
) -> StatisticsModel:
    """Fit the linear models by ridge regression, then cut their coefficients to `rank`.

    Args:
        own, upstream: ridge strengths for the features of the layer's own block and for those before it.
        context: which features may matter: "upstream" (the block's own and all before), "block" (its own), "none"
            (an average over sub-networks).
    """
    features = observations.features.double()
    layers = {}
    for name, observed in observations.layers.items():
        mine, before = space.scope(name)
        used = {"none": [], "block": mine, "upstream": mine + before}[context]
        strength = torch.tensor([own if g in mine else upstream for g in used], dtype=torch.float64)
        layers[name] = _fit_layer(features, observed.double(), used, strength, rank, space.epsilon)
    return StatisticsModel(space, layers)


def _fit_layer(
    features: Tensor, observed: Tensor, used: Sequence[int], strength: Tensor, rank: int, epsilon: float
) -> LayerStatistics:
    """Ridge regression of mean and log variance on the features `used`, for each set of networks that has channels."""
    count, channels = features.shape[1], observed.shape[2]
    target = torch.stack([observed[:, 0], torch.log(observed[:, 1] + epsilon)], 1)
    coefficients = torch.zeros(len(used), 2, channels, dtype=torch.float64)
    offset = torch.zeros(2, channels, dtype=torch.float64)
    # Channels of one tier are present in the same sub-networks, so they share one linear system.
    _, tier_of = torch.unique(~torch.isnan(target[:, 0]), dim=1, return_inverse=True)
    for tier in range(int(tier_of.max()) + 1):
        columns = torch.nonzero(tier_of == tier).flatten()
        rows = ~torch.isnan(target[:, 0, columns[0]])
        x, y = features[rows][:, used], target[rows][:, :, columns].flatten(1)
        centre, mean = x.mean(0), y.mean(0)
        z = x - centre
        w = torch.linalg.solve(z.T @ z + torch.diag(strength), z.T @ (y - mean))
        coefficients[:, :, columns] = w.view(len(used), 2, len(columns))
        offset[:, columns] = (mean - centre @ w).view(2, len(columns))
    # A mean counts in standard deviations, like half a log variance.
    unit = torch.stack([torch.exp(0.5 * torch.nanmean(target[:, 1], 0)), torch.full((channels,), 2.0)])
    mix, basis = _low_rank(coefficients / unit, unit, used, count, rank)
    return LayerStatistics(mix, basis, offset.float(), epsilon)


def _low_rank(coefficients: Tensor, unit: Tensor, used: Sequence[int], count: int, rank: int) -> tuple[Tensor, Tensor]:
    """Mix and basis of a layer whose coefficients [len(used), 2, C], in units [2, C], are cut to a rank, which is
    spent where they are large."""
    mix = torch.zeros(count, rank, dtype=torch.float64)
    basis = torch.zeros(rank, *unit.shape, dtype=torch.float64)
    if used:
        u, s, vh = torch.linalg.svd(coefficients.double().flatten(1), full_matrices=False)
        kept = min(rank, len(s))
        mix[list(used), :kept] = u[:, :kept] * s[:kept]
        basis[:kept] = vh[:kept].view(kept, *unit.shape) * unit
    return mix.float(), basis.float()


def of_learned(learned: LearnedStatistics, rank: int) -> StatisticsModel:
    """Statistics that were trained with the weights, cut to a rank; those of the largest network stay as they are."""
    layers = {}
    for name in learned.names:
        with torch.no_grad():
            unit, scope = learned.unit(name).cpu().double(), learned.scope(name).tolist()
            mix, basis = _low_rank(learned.coefficient(name).cpu(), unit, scope, learned.space.features, rank)
            offset = learned.base(name).cpu() - torch.tensordot(learned.largest.cpu() @ mix, basis, 1)
        layers[name] = LayerStatistics(mix, basis, offset, learned.space.epsilon)
    return StatisticsModel(learned.space, layers)


def to_learned(model: StatisticsModel) -> LearnedStatistics:
    """The way back from `of_learned`: statistics to be trained on, which begin as the model has them."""
    space = model.space
    row = torch.from_numpy(space.features_of(space.encode([space.largest]))[0])
    of_largest, coefficients = {}, {}
    for name, layer in model.layers.items():
        moved = torch.tensordot(layer.mix, layer.basis, 1)  # [features, 2, C]
        mean, log_variance = layer.offset + torch.tensordot(row.to(moved), moved, 1)
        of_largest[name] = torch.stack([mean, (log_variance.exp() - space.epsilon).clamp(min=0)])
        coefficients[name] = moved
    learned = LearnedStatistics(space, of_largest)
    for name, moved in coefficients.items():
        learned.begin(name, moved, list(range(space.features)))
    return learned


def begin_learned(
    learned: LearnedStatistics, net: Supernet, draw_images: Callable[[int], Tensor], *, networks: int | None = None
) -> None:
    """Let learned statistics begin with what recorded ones say of each choice of blocks.

    Input sizes begin with the statistics of the largest: a published network knows other sizes better by them than by
    recorded ones (benchmarks/size_statistics.py).

    Args:
        draw_images: from a seed to a batch of training images N x 3 x S x S.
        networks: that are recorded; by default twice as many as there are features.
    """
    space = learned.space
    networks = networks or 2 * space.features
    found = fit(
        space,
        observe(net, draw_images, lambda rng: random_architecture(space, rng), networks),
        rank=space.features,
    )
    wanted = [feature for feature in range(space.features) if feature not in space.scope("stem")[0]]
    for name in learned.names:
        layer = found.layers[name]
        learned.begin(name, torch.tensordot(layer.mix[wanted].to(layer.basis), layer.basis, 1), wanted)


def constant(space: Space, statistics: Mapping[str, Tensor]) -> StatisticsModel:
    """The same statistics, node -> [2, C] mean and variance, for every sub-network: right for the one they are of."""
    layers = {}
    for name, (mean, variance) in statistics.items():
        offset = torch.stack([mean, torch.log(variance + space.epsilon)]).float()
        mix, basis = torch.zeros(space.features, 1), torch.zeros(1, *offset.shape)
        layers[name] = LayerStatistics(mix, basis, offset, space.epsilon)
    return StatisticsModel(space, layers)


def anchored(model: StatisticsModel, architecture: Architecture, statistics: Mapping[str, Tensor]) -> StatisticsModel:
    """The same model, moved so that it gives one sub-network exactly these statistics, node -> [2, C].

    What a published network carries was recorded on a million images. The model, fitted on fewer, says how other
    sub-networks differ from it.
    """
    row = model.space.features_of(model.space.encode([architecture]))[0]
    layers = {}
    for name, layer in model.layers.items():
        features = torch.from_numpy(row).to(layer.mix)
        mean, variance = statistics[name].to(layer.offset)
        wanted = torch.stack([mean, torch.log(variance + layer.epsilon)])
        moved = wanted - torch.tensordot(features @ layer.mix, layer.basis, 1)
        layers[name] = dataclasses.replace(layer, offset=moved)
    return StatisticsModel(model.space, layers)


def arrays(model: StatisticsModel) -> dict[str, npt.NDArray[np.float32]]:
    """The model's tensors as the bundle names them, without the group: "<node>.mix", ".basis" and ".offset"."""
    made = {}
    for name, layer in model.layers.items():
        for suffix in ("mix", "basis", "offset"):
            tensor: Tensor = getattr(layer, suffix)
            made[f"{name}.{suffix}"] = tensor.detach().float().cpu().numpy()
    return made


def from_arrays(space: Space, tensors: Mapping[str, npt.NDArray[np.floating]]) -> StatisticsModel:
    """Inverse of `arrays`."""

    def read(name: str) -> LayerStatistics:
        mix, basis, offset = (
            torch.from_numpy(tensors[f"{name}.{suffix}"].astype(np.float32)) for suffix in ("mix", "basis", "offset")
        )
        return LayerStatistics(mix, basis, offset, space.epsilon)

    return StatisticsModel(space, {name: read(name) for name in sorted({name.rpartition(".")[0] for name in tensors})})
