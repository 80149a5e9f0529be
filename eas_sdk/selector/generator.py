"""The architecture generator on the device (EAS, section 3.2): one forward pass for any number of requests.

An LSTM reads the embeddings of superclass and budget and gives the probability of every binary gate (Eq. 8).
Architectures are sampled (Eq. 7) and samples over the budget are dropped. Of those that come closest to it, the one
that the accuracy predictor prefers is returned: who gives a budget wants it used. Where no sample fits, the most likely
architecture shrinks, least likely gate first, until it does. Bounds on other costs than multiply-adds are met by
asking for several budgets in one pass and dropping what costs more.

All of it is computed in float64: BLAS sums in another order for another batch, and in float32 the difference
could turn a gate, so that a request's answer would depend on the requests beside it.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eas_sdk.bank.bundle import check_tensor
from eas_sdk.errors import BundleError
from eas_sdk.selector.protocol import AnyMember, Limit, Request
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.gates import gates_of_choices, without_absent
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.protocol import IntArray, Space
from eas_sdk.space.tables import madds_range, madds_table

FloatArray = npt.NDArray[np.float64]

MAX_SAMPLES = 4096

UNUSED = 0.05
"""How much less than the costliest feasible sample the chosen one may cost, as a part of the generator's budgets."""

COSTS = ("madds", "latency")

ENCODINGS = ("single-path", "multi-path")

HEADS = ("depth", "kernel", "expansion", "size")
"""What puts out the gates of each sort of choice, in the order of the layout."""

LEVELS = 16
"""Budgets in multiply-adds, between the smallest network and the most that is allowed, that are tried where time,
energy or memory are bounded: what fits is seen afterwards."""

LARGEST_EXPONENT = 700.0
"""Of what float64 can hold."""

CHUNK_CHOICES = 2**20
"""Requests are sampled together while their choices are at most so many (8 MB in float64)."""


