"""What a training begins with where it does not begin with nothing: the bank of a bundle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from eas_sdk.bank.bundle import Bundle
from eas_sdk.names import same
from eas_train.bundle import to_supernet
from eas_train.statistics.model import to_learned
from eas_train.supernet.model import Supernet


@dataclass(frozen=True, eq=False)
class Start:
    """A bundle whose weights, adapters and statistics a supernet begins with."""

    bundle: Bundle

    def supernet(self, classes: Sequence[str]) -> Supernet:
        """A supernet of the bundle's space, in evaluation mode, whose statistics are learned.

        Classes that the bundle knows by name keep their rows of the classifier; those of others are zeros.
        """
        net, statistics = to_supernet(self.bundle)
        net.learned = to_learned(statistics)
        row_of = {same(label): row for row, label in enumerate(self.bundle.labels)}
        new = [row for row, name in enumerate(classes) if same(name) in row_of]
        old = [row_of[same(classes[row])] for row in new]
        for suffix in ("weight", "bias"):
            tensor = net.tensor(f"classifier.{suffix}")
            rows = tensor.data.new_zeros(len(classes), *tensor.shape[1:])
            rows[new] = tensor.data[old]
            tensor.data = rows
        net.classes = len(classes)
        return net

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that is begun with, in hex."""
        bundle = self.bundle
        facts = [bundle.space.to_json(), list(bundle.labels), bundle.mean, bundle.std, bundle.adapters]
        total = hashlib.sha256(json.dumps(facts).encode())
        for name, tensor in sorted(bundle.tensors.items()):
            if name.startswith(("bank/", "statistics/", "adapters/")):
                total.update(name.encode() + np.ascontiguousarray(tensor).tobytes())
        return total.hexdigest()
