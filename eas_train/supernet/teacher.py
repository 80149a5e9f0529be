"""A network that stands still and is learned from: once-for-all distils from the end of its teacher phase (Cai et al.
2020), as does who starts from published weights."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from eas_sdk.space.architecture import Architecture
from eas_train.supernet.evaluate import calibrate
from eas_train.supernet.model import Supernet
from eas_train.supernet.norm import FixedStatistics
from eas_train.supernet.resize import images_for


@dataclass(frozen=True, eq=False)
class Teacher:
    """The largest network of a supernet, with weights and batch-norm statistics of its own.

    Attributes:
        net: which it alone is to use.
        statistics: side of its images -> node -> [2, C]; where there is only one, it serves all sides.
    """

    net: Supernet
    statistics: Mapping[int, Mapping[str, Tensor]] = field(repr=False)

    @classmethod
    def of(cls, net: Supernet, images: Callable[[int], Tensor], sides: tuple[int, ...]) -> Teacher:
        """As the largest network of `net` is now.

        Args:
            images: from a side to augmented training images N x 3 x S x S, which its statistics are recorded on where
                they are not learned.
            sides: of the images that it will see.
        """
        still = copy.deepcopy(net).eval().requires_grad_(False)
        if still.learned is not None:
            with torch.no_grad():
                return cls(still, dict.fromkeys(sides, still.learned.of(net.space.largest)))
        return cls(still, {side: calibrate(still, net.space.largest, images(side), side=side) for side in sides})

    @property
    def architecture(self) -> Architecture:
        return self.net.space.largest

    def __call__(self, images: Tensor, side: int | None = None) -> Tensor:
        """Logits N x classes, without gradients; images N x 3 x S x S are brought to its size or to `side`."""
        return self.answer(images, side)[0]

    def answer(self, images: Tensor, side: int | None = None) -> tuple[Tensor, Tensor]:
        """Logits as above, and the features N x F that its classifier sees."""
        seen = images_for(self.net.space, self.architecture, images, side)
        at = self.statistics.get(seen.shape[-1]) or next(iter(self.statistics.values()))
        with torch.no_grad():
            return self.net.answer(seen, self.architecture, FixedStatistics(at.__getitem__, self.net.space.epsilon))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its weights, in hex."""
        total = hashlib.sha256()
        for name, tensor in self.net.state_dict().items():
            total.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
        return total.hexdigest()

    def to(self, device: torch.device) -> Teacher:
        """The same on a device."""
        moved = {
            side: {name: value.to(device) for name, value in layers.items()} for side, layers in self.statistics.items()
        }
        return Teacher(self.net.to(device, memory_format=torch.channels_last), moved)  # type: ignore[call-overload]

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"net": self.net.state_dict(), "statistics": {k: dict(v) for k, v in self.statistics.items()}}

    @classmethod
    def restored(cls, state: dict[str, Any], net: Supernet) -> Teacher:
        """From `state`; `net` is any supernet of the same space."""
        still = copy.deepcopy(net).eval().requires_grad_(False)
        still.load_state_dict(state["net"])
        return cls(still, state["statistics"]).to(next(still.parameters()).device)
