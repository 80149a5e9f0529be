"""Spreading: every block of a cell begins with that part of the cell's largest block for which it has room.

Blocks of a space of cells have weights of their own. From random ones, few are trained at a time, on what others, as
untrained, hand them, and little is learned for long. With parts of a network that has learned, as the smaller networks
of an elastic space have (OFA), all of them know something from the first step.
"""

from __future__ import annotations

import torch
from torch import Tensor

from eas_sdk.errors import TrainingError
from eas_sdk.space.cells.space import CellSpace
from eas_train.supernet.model import Supernet

INNER = ("expand", "depthwise")
"""Layers of a block whose channels are those that it expands to."""


@torch.no_grad()
def spread_weights(net: Supernet) -> None:
    """Give the blocks of every cell the weights of the largest network's block there, in place.

    A kernel takes the centre of the larger one; a smaller expansion the channels whose weights in the projection have
    the largest L1 norm. What the largest block lacks (squeeze-and-excitation, say) keeps the weights that it has.

    Raises:
        TrainingError: the space is not one of cells that hold one block each.
    """
    space = net.space
    if not isinstance(space, CellSpace) or not space.single:
        raise TrainingError(
            "weights are spread over the blocks of a space of cells that are joined as residuals, such as the presets "
            f"'greedynas' and 'cream'; this one is a {type(space).__name__}"
            f"{' of means' if isinstance(space, CellSpace) else ''}"
        )
    for c, (cell, (largest,)) in enumerate(zip(space.cells, space.largest.units, strict=True)):
        source = f"cell{c}.{largest}"
        importance = net.tensor(f"{source}.project.weight").abs().sum((0, 2, 3))
        order = importance.argsort(descending=True, stable=True)
        for block in cell.blocks:
            if block != largest:
                _copy(net, source, f"cell{c}.{block}", order)


def _copy(net: Supernet, source: str, target: str, order: Tensor) -> None:
    kept = order[: net.tensor(f"{target}.project.weight").shape[1]]
    for layer in INNER:
        for suffix in ("weight", "gamma", "beta"):
            _fill(net, source, target, f"{layer}.{suffix}", kept, 0)
    _fill(net, source, target, "excite.weight", kept, 0)
    _fill(net, source, target, "excite.bias", kept, 0)
    _fill(net, source, target, "squeeze.weight", kept, 1)
    _fill(net, source, target, "squeeze.bias")
    _fill(net, source, target, "project.weight", kept, 1)
    _fill(net, source, target, "project.gamma")
    _fill(net, source, target, "project.beta")


def _fill(net: Supernet, source: str, target: str, name: str, kept: Tensor | None = None, axis: int = 0) -> None:
    """Copy what both have: of an axis the channels `kept`, of others the first, of kernels the centre."""
    if not (net.has(f"{source}.{name}") and net.has(f"{target}.{name}")):
        return
    whole, part = net.tensor(f"{source}.{name}"), net.tensor(f"{target}.{name}")
    if kept is not None:
        whole = whole.index_select(axis, kept)
    _shared(part, whole.shape).copy_(_shared(whole, part.shape))


def _shared(tensor: Tensor, other: torch.Size) -> Tensor:
    """The part for which a tensor of another shape has room: first channels, centre of the kernel."""
    sizes = [min(pair) for pair in zip(tensor.shape, other, strict=True)]
    starts = [(tensor.shape[dim] - size) // 2 if dim > 1 else 0 for dim, size in enumerate(sizes)]
    return tensor[tuple(slice(start, start + size) for start, size in zip(starts, sizes, strict=True))]
