"""The bridge from torch to the bank: a trained supernet, its statistics and its selector become a bundle."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from eas_sdk.bank.bundle import Bundle, adapter_shapes, scale_shape, tensor_shapes
from eas_sdk.bank.container_writer import write
from eas_sdk.bank.pictures import CODED, Pictures, decode, encode
from eas_sdk.errors import TrainingError
from eas_sdk.graph.nodes import Conv2d, DepthwiseConv2d, Linear, Node
from eas_sdk.images import to_square
from eas_sdk.names import same
from eas_sdk.selector.menu import MenuSelector
from eas_sdk.selector.protocol import Request
from eas_sdk.selector.registry import load_selector
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.protocol import Space, size_of
from eas_sdk.space.tables import madds_range
from eas_sdk.task import Superclass
from eas_train.pictures import Shown
from eas_train.router.calibrate import TrainedRouter
from eas_train.selection import Selection
from eas_train.statistics.model import StatisticsModel, arrays, from_arrays
from eas_train.supernet.adapters import Adapters
from eas_train.supernet.model import Supernet
from eas_train.supernet.teacher import Teacher


def assemble(
    name: str,
    net: Supernet,
    statistics: StatisticsModel,
    selection: Selection,
    superclasses: Sequence[Superclass],
    *,
    router: TrainedRouter | None = None,
    training: Mapping[str, Any],
    attributions: Sequence[str],
) -> Bundle:
    """A whole bundle in float32, nothing left out, without pictures.

    Args:
        selection: what picks architectures.
    """
    tensors: dict[str, np.ndarray] = {f"statistics/{name}": array for name, array in arrays(statistics).items()}
    for node in net.space.bank(net.classes):
        for tensor in bank_tensors(net.space, node):
            rest = tensor.removeprefix("bank/")
            suffix = rest.rpartition(".")[2]
            value = net.tensor(rest).detach().float().cpu().numpy()
            match node:
                case Conv2d() if suffix == "weight":
                    value = value.transpose(0, 2, 3, 1)
                case DepthwiseConv2d() if suffix == "weight":
                    value = value[:, 0].transpose(1, 2, 0)
                case _:
                    pass
            tensors[tensor] = np.ascontiguousarray(value)
    tensors |= _adapters(net) | {f"selector/{key}": array for key, array in selection.tensors.items()}
    if router is not None:
        tensors |= {f"router/{key}": weight for key, weight in router.tensors.items()}
    return Bundle(
        name=name,
        space=net.space,
        superclasses=tuple(superclasses),
        mean=_triple(net.mean),
        std=_triple(net.std),
        selector=dict(selection.config),
        router=None if router is None else dict(router.config),
        tensors=tensors,
        training=dict(training),
        attributions=tuple(attributions),
        adapters=() if net.adapters is None else net.adapters.sizes,
    )


def _adapters(net: Supernet) -> dict[str, np.ndarray]:
    """A supernet's adapters as the bundle has them: inputs last."""
    made: dict[str, np.ndarray] = {}
    if net.adapters is not None:
        for node in net.space.bank(net.classes):
            if node.name in net.adapters.names:
                up, down = (value.detach().float().cpu().numpy() for value in net.adapters.of(node.name))
                down = down[:, :, 0] if isinstance(node, DepthwiseConv2d) else np.moveaxis(down, 2, -1)
                made[f"adapters/{node.name}.up"] = up
                made[f"adapters/{node.name}.down"] = np.ascontiguousarray(down)
    return made


def _restore_adapters(net: Supernet, bundle: Bundle) -> None:
    """The way back."""
    rank = max(bundle.tensors[name].shape[-1] for name in bundle.tensors if name.startswith("adapters/"))
    net.adapters = Adapters(net.elastic, net.classes, bundle.adapters, rank)
    for node in net.space.bank(net.classes):
        if node.name in net.adapters.names:
            up, down = (bundle.tensors[f"adapters/{node.name}.{suffix}"] for suffix in ("up", "down"))
            down = down[:, :, None] if isinstance(node, DepthwiseConv2d) else np.moveaxis(down, -1, 2)
            net.adapters.put(node.name, *(torch.from_numpy(value.astype(np.float32)) for value in (up, down)))


