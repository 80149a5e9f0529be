"""The diagnosis of a supernet: what its members score, what its weights did, and what follows in plain words."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from eas_train.data.feed import AnyAugmentation, random_images
from eas_train.data.splits import Images
from eas_train.diagnosis.members import KINDS, NAMES, ends_and_middle, one_choice_at_a_time
from eas_train.diagnosis.weights import BlockUse, blocks_in_use
from eas_train.progress import progress
from eas_train.supernet.model import Supernet
from eas_train.supernet.score import EACH, Hits, Judge, Score

TRAINING_IMAGES = 1024
"""That batch-norm statistics are recorded on, at most."""
PASSED_BY = 128
"""Training images by which the share of a residual branch is taken."""
IDLE_SHARE = 0.1
"""A branch below this share of what passes it by hardly changes it."""
UNMOVED = 0.9
"""Filters above this cosine with where they began have hardly learned."""


@dataclass(frozen=True)
class Diagnosis:
    """What a diagnosis finds.

    Attributes:
        images: validation images that members were judged on.
        members: "smallest", "middle", "largest" of an elastic space; of another "smallest" and "largest".
        choices: kind -> label -> the member with that choice everywhere and the most of all else.
        blocks: of the largest member.
    """

    images: int
    members: Mapping[str, Score]
    choices: Mapping[str, Mapping[str, Score]]
    blocks: tuple[BlockUse, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-able: accuracies, differences with their 95% intervals over the images, blocks, sentences."""
        return {
            "validation_images": self.images,
            "members": {name: score.to_json() for name, score in self.members.items()},
            "slope": {
                name: _rounded(
                    difference(getattr(self.members["largest"], name), getattr(self.members["smallest"], name))
                )
                for name in ("top1", "within")
            },
            "choices": {
                kind: {
                    label: score.to_json()
                    | {
                        "most_minus_this": _rounded(difference(self.members["largest"].top1, score.top1)),
                        "most_minus_this_within": _rounded(difference(self.members["largest"].within, score.within)),
                    }
                    for label, score in by_label.items()
                }
                for kind, by_label in self.choices.items()
            },
            "blocks": [block.to_json() for block in self.blocks],
            "findings": self.findings(),
        }

    def findings(self) -> list[str]:
        """What has not been learned, a sentence each; one that says so where all has."""
        found = []
        largest = self.members["largest"].top1
        mean, low, high = (100 * v for v in difference(largest, self.members["smallest"].top1))
        if low <= 0:
            found.append(
                f"The largest network is no better than the smallest: {mean:+.1f} points ({low:.1f} to {high:.1f})."
            )
        for kind, by_label in self.choices.items():
            (least, score), most = next(iter(by_label.items())), list(by_label)[-1]
            mean, low, high = (100 * v for v in difference(largest, score.top1))
            if low <= 0:
                found.append(
                    f"A larger {NAMES[kind]} is not worth its price: {most} is {mean:+.1f} points ({low:.1f} to "
                    f"{high:.1f}) above {least} with all else at its most."
                )
        if idle := [b.block for b in self.blocks if b.residual_share is not None and b.residual_share < IDLE_SHARE]:
            found.append(
                f"{_listed(idle)} change what passes them by less than {IDLE_SHARE:.0%}: they have hardly been learned."
            )
        if unmoved := [m.layer for b in self.blocks for m in b.moved if m.cosine > UNMOVED]:
            found.append(f"The filters of {_listed(unmoved)} still point where they began (cosine over {UNMOVED}).")
        if outer := [m.layer for b in self.blocks for m in b.moved if m.rings and m.rings[-1] > UNMOVED >= m.cosine]:
            found.append(f"The outermost taps of {_listed(outer)} still are what they began as.")
        return found or ["Every part of the space that was looked at has been learned."]


def diagnose(
    net: Supernet,
    began: Supernet,
    train: Images,
    validation: Images,
    augmentation: AnyAugmentation,
    *,
    most_images: int = 2000,
    most_training: int = TRAINING_IMAGES,
) -> Diagnosis:
    """Look at a trained supernet.

    Members are recalibrated on training images, so that what is found is about weights alone; where statistics are
    learned they are part of what is looked at.

    Args:
        began: the same supernet with the weights that it began with.
        most_images: validation images at most, the same share of every class.
        most_training: training images at most that batch-norm statistics are recorded on.
    """
    judge = Judge.of(net, train, validation, augmentation, most_images=most_images, most_training=most_training)
    space, device = net.space, next(net.parameters()).device
    score = functools.cache(functools.partial(judge.score, net))
    members, by_choice = ends_and_middle(space), one_choice_at_a_time(space)
    choices: dict[str, dict[str, Score]] = {kind: {} for kind in KINDS if any(k == kind for k, _ in by_choice)}
    with progress("diagnosis", len(members) + len(by_choice)) as update:
        scores = {}
        for name, architecture in members.items():
            scores[name] = score(architecture)
            update(len(scores), name)
        for done, ((kind, label), architecture) in enumerate(by_choice.items(), len(scores) + 1):
            choices[kind][label] = score(architecture)
            update(done, label)
    count = min(PASSED_BY, most_training, EACH * len(train))
    was_training = net.training
    blocks = blocks_in_use(
        net.eval(), began, random_images(train, count, space.input_sizes[-1], augmentation, device, 0)
    )
    net.train(was_training)
    return Diagnosis(len(judge.images), scores, choices, tuple(blocks))


def difference(one: Hits, other: Hits) -> tuple[float, float, float]:
    """Mean of the paired difference of two members over images, with its 95% interval (normal)."""
    pairs = one.astype(np.float64) - other
    mean, half = pairs.mean(), 1.96 * pairs.std() / np.sqrt(len(pairs))
    return float(mean), float(mean - half), float(mean + half)


def _rounded(values: tuple[float, float, float]) -> list[float]:
    return [round(value, 4) for value in values]


def _listed(names: list[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
