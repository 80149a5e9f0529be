"""The architecture generator on the device (EAS, section 3.2): one forward pass for any number of requests.

An LSTM reads the embeddings of superclass and budget and gives the probability of every binary gate (Eq. 8). Gates
are sampled (Eq. 7), samples over the budget are dropped, and of the rest the one that the accuracy predictor prefers is
returned. Where no sample fits, the most likely architecture shrinks, least likely gate first, until it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import BundleError
from eas_sdk.selector.protocol import Request
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.choices import (
    BoolArray,
    GateLayout,
    choices_of_gates,
    decode,
    effective_gates,
    encode,
    gates_of_choices,
    madds_table,
)
from eas_sdk.space.elastic import ElasticSpace

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class GeneratorSelector:
    """The trained generator and predictor of a bundle.

    Attributes:
        space: the space that the bank can serve (its `largest` bounds what is returned).
        budgets: [K] multiply-adds, ascending: the budgets that have an embedding.
        weights: float32 arrays: "superclass_embedding" [T, D], "budget_embedding" [K, D], "lstm.input" [4H, 2D],
            "lstm.hidden" [4H, H], "lstm.bias" [4H] (gates in the order input, forget, cell, output),
            "depth.weight" [d, H], "depth.bias" [d], likewise "kernel" and "expansion", and "predictor" [T, gates]:
            what each gate adds to the expected score of a superclass.
        samples: gate vectors drawn for each request.
    """

    space: ElasticSpace
    budgets: npt.NDArray[np.float64]
    weights: Mapping[str, FloatArray]
    samples: int = 64

    def select(self, requests: Sequence[Request], *, seed: int = 0) -> list[Architecture]:
        """See `Selector.select`; the noise of a seed is the same for every request."""
        if not requests:
            return []
        space, table = self.space, madds_table(self.space)
        limits = np.array([request.madds for request in requests])
        classes = np.array([request.classes for request in requests])
        superclasses = np.array([request.superclass for request in requests])
        probabilities = self.probabilities(superclasses, limits)
        gates = effective_gates(space, self._candidates(probabilities, seed))
        choices = choices_of_gates(space, gates)
        madds = table.total(space, choices, classes[:, None])
        scores = np.einsum("msg,mg->ms", gates.astype(np.float32), self.weights["predictor"][superclasses])
        scores[madds > limits[:, None]] = -np.inf
        best = scores.argmax(1)
        picked = []
        for i, request in enumerate(requests):
            row = choices[i, best[i]]
            if not np.isfinite(scores[i, best[i]]):
                row = self._repair(gates[i, 0], probabilities[i], request)
            picked.append(decode(space, row))
        return picked

    def probabilities(self, superclasses: npt.NDArray[np.integer], madds: npt.NDArray[np.integer]) -> FloatArray:
        """Probability of every gate (Eq. 8), [M, gates], for superclass indices [M] and budgets [M]."""
        w = self.weights
        x = np.concatenate([w["superclass_embedding"][superclasses], self._budget_embedding(madds)], axis=1)
        from_input = x @ w["lstm.input"].T + w["lstm.bias"]
        layout = GateLayout.of(self.space)
        h = c = np.zeros((len(x), w["lstm.hidden"].shape[1]), np.float32)
        recurrent = np.ascontiguousarray(w["lstm.hidden"].T)
        states = []
        for _ in range(layout.slots):
            i, f, g, o = np.split(from_input + h @ recurrent, 4, axis=1)
            c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
            h = _sigmoid(o) * np.tanh(c)
            states.append(h)
        steps = np.stack(states, 1)
        deepest = layout.slots // layout.units
        heads = (("depth", steps[:, ::deepest]), ("kernel", steps), ("expansion", steps))
        z = [(s @ w[f"{name}.weight"].T + w[f"{name}.bias"]).reshape(len(x), -1) for name, s in heads]
        return _sigmoid(np.concatenate(z, 1))

    def _budget_embedding(self, madds: npt.NDArray[np.integer]) -> FloatArray:
        """Linear interpolation between the embeddings of the two nearest budgets; flat outside their range."""
        position = np.interp(madds, self.budgets, np.arange(len(self.budgets)))
        low = np.minimum(position.astype(int), len(self.budgets) - 2)
        t = (position - low).astype(np.float32)[:, None]
        table = self.weights["budget_embedding"]
        return (1 - t) * table[low] + t * table[low + 1]

    def _candidates(self, probabilities: FloatArray, seed: int) -> BoolArray:
        """[M, 1 + samples, gates]: the most likely gates first, then draws; nothing that the bank lacks."""
        count = probabilities.shape[1]
        # Raw words of PCG64 are the same in every numpy release; Generator's methods need not be.
        raw = np.random.PCG64(seed).random_raw(self.samples * count)
        threshold = np.full((1 + self.samples, count), 0.5, np.float32)
        threshold[1:] = ((raw >> np.uint64(40)) * 2.0**-24).reshape(self.samples, count)
        drawn = threshold < probabilities[:, None, :]
        return drawn & gates_of_choices(self.space, encode(self.space, [self.space.largest]))[0]

    def _repair(self, gates: BoolArray, probabilities: FloatArray, request: Request) -> npt.NDArray[np.integer]:
        """Switch off gates, least likely first, until the network fits; at most one step a gate."""
        space, table = self.space, madds_table(self.space)
        choices = choices_of_gates(space, gates)
        while gates.any() and table.total(space, choices, request.classes) > request.madds:
            gates = gates.copy()
            gates[np.where(gates, probabilities, np.inf).argmin()] = False
            gates = effective_gates(space, gates)
            choices = choices_of_gates(space, gates)
        return choices


def _sigmoid(x: FloatArray) -> FloatArray:
    # The tanh form neither overflows nor needs two branches.
    return (0.5 * (1 + np.tanh(0.5 * x))).astype(np.float32)


def load(space: ElasticSpace, superclasses: int, config: Mapping[str, object], tensors: Mapping[str, np.ndarray]) -> GeneratorSelector:
    """The selector of a bundle.

    Args:
        config: the bundle's "selector" section: {"kind": "generator", "budgets": [K numbers], "samples": n}.
        tensors: arrays named as in `GeneratorSelector.weights`.

    Raises:
        BundleError: something is missing or of a wrong shape.
    """
    layout = GateLayout.of(space)
    budgets, samples = config.get("budgets"), config.get("samples")
    if (
        not isinstance(budgets, list)
        or len(budgets) < 2
        or not all(isinstance(b, (int, float)) for b in budgets)
        or sorted(set(budgets)) != budgets
        or not isinstance(samples, int)
        or not 1 <= samples <= 4096
    ):
        raise BundleError(
            f"a generator has at least two ascending 'budgets' and 1 to 4096 'samples'; got {budgets!r}, {samples!r}"
        )
    try:
        depth = tensors["superclass_embedding"].shape[1]
        hidden = tensors["lstm.hidden"].shape[1]
    except (KeyError, IndexError) as error:
        raise BundleError(f"the generator's tensors are incomplete: {error}") from error
    shapes = {
        "superclass_embedding": (superclasses, depth),
        "budget_embedding": (len(budgets), depth),
        "lstm.input": (4 * hidden, 2 * depth),
        "lstm.hidden": (4 * hidden, hidden),
        "lstm.bias": (4 * hidden,),
        "predictor": (superclasses, layout.gates),
    }
    for head, gates in (("depth", layout.depth), ("kernel", layout.kernel), ("expansion", layout.expansion)):
        shapes |= {f"{head}.weight": (gates, hidden), f"{head}.bias": (gates,)}
    for name, shape in shapes.items():
        if name not in tensors or tensors[name].shape != shape:
            got = tensors[name].shape if name in tensors else "nothing"
            raise BundleError(f"the generator's tensor {name!r} has shape {shape}; got {got}")
        if not np.isfinite(tensors[name]).all():
            raise BundleError(f"the generator's tensor {name!r} must be finite")
    weights = {name: np.ascontiguousarray(tensors[name], np.float32) for name in shapes}
    return GeneratorSelector(space, np.asarray(budgets, np.float64), weights, samples)
