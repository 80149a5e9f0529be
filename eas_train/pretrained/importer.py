"""From a published state dict to the largest member of a space."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

import torch
from torch import Tensor

from eas_sdk.errors import DataError, InputError, closest
from eas_sdk.graph.nodes import Conv2d, DepthwiseConv2d, Linear, Node
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.presets import PRESETS
from eas_sdk.space.protocol import Space
from eas_train.pretrained.labels import imagenet_rows
from eas_train.pretrained.sources import NO_NORM, SOURCES, Source
from eas_train.pretrained.weights import packaged, read
from eas_train.supernet.model import Supernet
from eas_train.supernet.norm import FixedStatistics
from eas_train.supernet.sort import sort_channels
from eas_train.supernet.teacher import Teacher

SHOWN = 5
"""Most names of a kind in a message."""

IMAGENET_CLASSES = 1000

LARGEST = 65504.0
"""What a bank in float16 can hold."""


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A supernet whose largest network is a published one.

    Attributes:
        net: the supernet, in evaluation mode.
        statistics: node -> [2, C] mean and variance of its batch-norm, as published: those of the largest network.
        source: where it comes from.
    """

    net: Supernet
    statistics: Mapping[str, Tensor]
    source: Source

    def teacher(self) -> Teacher:
        """The published network, to learn from, at any size of images."""
        side = self.net.elastic.largest.input_size or self.net.elastic.input_sizes[-1]
        return Teacher(self.net.requires_grad_(False), {side: self.statistics})

    @property
    def norm(self) -> FixedStatistics:
        """How the published network normalises. Of a smaller one this is a guess: its statistics differ."""
        return FixedStatistics(self.statistics.__getitem__, self.net.space.epsilon)


def load_pretrained(
    name: str,
    weights: str | os.PathLike[str] | Mapping[str, Tensor] | None = None,
    *,
    space: Space | None = None,
    sort: bool = True,
    classes: Sequence[str] | None = None,
) -> Pretrained:
    """Read published weights into the supernet of the space whose largest member they are.

    Args:
        name: one of `SOURCES`.
        weights: their file, or a state dict; by default what the source's package carries.
        space: by default the source's preset; another must have the same largest network, padding and epsilon.
        sort: whether hidden channels are sorted by importance, so that prefixes are good (see `sort_channels`). The
            largest network computes the same.
        classes: names of the list "imagenet", whose rows the classifier is to have, in this order; by default all that
            are published, in their order.

    Raises:
        InputError: there is no such source, its weights must be named, or the space has another largest network.
        DataError: tensors are missing, unexpected or of another shape, or a class is not ImageNet's; the message names
            them.
        MissingDependency: the source's package is not installed.
        OSError: the file cannot be read.
    """
    if name not in SOURCES:
        raise InputError(f"published weights are of one of {sorted(SOURCES)}; got {name!r}; {closest(name, SOURCES)}")
    source = SOURCES[name]
    chosen = _fitting(name, PRESETS[source.preset] if space is None else space)
    if not isinstance(weights, Mapping):
        weights = read(packaged(name, source) if weights is None else weights)
    state = {_renamed(source, str(key)): tensor for key, tensor in weights.items()}
    classifier = state.get(f"{source.layers['classifier'][0]}.weight")
    rows = len(classifier) if isinstance(classifier, Tensor) and classifier.ndim else IMAGENET_CLASSES
    net = Supernet(chosen, rows, mean=source.mean, std=source.std)
    wanted = dict(_wanted(net, source))
    _check(name, source, state, {key: (shape, row) for key, row, shape in wanted.values()})
    statistics: dict[str, Tensor] = {}
    with torch.no_grad():
        for target, (key, row, shape) in wanted.items():
            value = state[key].detach().float().reshape(shape)
            if row is None:
                net.tensor(target).copy_(value)
            else:
                statistics.setdefault(target.rpartition(".")[0], torch.empty(2, len(value)))[row] = value
    if sort:
        sort_channels(net, statistics=statistics)
    if classes is not None:
        _keep(net, classes)
    net.to(memory_format=torch.channels_last)
    return Pretrained(net.eval(), statistics, source)


def _keep(net: Supernet, classes: Sequence[str]) -> None:
    """Leave the classifier the rows of some of ImageNet's classes."""
    rows = torch.tensor(imagenet_rows(classes))
    for suffix in ("weight", "bias"):
        name = f"classifier.{suffix}"
        net.tensor(name).data = net.tensor(name).data[rows].contiguous()
    net.classes = len(rows)


