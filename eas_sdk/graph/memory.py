"""How much a process grows by a network that predicts, from its nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eas_sdk.graph.cost import peak_activation_bytes, total_weight_elements
from eas_sdk.graph.nodes import Node


@dataclass(frozen=True)
class MemoryModel:
    """What an engine makes of weights and activations.

    Attributes:
        weight_copies: how often the float32 weights are in memory, packed or not.
        activation_copies: what the engine's buffers take, as a multiple of the least that activations need.
        fixed_bytes: what every network takes.
    """

    weight_copies: float
    activation_copies: float
    fixed_bytes: int = 0

    def bytes(self, weights: float, activations: float) -> float:
        """Bytes of a network with so many bytes of float32 weights and of peak activations."""
        return self.weight_copies * weights + self.activation_copies * activations + self.fixed_bytes


MODELS: Mapping[str, MemoryModel] = {
    "numpy": MemoryModel(1.6, 0.75, 500_000),
    "litert": MemoryModel(3.75, 0.25),
    "onnxruntime": MemoryModel(4.45, 4.0),
    "coreml": MemoryModel(3.75, 0.25),
}
"""By engine, fitted to and compared with what the system reports by `python -m benchmarks.memory` (Core ML: not
measured, taken from LiteRT). The engines of this package hold the network's own weights, those of the file that they
make of them, and what the runtime packs of those."""


def memory_model(engine: str) -> MemoryModel:
    """The model of an engine: of "auto" one that none exceeds; of one that is not known, LiteRT's, which phones use."""
    if engine == "auto":
        known = MODELS.values()
        return MemoryModel(
            max(model.weight_copies for model in known),
            max(model.activation_copies for model in known),
            max(model.fixed_bytes for model in known),
        )
    return MODELS.get(engine, MODELS["litert"])


def memory_bytes(nodes: Sequence[Node], engine: str = "numpy") -> int:
    """Peak bytes of a network of these nodes while it predicts one image, weights included."""
    model = memory_model(engine)
    return round(model.bytes(4 * total_weight_elements(nodes), peak_activation_bytes(nodes)))
