"""Measuring sub-networks as the device would run them, for the predictor and for evaluations."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from eas_sdk.bank.atomic import write_atomically
from eas_sdk.errors import TrainingError
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.choices import choices_of_gates, decode, effective_gates, GateLayout
from eas_sdk.space.elastic import ElasticSpace
from eas_train.progress import progress
from eas_train.statistics.table import StatisticsTable
from eas_train.supernet.evaluate import logits_of
from eas_train.supernet.model import Supernet


def random_architecture(space: ElasticSpace, rng: random.Random) -> Architecture:
    """A draw that covers the whole range of costs: every gate is on with a probability that is itself uniform."""
    p = rng.random()
    gates = np.array([rng.random() < p for _ in range(GateLayout.of(space).gates)])
    return decode(space, choices_of_gates(space, effective_gates(space, gates)))


@torch.no_grad()
def superclass_scores(logits: Tensor, targets: Tensor, superclass_of: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Minus the cross-entropy (nats) and the top-1 accuracy within each superclass: [T] each."""
    known = superclass_of.unsqueeze(0) == superclass_of[targets].unsqueeze(1)
    masked = logits.masked_fill(~known, -torch.inf)
    log_p = masked.log_softmax(1).gather(1, targets.unsqueeze(1)).squeeze(1)
    right = (masked.argmax(1) == targets).float()
    owner = superclass_of[targets]
    count = int(superclass_of.max()) + 1
    groups = [owner == t for t in range(count)]
    return (
        np.array([float(log_p[g].mean()) for g in groups]),
        np.array([float(right[g].mean()) for g in groups]),
    )


def measure(
    net: Supernet,
    statistics: StatisticsTable,
    architectures: Sequence[Architecture],
    images: Tensor,
    targets: Tensor,
    superclass_of: Tensor,
    cache: Path,
    *,
    fingerprint: str,
) -> npt.NDArray[np.float64]:
    """Scores [N, T] of sub-networks (minus cross-entropy within each superclass); `cache` keeps what was measured.

    Raises:
        TrainingError: the cache belongs to another training.
    """
    known: dict[str, list[float]] = {}
    if cache.exists():
        data = json.loads(cache.read_text())
        if data.get("fingerprint") != fingerprint:
            raise TrainingError(f"{cache} belongs to another training; delete it to measure afresh")
        known = data["scores"]
    with progress("measuring sub-networks", len(architectures)) as update:
        for i, architecture in enumerate(architectures):
            key = str(architecture)
            if key not in known:
                logits = logits_of(net, architecture, images, statistics.norm(architecture))
                known[key] = [round(float(v), 5) for v in superclass_scores(logits, targets, superclass_of)[0]]
                if i % 20 == 19 or i + 1 == len(architectures):
                    write_atomically(cache, [json.dumps({"fingerprint": fingerprint, "scores": known}).encode()])
            update(i + 1, "")
    return np.array([known[str(a)] for a in architectures])
