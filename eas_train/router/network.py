"""The router's network: a fixed member of the bank's kind, which starts from the bank's weights and ends folded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from eas_sdk.graph.nodes import Conv2d, DepthwiseConv2d, Linear
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.space import ElasticSpace
from eas_train.recipe import RouterRecipe
from eas_train.supernet.model import Supernet

FloatArray = npt.NDArray[np.float32]


def router_space(space: ElasticSpace, recipe: RouterRecipe) -> ElasticSpace:
    """The space with one member: the smallest images, and all blocks alike of the units that leave the bank a
    choice, none larger than the bank's."""
    units = []
    for unit, most in zip(space.units, space.largest.units, strict=True):
        first = most[: recipe.depth]
        narrow = dataclasses.replace(
            unit,
            depths=(len(first),),
            kernels=(min(recipe.kernel, *(block.kernel for block in first)),),
            expansions=(min(recipe.expansion, *(block.expansion for block in first)),),
        )
        units.append(unit if unit.fixed else narrow)
    return dataclasses.replace(space, input_sizes=space.input_sizes[:1], units=tuple(units), largest=Architecture(()))


def new_router(
    bank: Supernet, recipe: RouterRecipe, superclass_of: Sequence[int], outputs: int, device: torch.device
) -> Supernet:
    """A router to train: the first weights of the bank, of which the most important channels come first.

    Args:
        superclass_of: superclass of each of the bank's classes.
        outputs: superclasses, and perhaps "none".

    Returns:
        a network of `outputs` + len(superclass_of) logits: the classes help to train it (`fold` drops them).
    """
    mean, std = (tuple(buffer.flatten().tolist()) for buffer in (bank.mean, bank.std))
    net = Supernet(
        router_space(bank.elastic, recipe),
        outputs + bank.classes,
        mean=mean,
        std=std,
        dropout=recipe.dropout,
    )
    with torch.no_grad():
        for node in net.nodes(net.space.largest):
            for suffix in ("weight", "bias", "gamma", "beta"):
                if f"{node.name}-{suffix}".replace(".", "-") not in net.tensors:
                    continue
                target, source = (n.tensor(f"{node.name}.{suffix}") for n in (net, bank))
                match node:
                    case Linear():
                        owner = torch.tensor(superclass_of, device=source.device)
                        for superclass in set(superclass_of):
                            target[superclass] = source[owner == superclass].mean(0)
                        target[outputs:] = source
                    case DepthwiseConv2d() if suffix == "weight":
                        crop = (source.shape[-1] - node.kernel) // 2
                        target.copy_(source[: node.channels, :, crop:, crop:][:, :, : node.kernel, : node.kernel])
                    case _:
                        target.copy_(source[tuple(slice(n) for n in target.shape)])
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    return net


def fold(
    net: Supernet, statistics: Mapping[str, Tensor], outputs: int, temperature: float = 1.0
) -> dict[str, FloatArray]:
    """Weights as the runtime's graphs have them: "<node>.weight" and "<node>.bias", batch-norm folded in.

    Args:
        statistics: [2, C] mean and variance by node.
        outputs: rows of the classifier that stay.
        temperature: what the logits are divided by (Guo et al. 2017).
    """
    folded: dict[str, FloatArray] = {}
    for node in net.nodes(net.space.largest):
        if not isinstance(node, (Conv2d, DepthwiseConv2d, Linear)):
            continue
        weight = net.tensor(f"{node.name}.weight").detach().float().cpu()
        if node.name in statistics:
            mean, variance = statistics[node.name].cpu()
            gamma, beta = (net.tensor(f"{node.name}.{name}").detach().float().cpu() for name in ("gamma", "beta"))
            scale = gamma / torch.sqrt(variance + net.space.epsilon)
            weight, bias = weight * scale[:, None, None, None], beta - mean * scale
        elif f"{node.name}.bias".replace(".", "-") in net.tensors:
            bias = net.tensor(f"{node.name}.bias").detach().float().cpu()
        else:
            bias = torch.zeros(len(weight))
        match node:
            case Conv2d():
                weight = weight.permute(0, 2, 3, 1)
            case DepthwiseConv2d():
                weight = weight[:, 0].permute(1, 2, 0)
            case Linear():
                weight, bias = weight[:outputs] / temperature, bias[:outputs] / temperature
        folded[f"{node.name}.weight"] = np.ascontiguousarray(weight.numpy(), np.float32)
        folded[f"{node.name}.bias"] = np.ascontiguousarray(bias.numpy(), np.float32)
    return folded
