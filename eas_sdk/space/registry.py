"""The forms of spaces, by the "kind" in their JSON."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping

from eas_sdk.errors import BundleError
from eas_sdk.space.cells.space import KIND as CELLS
from eas_sdk.space.cells.space import CellSpace
from eas_sdk.space.elastic.space import KIND as ELASTIC
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.protocol import Space

FORMS: Mapping[str, Callable[[object], Space]] = {ELASTIC: ElasticSpace.from_json, CELLS: CellSpace.from_json}


def from_json(data: object) -> Space:
    """The space that `Space.to_json` wrote.

    Raises:
        BundleError: the kind is unknown, or a field is missing, unknown or of the wrong type.
        ArchitectureError: the values break a rule of the space.
    """
    kind = data.get("kind") if isinstance(data, Mapping) else data
    if not isinstance(kind, str) or kind not in FORMS:
        raise BundleError(f"a search space is an object of a kind in {sorted(FORMS)}; got {reprlib.repr(kind)}")
    return FORMS[kind](data)