def with_pictures(bundle: Bundle, calibration: Shown, proof: Shown) -> Bundle:
    """The same, carrying images of one side to calibrate integer exports on and to prove exports on."""
    if not len(calibration.images) + len(proof.images):
        return bundle
    images = np.concatenate([calibration.images, proof.images])
    pictures = Pictures(images.shape[1], *(tuple(map(int, part.classes)) for part in (calibration, proof)))
    return dataclasses.replace(bundle, pictures=pictures, tensors={**bundle.tensors, CODED: encode(images)})


def _triple(buffer: torch.Tensor) -> tuple[float, float, float]:
    r, g, b = buffer.flatten().tolist()
    return r, g, b


def half(bundle: Bundle, *, integers: Sequence[str] = ()) -> Bundle:
    """The same with the weights of bank and router, and the basis of the statistics, in float16.

    Batch-norm, biases and selector stay float32.

    Args:
        integers: beginnings of the names of nodes: convolutions and classifier that are called so become 8-bit
            integers, with a scale for each output.
    """
    tensors = {name: tensor.astype(np.float16) if _halved(name) else tensor for name, tensor in bundle.tensors.items()}
    for node in bundle.space.bank(len(bundle.labels)):
        if isinstance(node, (Conv2d, Linear)) and node.name.startswith(tuple(integers)):
            weight = bundle.weight(node.name).astype(np.float32)
            scale = np.maximum(np.abs(weight).reshape(len(weight), -1).max(1), 1e-12) / 127
            each = scale.reshape(-1, *(1,) * (weight.ndim - 1))
            tensors[f"bank/{node.name}.weight"] = np.rint(weight / each).astype(np.int8)
            tensors[f"bank/{node.name}.scale"] = scale.astype(np.float32)
    return dataclasses.replace(bundle, tensors=tensors)


def _halved(name: str) -> bool:
    weight = name.startswith(("bank/", "router/")) and name.endswith("weight")
    return weight or name.startswith("adapters/") or name.endswith(".basis")


def selectable(bundle: Bundle, budgets: int, needed: Sequence[Architecture] = ()) -> Space:
    """The smallest space with a whole menu, or with all that any superclass selects on a dense grid of budgets.

    Args:
        needed: what it has besides.
    """
    selector, space = load_selector(bundle), bundle.space
    if isinstance(selector, MenuSelector):
        return space.narrowed([*selector.architectures, *needed])
    found = {space.smallest, *needed}
    for t, superclass in enumerate(bundle.superclasses):
        classes = len(superclass.labels)
        grid = np.linspace(*madds_range(space, classes), budgets).astype(int).tolist()
        found.update(selector.select([Request(((t, 1),), classes, madds) for madds in grid]))
    return space.narrowed(sorted(found))