@dataclass(frozen=True, eq=False)
class GeneratorSelector(AnyMember):
    """The trained generator and predictor of a bundle.

    Attributes:
        space: the space that the bank can serve (its `largest` bounds what is returned).
        budgets: [K] multiply-adds, ascending: the budgets that have an embedding.
        weights: float64 arrays: "superclass_embedding" [T, D], "budget_embedding" [K, D], "lstm.input"
            [4H, 2D], "lstm.hidden" [4H, H], "lstm.bias" [4H] (in the order input, forget, cell, output),
            "depth.weight" [d, H], "depth.bias" [d], likewise the other `HEADS`, and "predictor"
            [T, gates]: what each gate adds to the expected score of a superclass. d is the most gates that one choice
            of the sort has; those that a choice lacks mean nothing.
        samples: architectures drawn for each request.
        cost: what the budgets stand for: "madds", or the "latency" of a device on the scale of multiply-adds.
        encoding: what the heads put out: "single-path", a logit for each nested gate (EAS, section 3.2), or
            "multi-path", a logit for each option, of which a softmax makes probabilities; d is one more for each head.
    """

    space: ElasticSpace
    budgets: npt.NDArray[np.float64]
    weights: Mapping[str, FloatArray]
    samples: int = 64
    cost: str = "madds"
    encoding: str = "single-path"

    def __repr__(self) -> str:
        return f"<GeneratorSelector: {len(self.budgets)} budgets, {self.samples} samples a request>"

    def select(self, requests: Sequence[Request], *, seed: int = 0) -> list[Architecture]:
        """See `Selector.select`; the noise of a seed is the same for every request."""
        picked: list[Architecture] = []
        uniform = self._uniform(seed)
        most = max(1, CHUNK_CHOICES // max(1, uniform.size))
        start = 0
        while start < len(requests):  # as many at a time as memory allows, at least one
            stop, rows = start, 0
            while stop < len(requests) and (rows == 0 or rows + self._levels(requests[stop]) <= most):
                rows += self._levels(requests[stop])
                stop += 1
            picked += self._pick(requests[start:stop], uniform)
            start = stop
        return picked

    def _levels(self, request: Request) -> int:
        """For how many budgets in multiply-adds, the one thing that it knows, the generator is asked."""
        return LEVELS if request.limits or self.cost != "madds" else 1

    def _pick(self, requests: Sequence[Request], uniform: FloatArray) -> list[Architecture]:
        """The best sample for each request."""
        space = self.space
        counts = np.array([self._levels(request) for request in requests])
        owner = np.repeat(np.arange(len(requests)), counts)
        starts = np.cumsum(counts) - counts
        limits, classes = (
            np.array([getattr(request, name) for request in requests])[owner] for name in ("madds", "classes")
        )
        mixtures = self._mixtures(requests)[owner]
        levels = limits.copy()
        for start, count, request in zip(starts, counts, requests, strict=True):
            if count > 1:
                low, high = madds_range(space, request.classes)
                most = min(high, request.madds) if self.cost == "madds" else high
                levels[start : start + count] = np.linspace(low, most, count).astype(np.int64)
        probabilities = self.probabilities(mixtures, levels)
        choices = self._sampled(probabilities, uniform)
        madds = madds_table(space).total(space, choices, classes[:, None])
        feasible = madds <= limits[:, None]
        for start, count, request in zip(starts, counts, requests, strict=True):
            rows = slice(start, start + count)
            for limit in request.limits:
                feasible[rows] &= limit.table.total(space, choices[rows], request.classes) <= limit.most
        scores = self._scores(mixtures, choices)
        costliest = np.maximum.reduceat(np.where(feasible, madds, 0).max(1), starts)
        least = costliest[owner] - UNUSED * (self.budgets[-1] - self.budgets[0])
        scores[~feasible | (madds < least[:, None])] = -np.inf
        picked = []
        for start, count, request in zip(starts, counts, requests, strict=True):
            level, best = divmod(int(scores[start : start + count].argmax()), scores.shape[1])
            row = choices[start + level, best]
            if scores[start + level, best] == -np.inf:
                row = self._repair(choices[start, 0], probabilities[start], request)
            picked.append(space.decode(row))
        return picked

    def _mixtures(self, requests: Sequence[Request]) -> FloatArray:
        """[M, T]: the part that each superclass has in each request; rows sum to 1."""
        mixtures = np.zeros((len(requests), len(self.weights["superclass_embedding"])))
        for row, request in zip(mixtures, requests, strict=True):
            for superclass, weight in request.shares:
                row[superclass] = weight
        scaled: FloatArray = mixtures / mixtures.sum(1, keepdims=True)
        return scaled

    def probabilities(self, mixtures: FloatArray, madds: IntArray) -> FloatArray:
        """Probability of every gate (Eq. 8), given that those before it of its choice are on, [M, gates], for mixtures
        of superclasses [M, T] and budgets [M].

        A union is conditioned on the mean of its superclasses' embeddings, weighted by their numbers of classes, as
        a budget is on the interpolated embeddings of two budgets.
        """
        w = self.weights
        x = np.concatenate([mixtures @ w["superclass_embedding"], self._budget_embedding(madds)], axis=1)
        layout, size = self.space.layout, w["lstm.hidden"].shape[1]
        # tanh(x) = 2 sigmoid(2 x) - 1, so that one call takes all four gates, and an exponential is far cheaper.
        doubled = np.repeat([1.0, 1.0, 2.0, 1.0], size)
        from_input = (x @ w["lstm.input"].T + w["lstm.bias"]) * doubled
        recurrent = np.ascontiguousarray(w["lstm.hidden"].T * doubled)
        h = c = np.zeros((len(x), size))
        states = []
        for _ in range(layout.steps):
            i, f, g, o = np.split(_sigmoid(from_input + h @ recurrent), 4, 1)
            c = f * c + i * (2 * g - 1)
            h = o * (2 * _sigmoid(2 * c) - 1)
            states.append(h)
        sorts = np.split(
            np.stack(states, 1)[:, layout.step_of], np.cumsum([layout.units, layout.slots, layout.slots]), 1
        )
        options = max(layout.options) - (self.encoding == "single-path")
        logits = np.zeros((len(x), len(layout.options), options))
        for name, rows, part in zip(HEADS, layout.split(np.arange(len(layout.options))), sorts, strict=True):
            made = part @ w[f"{name}.weight"].T + w[f"{name}.bias"]
            logits[:, rows, : made.shape[2]] = made
        if self.encoding == "single-path":
            gates = _sigmoid(logits)
        else:
            there = np.arange(options) < np.asarray(layout.options)[:, None]
            gates = _gate_probabilities(np.where(there, logits, -np.inf))
        return np.asarray(gates[:, layout.choice_of, layout.rank_of])

    def _budget_embedding(self, madds: IntArray) -> FloatArray:
        """Linear interpolation between the embeddings of the two nearest budgets; flat outside the range."""
        position = np.interp(madds, self.budgets, np.arange(len(self.budgets)))
        low = np.minimum(position.astype(int), len(self.budgets) - 2)
        t = (position - low)[:, None]
        table = self.weights["budget_embedding"]
        mixed: FloatArray = (1 - t) * table[low] + t * table[low + 1]
        return mixed

    def _uniform(self, seed: int) -> FloatArray:
        """[samples, choices] numbers in [0, 1)."""
        count = len(self.space.options)
        # Raw words of PCG64 are the same in every numpy release; Generator's methods need not be.
        raw = np.random.PCG64(seed).random_raw(self.samples * count)
        return np.asarray(((raw >> np.uint64(40)) * 2.0**-24).reshape(self.samples, count))

    def _sampled(self, probabilities: FloatArray, uniform: FloatArray) -> IntArray:
        """Choices [M, 1 + samples, C] int8 within the bank; the first of each request is the likeliest, gate by gate.

        One number decides a choice: its index is at least i where the number is below the probability that the first i
        gates are on.
        """
        layout = self.space.layout
        padded = np.concatenate([probabilities, np.zeros((len(probabilities), 1))], 1)[:, layout.places]
        padded *= np.arange(padded.shape[2]) < self.space.most[:, None]
        choices = np.zeros((len(probabilities), 1 + len(uniform), len(layout.options)), np.int8)
        choices[:, 0] = np.logical_and.accumulate(padded > 0.5, 2).sum(2)
        for reached in np.cumprod(padded, 2).transpose(2, 0, 1):
            choices[:, 1:] += uniform < reached[:, None]
        return without_absent(self.space, choices)

    def _scores(self, mixtures: FloatArray, choices: IntArray) -> FloatArray:
        """[M, N] what the predictor expects of choices [M, N, C], up to a constant."""
        worth = np.concatenate([self.weights["predictor"], np.zeros((len(self.weights["predictor"]), 1))], 1)
        of_options = np.cumsum(worth[:, self.space.layout.places], 2)
        of_options = np.concatenate([np.zeros((*of_options.shape[:2], 1)), of_options], 2)
        _, columns, options = of_options.shape
        by_request = mixtures @ of_options.reshape(len(of_options), -1)
        rows = np.arange(len(choices))[:, None, None]
        return np.asarray(by_request[rows, choices + options * np.arange(columns)].sum(2))

    def _repair(self, choices: IntArray, probabilities: FloatArray, request: Request) -> IntArray:
        """Switch off gates of choices [C], least likely first, until the network fits; at most one step a gate."""
        layout = self.space.layout
        while choices.any() and not self._fits(choices, request):
            on = gates_of_choices(self.space, choices)
            gate = np.where(on, probabilities, np.inf).argmin()
            choices = choices.copy()
            choices[layout.choice_of[gate]] = layout.rank_of[gate]
            choices = without_absent(self.space, choices)
        return choices

    def _fits(self, choices: IntArray, request: Request) -> bool:
        bounds = [Limit(madds_table(self.space), request.madds), *request.limits]
        return all(bound.table.total(self.space, choices, request.classes) <= bound.most for bound in bounds)


def _sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(np.minimum(-x, LARGEST_EXPONENT))))


