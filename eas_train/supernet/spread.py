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

HIDDEN_AXES = {
    "expand.weight": 0,
    "expand.gamma": 0,
    "expand.beta": 0,
    "depthwise.weight": 0,
    "depthwise.gamma": 0,
    "depthwise.beta": 0,
    "squeeze.weight": 1,
    "excite.weight": 0,
    "excite.bias": 0,
    "project.weight": 1,
}
"""Of the parameters of a block that have one, the axis of the channels that it expands to."""
OTHERS = ("squeeze.bias", "project.gamma", "project.beta")


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
    for c, (cell, largest) in enumerate(zip(space.cells, space.largest.units, strict=True)):
        for source in largest:  # one, or none
            importance = net.tensor(f"cell{c}.{source}.project.weight").abs().sum((0, 2, 3))
            order = importance.argsort(descending=True, stable=True)
            for target in cell.blocks:
                if target != source:
                    _spread(net, f"cell{c}.{source}", f"cell{c}.{target}", order)


def _spread(net: Supernet, source: str, target: str, order: Tensor) -> None:
    """Copy what both blocks have: hidden channels by their order, of other axes the first, of kernels the centre."""
    kept = order[: net.tensor(f"{target}.project.weight").shape[1]]
    for name in (*HIDDEN_AXES, *OTHERS):
        if net.has(f"{source}.{name}") and net.has(f"{target}.{name}"):
            whole, part = net.tensor(f"{source}.{name}"), net.tensor(f"{target}.{name}")
            if name in HIDDEN_AXES:
                whole = whole.index_select(HIDDEN_AXES[name], kept)
            _shared(part, whole.shape).copy_(_shared(whole, part.shape))


def _shared(tensor: Tensor, other: torch.Size) -> Tensor:
    """The part for which a tensor of another shape has room: first channels, centre of the kernel."""
    sizes = [min(pair) for pair in zip(tensor.shape, other, strict=True)]
    starts = [(tensor.shape[dim] - size) // 2 if dim > 1 else 0 for dim, size in enumerate(sizes)]
    return tensor[tuple(slice(start, start + size) for start, size in zip(starts, sizes, strict=True))]
