"""A bundle of a published network as it is: its input sizes are the budgets."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from eas_sdk.bank.bundle import Bundle, check
from eas_sdk.errors import DataError
from eas_sdk.task import Superclass
from eas_train.bundle import assemble, half
from eas_train.pretrained.importer import Pretrained
from eas_train.pretrained.labels import imagenet_labels
from eas_train.selection import Selection
from eas_train.statistics.model import constant

IMAGENET = "imagenet"
"""The only superclass: all 1,000 classes."""


def published_bundle(pretrained: Pretrained, name: str, labels: Sequence[str] | None = None) -> Bundle:
    """The largest network at every input size, without any training.

    Smaller images cost less and are recognised less well; a budget takes the largest that it pays for. Depths, kernels
    and ratios wait for a training: smaller ones do not work untrained.

    Args:
        labels: one for each row of the classifier; by default ImageNet's.

    Raises:
        DataError: another number of labels than the classifier has rows, or one twice.
    """
    space = pretrained.net.elastic
    labels = imagenet_labels() if labels is None else labels
    if len(labels) != pretrained.net.classes or len(set(labels)) != len(labels):
        raise DataError(
            f"a classifier of {pretrained.net.classes} rows has as many labels, none twice; got {len(labels)}, "
            f"{len(set(labels))} of them different (--labels FILE names them)"
        )
    sizes = [size for size in space.input_sizes if size <= (space.largest.input_size or size)]
    listed = [
        space.largest if space.largest.input_size is None else dataclasses.replace(space.largest, input_size=size)
        for size in sizes
    ]
    scores = np.linspace(0, 1, len(listed), dtype=np.float32)[None] if len(listed) > 1 else np.ones((1, 1), np.float32)
    whole = assemble(
        name,
        pretrained.net,
        constant(space, pretrained.statistics),
        Selection({"kind": "menu"}, {"choices": space.encode(listed), "scores": scores}),
        [Superclass(IMAGENET, tuple(labels))],
        training={"imported": name},
        attributions=[pretrained.source.attribution],
    )
    made = half(whole)
    check(made)  # before anything is written
    return made
