"""ImageNet's 1,000 classes: in the order of published classifiers, and as superclasses."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Sequence

from eas_sdk.errors import DataError, closest
from eas_train.data.class_lists import read_list

LIST = "imagenet"
"""The class list that has them all, in superclasses."""


def imagenet_labels() -> tuple[str, ...]:
    """ImageNet's own names, in the order of published classifiers, none twice."""
    return tuple(name for _, name in _published())


def imagenet_rows(classes: Sequence[str]) -> list[int]:
    """Rows of published classifiers for classes of the list "imagenet".

    Raises:
        DataError: a class is none of them.
    """
    by_id = {wnid: row for row, (wnid, _) in enumerate(_published())}
    by_name = {listed.name: by_id[listed.id] for listed in read_list(LIST).classes}
    for name in classes:
        if name not in by_name:
            raise DataError(
                f"a published network knows the classes of the list {LIST!r}; got {name!r}; {closest(name, by_name)}"
            )
    return [by_name[name] for name in classes]


def _published() -> list[tuple[str, str]]:
    """WordNet id and name of each row."""
    text = (importlib.resources.files("eas_train") / "pretrained" / "imagenet-1000.json").read_text(encoding="utf-8")
    return [(wnid, name) for wnid, name in json.loads(text)]
