"""Search spaces that a recipe defines: a preset in which something is other, or one written out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eas_sdk.errors import InputError, closest
from eas_sdk.space import registry
from eas_sdk.space.elastic.space import KIND, ElasticSpace
from eas_sdk.space.protocol import Space

CHOICES = ("depths", "kernels", "expansions")


def changed(space: Space, changes: Mapping[str, Any]) -> Space:
    """A space in which some fields are other.

    Args:
        changes: fields in the form of `Space.to_json`, of which those of `stem` and `head` may be given in part;
            `depths`, `kernels` or `expansions` are set in every unit that has a choice of them. With "kind", a whole
            space, and `space` does not matter.

    Raises:
        InputError: a field is unknown, or the space is not elastic.
        BundleError, ArchitectureError: the values break a rule of the space.
    """
    if not changes:
        return space
    if "kind" in changes:
        return registry.from_json({"largest": _most(changes), **changes} if changes["kind"] == KIND else changes)
    if not isinstance(space, ElasticSpace):
        raise InputError("fields are changed in elastic spaces; a space of cells is written out whole, with its kind")
    data: dict[str, Any] = dict(space.to_json())
    known = [*(set(data) - {"kind"}), *CHOICES]
    for name, value in changes.items():
        if name not in known:
            raise InputError(f"a space has no field {name!r}; {closest(name, sorted(known))}")
        if name in CHOICES:
            data["units"] = [unit | {name: value} if len(unit[name]) > 1 else unit for unit in data["units"]]
        elif name in ("stem", "head") and isinstance(value, Mapping):
            data[name] = data[name] | value
        else:
            data[name] = value
    if "largest" not in changes:
        data["largest"] = _most(data)
    return registry.from_json(data)


def _most(space: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of the largest architecture that the choices allow; of malformed ones anything, as they are refused."""
    try:
        units = [[f"k{unit['kernels'][-1]}e{unit['expansions'][-1]:g}"] * unit["depths"][-1] for unit in space["units"]]
        sizes = space["input_sizes"]
        return {"units": units} | ({"input_size": sizes[-1]} if len(sizes) > 1 else {})
    except (TypeError, KeyError, IndexError, ValueError):
        return {}