def prune(bundle: Bundle, space: Space) -> Bundle:
    """The bundle without what lies beyond a narrower space, which becomes its own.

    A generator cuts its samples to the space, so whatever the seed it stays within the bank. A request may thus get
    another network than from the whole bundle: where a sample that was too large fits when cut, and promises more.
    """
    kept = ("selector/", "router/", "pictures/")
    tensors = {name: tensor for name, tensor in bundle.tensors.items() if name.startswith(kept)}
    pictures, side = bundle.pictures, size_of(space, space.largest)
    if pictures is not None and pictures.side > side:
        images = decode(tensors[CODED], pictures, range(pictures.count))
        tensors[CODED] = encode(np.stack([to_square(image, side).astype(np.uint8) for image in images]))
        pictures = dataclasses.replace(pictures, side=side)
    if "selector/choices" in tensors:
        listed = [bundle.space.decode(row) for row in tensors["selector/choices"]]
        tensors["selector/choices"] = space.encode(listed)
    features = space.features_among(bundle.space)
    for node in space.bank(len(bundle.labels)):
        for name, shape in (tensor_shapes(space, node, bundle.statistics_rank) | scale_shape(bundle, node)).items():
            full = bundle.tensors[name]
            if name.endswith(".mix"):
                full = full[features]
            elif isinstance(node, DepthwiseConv2d) and name.endswith(".weight"):
                crop = (full.shape[0] - node.kernel) // 2
                full = full[crop : crop + node.kernel, crop : crop + node.kernel]
            tensors[name] = np.ascontiguousarray(full[tuple(slice(n) for n in shape)])
        for name, shape in adapter_shapes(bundle, node).items():
            full = bundle.tensors[name]
            if isinstance(node, (Conv2d, DepthwiseConv2d)) and name.endswith(".down"):
                window = node.window if isinstance(node, Conv2d) else (node.kernel, node.kernel)
                crop = (full.shape[2] - window[0]) // 2
                full = full[:, :, crop : crop + window[0], crop : crop + window[1]]
            tensors[name] = np.ascontiguousarray(full[tuple(slice(n) for n in shape)])
    return dataclasses.replace(bundle, space=space, tensors=tensors, pictures=pictures)


def save(bundle: Bundle, path: str | os.PathLike[str]) -> int:
    """Write a bundle file atomically; its size in bytes."""
    return write(path, bundle.tensors, {"eas": bundle.metadata()})


def bank_tensors(space: Space, node: Node) -> list[str]:
    """Names of the tensors of a node that come from the supernet's weights."""
    return [name for name in tensor_shapes(space, node, rank=0) if name.startswith("bank/")]


def to_supernet(bundle: Bundle, device: torch.device | str = "cpu") -> tuple[Supernet, StatisticsModel]:
    """The way back: a bundle's weights and statistics in torch, to recalibrate, to compare or to train on."""
    net = Supernet(bundle.space, len(bundle.labels), mean=bundle.mean, std=bundle.std)
    with torch.no_grad():
        for node in net.space.bank(net.classes):
            for tensor in bank_tensors(net.space, node):
                whole = tensor == f"bank/{node.name}.weight" and not isinstance(node, DepthwiseConv2d)
                stored = bundle.weight(node.name) if whole else bundle.tensors[tensor]
                value = torch.from_numpy(stored.astype(np.float32))
                match node:
                    case Conv2d() if tensor.endswith(".weight"):
                        value = value.permute(0, 3, 1, 2)
                    case DepthwiseConv2d() if tensor.endswith(".weight"):
                        value = value.permute(2, 0, 1).unsqueeze(1)
                    case _:
                        pass
                net.tensor(tensor.removeprefix("bank/")).copy_(value)
    if bundle.adapters:
        _restore_adapters(net, bundle)
    target = torch.device(device)
    net = net.to(target, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    return net.eval(), from_arrays(net.space, bundle.group("statistics")).to(target)


def teacher_of(bundle: Bundle, classes: tuple[str, ...], device: torch.device | str = "cpu") -> Teacher:
    """The largest network of a bundle, to learn from.

    Raises:
        TrainingError: it knows other classes than those that are trained.
    """
    known, wanted = (tuple(map(same, names)) for names in (bundle.labels, classes))
    if known != wanted:
        raise TrainingError(
            f"a teacher knows the classes that are trained, in their order; {bundle.name!r} knows {len(known)}, "
            f"of which {len(set(known) & set(wanted))} are among the {len(classes)} of the data"
        )
    net, model = to_supernet(bundle, device)
    norm = model.norm(bundle.space.largest)
    names = [node.name for node in net.nodes(bundle.space.largest) if net.has(f"{node.name}.gamma")]
    return Teacher(net.requires_grad_(False), {bundle.input_size: {name: norm.lookup(name) for name in names}})
