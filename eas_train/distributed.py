"""Several processes, each with a part of every batch: `torchrun --nproc-per-node N -m eas_sdk.cli train ...`.

Gradients are averaged by torch's DistributedDataParallel, batch statistics by differentiable reductions, and every
random number is drawn for the whole batch by every process, so that N processes train what one would.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Share:
    """The part of a whole batch that a process works on.

    Attributes:
        rank: which part, from 0; size: how many there are.
    """

    rank: int = 0
    size: int = 1

    def of(self, whole: Tensor) -> Tensor:
        """This process's rows, of which all have equally many."""
        mine = len(whole) // self.size
        return whole[self.rank * mine : (self.rank + 1) * mine]

    def mean(self, value: float) -> float:
        """The mean of a number over all processes."""
        if self.size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=_device())
        dist.all_reduce(total)
        return float(total) / self.size


def share() -> Share:
    """This process's share: everything, unless it joined others."""
    return Share(dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else Share()


def is_first() -> bool:
    """Whether this is the process that writes and reports; of those that torchrun started, the first."""
    return int(os.environ.get("RANK", "0")) == 0


def processes() -> int:
    """How many torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def joined(device: torch.device) -> Iterator[torch.device]:
    """Join the processes that torchrun started, if it did; yields this process's device."""
    if processes() == 1:
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


@dataclass(frozen=True)
class WholeBatchStatistics:
    """Normalises with the mean and variance of the whole batch, over all processes; differentiable."""

    epsilon: float

    def __call__(self, name: str, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        from torch.distributed.nn.functional import all_reduce  # absent where torch was built without

        size, full = dist.get_world_size(), x.float()
        mean: Tensor = all_reduce(full.mean((0, 2, 3))) / size
        # In two passes: the mean of squares less the squared mean cancels in float32.
        variance = all_reduce((full - mean.view(1, -1, 1, 1)).square().mean((0, 2, 3))) / size
        scale = gamma * torch.rsqrt(variance + self.epsilon)
        return torch.addcmul((beta - mean * scale).view(1, -1, 1, 1), full, scale.view(1, -1, 1, 1)).to(x.dtype)


def _device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")