def _fitting(name: str, space: object) -> ElasticSpace:
    """The space, whose largest network is the source's.

    Raises:
        InputError: it is another.
    """
    own = PRESETS[SOURCES[name].preset]
    assert isinstance(own, ElasticSpace)
    if not isinstance(space, ElasticSpace) or _layers(space) != _layers(own) or space.epsilon != own.epsilon:
        raise InputError(
            f"the weights of {name!r} are for a space whose largest network is that of the preset "
            f"{SOURCES[name].preset!r}, with its padding and epsilon; got {reprlib.repr(space)}"
        )
    return space


def _layers(space: ElasticSpace) -> tuple[Node, ...]:
    """The largest network, at an input size that shows every padding."""
    return space.structure(space.largest, 1, input_size=224)


def _wanted(net: Supernet, source: Source) -> Iterator[tuple[str, tuple[str, int | None, tuple[int, ...]]]]:
    """Target -> (published name, row of the statistics or None for a parameter, shape)."""
    space = net.elastic
    for node in net.nodes(space.largest):
        if not isinstance(node, (Conv2d, DepthwiseConv2d, Linear)):
            continue
        convolution, norm = _names(source, space, node)
        suffixes = [suffix for suffix in ("weight", "bias") if net.has(f"{node.name}.{suffix}")]
        for suffix in suffixes:
            target = f"{node.name}.{suffix}"
            yield target, (f"{convolution}.{suffix}", None, tuple(net.tensor(target).shape))
        if norm != NO_NORM:
            channels = tuple(net.tensor(f"{node.name}.gamma").shape)
            yield f"{node.name}.gamma", (f"{norm}.weight", None, channels)
            yield f"{node.name}.beta", (f"{norm}.bias", None, channels)
            yield f"{node.name}.mean", (f"{norm}.running_mean", 0, channels)
            yield f"{node.name}.variance", (f"{norm}.running_var", 1, channels)


def _names(source: Source, space: ElasticSpace, node: Node) -> tuple[str, str]:
    """Published names of a node's convolution and batch-norm."""
    prefix, _, layer = node.name.rpartition(".")
    if not prefix:
        return source.layers[layer]
    unit, block = (int(part) for part in prefix.removeprefix("unit").split(".block"))
    number = sum(len(blocks) for blocks in space.largest.units[:unit]) + block
    expands, squeezes = space.units[unit].expansions != (1,), space.units[unit].squeeze_excite
    places = {"depthwise": expands, "squeeze": expands + 1, "project": expands + 1 + squeezes}
    convolution, norm = source.layers[layer]
    fields = {"i": number, "n": number + 1, **{name: int(place) for name, place in places.items()}}
    return convolution.format(**fields), norm.format(**fields)


def _renamed(source: Source, key: str) -> str:
    for old, new in source.renamed:
        key = key.replace(old, new)
    return key


def _check(
    name: str, source: Source, state: Mapping[str, object], wanted: Mapping[str, tuple[tuple[int, ...], int | None]]
) -> None:
    """Compare names, shapes and values.

    Args:
        wanted: published name -> shape, and the row of the statistics, 1 for a variance.

    Raises:
        DataError: they differ, or a value cannot be.
    """
    faults = []
    tensors = {key: value for key, value in state.items() if _is_dense(value)}
    missing = [key for key in wanted if key not in state]
    unexpected = [key for key in state if key not in wanted and not key.endswith(source.unused)]
    if missing:
        faults.append(f"missing: {_some(missing)}")
    if unexpected:
        faults.append(f"unexpected: {_some(unexpected)}")
    # A layer over means may be published as fully connected, or as a convolution of one pixel.
    other = [
        f"{key} {tuple(tensors[key].shape)}, not {shape}"
        for key, (shape, _) in wanted.items()
        if key in tensors and _pixels(tuple(tensors[key].shape)) != _pixels(shape)
    ]
    if other:
        faults.append(f"of another shape: {_some(other)}")
    odd = [key for key in wanted if key in state and key not in tensors]
    if odd:
        faults.append(f"no dense tensors of floating point: {_some(odd)}")
    known = {key: tensors[key] for key in wanted if key in tensors}
    if bad := [key for key, value in known.items() if not bool((value.abs() <= LARGEST).all())]:
        faults.append(f"not finite, or beyond {LARGEST:g}: {_some(bad)}")
    if bad := [key for key, value in known.items() if wanted[key][1] == 1 and bool((value < 0).any())]:
        faults.append(f"variances below 0: {_some(bad)}")
    if faults:
        hint = ""
        if all(key in state or f"module.{key}" in state for key in wanted):
            hint = "; all names begin with 'module.', as DistributedDataParallel leaves them: take that off"
        raise DataError(f"the weights of {name!r} are those of its published network; {'; '.join(faults)}{hint}")


def _is_dense(value: object) -> TypeGuard[Tensor]:
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.is_floating_point()
        and value.device.type != "meta"
    )


def _pixels(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:2] if shape[2:] == (1, 1) else shape


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
