"""A bundle of a published network as it is: its input sizes are the budgets."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from eas_sdk.bank.bundle import CLASSIFIER, CLASSIFIER_BIAS, Bundle, check
from eas_sdk.errors import DataError
from eas_sdk.names import same
from eas_sdk.task import Superclass
from eas_train.bundle import assemble, half
from eas_train.data.class_lists import read_list
from eas_train.pretrained.importer import Pretrained
from eas_train.pretrained.labels import LIST, imagenet_rows
from eas_train.selection import Selection
from eas_train.statistics.model import constant


def published_bundle(pretrained: Pretrained, name: str, labels: Sequence[str] | None = None) -> Bundle:
    """The largest network at every input size, without any training.

    Smaller images cost less and are recognised less well; a budget takes the largest that it pays for. Depths, kernels
    and ratios wait for a training: smaller ones do not work untrained.

    Args:
        labels: one for each row of the classifier, which are then one superclass, `name`; by default ImageNet's, in the
            superclasses of the list "imagenet".

    Raises:
        DataError: another number of labels than the classifier has rows, or one twice.
    """
    space = pretrained.net.elastic
    rows: Sequence[int] = range(pretrained.net.classes)
    if labels is not None:
        superclasses = [Superclass(name, tuple(labels))]
    else:
        superclasses = [Superclass(s.name, s.class_names) for s in read_list(LIST).superclasses]
        rows = imagenet_rows([label for s in superclasses for label in s.labels])
    named = [same(label) for s in superclasses for label in s.labels]
    if len(named) != pretrained.net.classes or len(set(named)) != len(named):
        raise DataError(
            f"a classifier of {pretrained.net.classes} rows has as many labels, none twice; got {len(named)}, "
            f"{len(set(named))} of them different (--labels FILE names them)"
        )
    sizes = [size for size in space.input_sizes if size <= (space.largest.input_size or size)]
    listed = [
        space.largest if space.largest.input_size is None else dataclasses.replace(space.largest, input_size=size)
        for size in sizes
    ]
    scores = np.tile(np.linspace(0, 1, len(listed), dtype=np.float32), (len(superclasses), 1))
    whole = assemble(
        name,
        pretrained.net,
        constant(space, pretrained.statistics),
        Selection({"kind": "menu"}, {"choices": space.encode(listed), "scores": scores}),
        superclasses,
        training={"imported": name},
        attributions=[pretrained.source.attribution],
    )
    tensors = {name: whole.tensors[name][np.asarray(rows)] for name in (CLASSIFIER, CLASSIFIER_BIAS)}
    made = half(dataclasses.replace(whole, tensors={**whole.tensors, **tensors}))
    check(made)  # before anything is written
    return made
