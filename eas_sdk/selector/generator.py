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

import itertools
import math
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from eas_sdk.bank.bundle import check_tensor
from eas_sdk.errors import BundleError
from eas_sdk.processes import PickledByFields
from eas_sdk.selector.lstm import FloatArray, Lstm, sigmoid
from eas_sdk.selector.protocol import AnyMember, Limit, Request
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.gates import without_absent
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.protocol import IntArray, Space
from eas_sdk.space.tables import madds_range, madds_table

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

CHUNK_ROWS = 2**9
"""Budgets that the generator is asked for together, each of one request: so many hidden states fit memory."""

REPAIR_STEPS = 8
"""Gates that are switched off before it is seen which step was enough."""

CHUNK_CHOICES = 80_000
"""Requests are sampled together while their choices are at most so many: their arrays then stay in the cache."""


@dataclass(frozen=True, eq=False)
class GeneratorSelector(PickledByFields, AnyMember):
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
        for together in self._chunks(requests, CHUNK_ROWS):
            mixtures, levels = self._mixtures(together), self._budgets(together)
            probabilities = self.probabilities(mixtures, levels)
            start = 0
            for few in self._chunks(together, CHUNK_CHOICES // max(1, uniform.size)):
                rows = slice(start, start + sum(map(self._levels, few)))
                picked += self._pick(few, mixtures[rows], probabilities[rows], uniform)
                start = rows.stop
        return picked

    def _chunks(self, requests: Sequence[Request], most: int) -> Iterator[Sequence[Request]]:
        """Requests in order, as many at a time as have at most so many rows, at least one."""
        start = rows = 0
        for stop, request in enumerate(requests):
            count = self._levels(request)
            if start < stop and rows + count > most:
                yield requests[start:stop]
                start, rows = stop, 0
            rows += count
        if requests:
            yield requests[start:]

    def _levels(self, request: Request) -> int:
        """For how many budgets in multiply-adds, the one thing that it knows, the generator is asked."""
        return LEVELS if request.limits or self.cost != "madds" else 1

    def _budgets(self, requests: Sequence[Request]) -> IntArray:
        """[rows]: the budgets that the generator is asked for."""
        budgets: list[int] = []
        for request in requests:
            if (count := self._levels(request)) == 1:
                budgets.append(request.madds)
                continue
            low, high = madds_range(self.space, request.classes)
            most = min(high, request.madds) if self.cost == "madds" else high
            budgets += np.linspace(low, most, count).astype(np.int64).tolist()
        return np.array(budgets, np.int64)

    def _pick(
        self, requests: Sequence[Request], mixtures: FloatArray, probabilities: FloatArray, uniform: FloatArray
    ) -> list[Architecture]:
        """The best sample for each request, from mixtures and probabilities of each of its rows."""
        space = self.space
        counts = np.array([self._levels(request) for request in requests])
        owner = np.repeat(np.arange(len(requests)), counts)
        starts = np.cumsum(counts) - counts
        limits, classes = (
            np.array([getattr(request, name) for request in requests])[owner] for name in ("madds", "classes")
        )
        choices = self._sampled(probabilities, uniform)
        parts = space.parts(choices)
        madds = madds_table(space).of_parts(parts, classes[:, None])
        feasible = madds <= limits[:, None]
        for start, count, request in zip(starts, counts, requests, strict=True):
            rows = slice(start, start + count)
            for limit in request.limits:
                feasible[rows] &= limit.table.total(space, choices[rows], request.classes) <= limit.most
        costliest = np.maximum.reduceat(np.where(feasible, madds, 0).max(1), starts)
        least = costliest[owner] - UNUSED * (self.budgets[-1] - self.budgets[0])
        candidates = feasible & (madds >= least[:, None])
        scores = np.full(candidates.shape, -np.inf)
        places = parts[candidates]
        places += self._worth.shape[1] * np.nonzero(candidates)[0][:, None]
        scores[candidates] = (mixtures @ self._worth).take(places).sum(1)  # what is expected, up to a constant
        highest = scores.max(1)
        of_request = [s + highest[s : s + n].argmax() if n > 1 else s for s, n in zip(starts, counts, strict=True)]
        best = choices[of_request, scores[of_request].argmax(1)]
        for found in np.flatnonzero(highest[of_request] == -np.inf).tolist():
            start = starts[found]
            best[found] = self._repair(choices[start, 0], probabilities[start], requests[found])
        return [space.decode(row) for row in best]

    def _mixtures(self, requests: Sequence[Request]) -> FloatArray:
        """[rows, T]: the part that each superclass has in each request; rows sum to 1."""
        mixtures = np.zeros((len(requests), len(self.weights["superclass_embedding"])))
        for row, request in zip(mixtures, requests, strict=True):
            for superclass, weight in request.shares:
                row[superclass] = weight
        scaled: FloatArray = mixtures / mixtures.sum(1, keepdims=True)
        return scaled.repeat([self._levels(request) for request in requests], 0)

    def probabilities(self, mixtures: FloatArray, madds: IntArray) -> FloatArray:
        """Probability of every gate (Eq. 8), given that those before it of its choice are on, [M, gates], for mixtures
        of superclasses [M, T] and budgets [M].

        A union is conditioned on the mean of its superclasses' embeddings, weighted by their numbers of classes, as
        a budget is on the interpolated embeddings of two budgets.
        """
        layout = self.space.layout
        weight, bias, first = self._heads
        logits = self.states(mixtures, madds) @ weight + bias
        if self.encoding == "single-path":
            return sigmoid(logits[:, layout.step_of[layout.choice_of], first[layout.choice_of] + layout.rank_of])
        options = np.arange(max(layout.options))
        there = options < np.asarray(layout.options)[:, None]
        columns = first[:, None] + np.where(there, options, 0)
        gates = _gate_probabilities(np.where(there, logits[:, layout.step_of[:, None], columns], -np.inf))
        return np.asarray(gates[:, layout.choice_of, layout.rank_of])

    def states(self, mixtures: FloatArray, madds: IntArray) -> FloatArray:
        """[M, steps, H]: the hidden states of the LSTM."""
        x = np.concatenate([mixtures @ self.weights["superclass_embedding"], self._budget_embedding(madds)], axis=1)
        return self._lstm.states(x, self.space.layout.steps)

    @cached_property
    def _lstm(self) -> Lstm:
        return Lstm.of(*(self.weights[f"lstm.{name}"] for name in ("input", "hidden", "bias")))

    @cached_property
    def _heads(self) -> tuple[FloatArray, FloatArray, IntArray]:
        """All heads side by side: weights [H, outputs], biases, and the first output [choices] of each choice."""
        weights = [self.weights[f"{name}.weight"] for name in HEADS]
        biases = [self.weights[f"{name}.bias"] for name in HEADS]
        layout = self.space.layout
        starts = np.cumsum([0, *(len(bias) for bias in biases[:-1])])
        first = np.repeat(starts, [layout.units, layout.slots, layout.slots, 1])
        return np.ascontiguousarray(np.concatenate(weights).T), np.concatenate(biases), first

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
        gates are on. What lies beyond a unit's depth means nothing.
        """
        layout = self.space.layout
        padded = np.concatenate([probabilities, np.zeros((len(probabilities), 1))], 1)[:, layout.places]
        padded *= np.arange(padded.shape[2]) < self.space.most[:, None]
        choices = np.zeros((len(probabilities), 1 + len(uniform), len(layout.options)), np.int8)
        likely = reached = np.ones(padded.shape[:2])
        # numpy's own functions take longer over so short an axis.
        for rank, gate in enumerate(np.ascontiguousarray(padded.transpose(2, 0, 1))):
            likely, reached = likely * (gate > 0.5), reached * gate
            choices[:, 0] += likely > 0
            having = np.flatnonzero(np.asarray(layout.options) > 1 + rank)
            if 2 * len(having) > len(layout.options):
                choices[:, 1:] += uniform < reached[:, None]
            else:
                choices[:, 1:, having] += uniform[:, having] < reached[:, None, having]
        return choices

    @cached_property
    def _worth(self) -> FloatArray:
        """[T, 1 + parts]: what the predictor adds for each part, in the order of `Space.parts`; 0 for none."""
        space, layout, predictor = self.space, self.space.layout, self.weights["predictor"]
        of_gates = np.concatenate([predictor.T, np.zeros((1, len(predictor)))])[layout.places]
        of_options = np.concatenate([np.zeros((len(of_gates), 1, len(predictor))), np.cumsum(of_gates, 1)], 1)
        _, kernel, expansion, size = layout.split(of_options)
        sizes, _, kernels, expansions = space.grid.shape
        blocks = kernel[:, :kernels, None] + expansion[:, None, :expansions]
        for unit, places, first in zip(space.units, layout.places, layout.first_slot, strict=False):
            for depth, gate in zip(unit.depths[:-1], places, strict=False):
                blocks[first + depth] += predictor[:, gate]  # a depth counts at the first block that it adds
        worth = np.zeros((1 + space.ends.max(), len(predictor)))
        worth[space.grid], worth[space.ends[:, 0]], worth[0] = blocks, size[0, :sizes], 0
        return np.ascontiguousarray(worth.T)

    def _repair(self, choices: IntArray, probabilities: FloatArray, request: Request) -> IntArray:
        """Switch off gates of choices [C], least likely first, until the network fits."""
        bounds = [Limit(madds_table(self.space), request.madds), *request.limits]
        steps = self._shrinking(choices, probabilities)
        while rows := list(itertools.islice(steps, REPAIR_STEPS)):
            choices = np.array(rows)
            totals = [bound.table.total(self.space, choices, request.classes) for bound in bounds]
            fits = np.all([total <= bound.most for total, bound in zip(totals, bounds, strict=True)], 0)
            if fits.any():
                return np.asarray(choices[fits.argmax()])
        return np.asarray(choices[-1])

    def _shrinking(self, choices: IntArray, probabilities: FloatArray) -> Iterator[IntArray]:
        """Choices [C], and with one gate less each, the least likely, to the smallest."""
        layout, choices = self.space.layout, without_absent(self.space, choices.copy())
        yield choices.copy()
        for gate in probabilities.argsort(kind="stable").tolist():
            choice, rank = layout.choice_of[gate], layout.rank_of[gate]
            if choices[choice] > rank:  # else it is off already, or in an absent block
                choices[choice] = rank
                if choice < layout.units:
                    without_absent(self.space, choices)
                yield choices.copy()


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