def _gate_probabilities(logits: FloatArray) -> FloatArray:
    """Options' logits [..., n] to nested gates' probabilities [..., n - 1]: sampled gate by gate, they give the options
    that their softmax gives."""
    p = np.exp(logits - logits.max(-1, keepdims=True))
    at_least = p[..., ::-1].cumsum(-1)[..., ::-1]
    return np.asarray(at_least[..., 1:] / np.maximum(at_least[..., :-1], np.finfo(np.float64).tiny))


def load(
    space: Space, superclasses: int, config: Mapping[str, object], tensors: Mapping[str, np.ndarray]
) -> GeneratorSelector:
    """The selector of a bundle.

    Args:
        config: the bundle's "selector" section: {"kind": "generator", "budgets": [K numbers], "samples": n}, and
            "cost" where it is not "madds", "encoding" where it is not "single-path".
        tensors: arrays named as in `GeneratorSelector.weights`, of any floating-point type.

    Raises:
        BundleError: something is missing or malformed; the message names it.
    """
    if not isinstance(space, ElasticSpace):
        raise BundleError(f"a generator picks from an elastic space; got a {type(space).__name__}")
    layout = space.layout
    budgets, samples = config.get("budgets"), config.get("samples")
    if (
        not isinstance(budgets, list)
        or len(budgets) < 2
        or not all(type(b) in (int, float) and math.isfinite(b) for b in budgets)
        or sorted(set(budgets)) != budgets
    ):
        raise BundleError(f"a generator's 'budgets' are two or more ascending numbers; got {reprlib.repr(budgets)}")
    if type(samples) is not int or not 1 <= samples <= MAX_SAMPLES:
        raise BundleError(
            f"a generator's 'samples' are an integer from 1 to {MAX_SAMPLES}; got {reprlib.repr(samples)}"
        )
    cost = config.get("cost", "madds")
    if cost not in COSTS:
        raise BundleError(f"a generator's 'cost' is one of {COSTS}; got {reprlib.repr(cost)}")
    encoding = config.get("encoding", ENCODINGS[0])
    if encoding not in ENCODINGS:
        raise BundleError(f"a generator's 'encoding' is one of {ENCODINGS}; got {reprlib.repr(encoding)}")
    depth, hidden = (_columns(tensors, name) for name in ("superclass_embedding", "lstm.hidden"))
    shapes = {
        "superclass_embedding": (superclasses, depth),
        "budget_embedding": (len(budgets), depth),
        "lstm.input": (4 * hidden, 2 * depth),
        "lstm.hidden": (4 * hidden, hidden),
        "lstm.bias": (4 * hidden,),
        "predictor": (superclasses, layout.gates),
    }
    for head, gates in zip(HEADS, layout.widths, strict=True):
        outputs = gates + (encoding == "multi-path")
        shapes |= {f"{head}.weight": (outputs, hidden), f"{head}.bias": (outputs,)}
    for name, shape in shapes.items():
        check_tensor(f"the generator's tensor {name!r}", tensors.get(name), shape)
    weights = {name: np.ascontiguousarray(tensors[name], np.float64) for name in shapes}
    return GeneratorSelector(space, np.asarray(budgets, np.float64), weights, samples, str(cost), str(encoding))


def _columns(tensors: Mapping[str, np.ndarray], name: str) -> int:
    tensor = tensors.get(name)
    if tensor is None or tensor.ndim != 2:
        raise BundleError(f"the generator's tensor {name!r} has two axes; got {getattr(tensor, 'shape', 'nothing')}")
    return int(tensor.shape[1])
