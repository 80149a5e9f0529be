"""Spaces that a recipe defines: a preset in which something is other, or one written out."""

from __future__ import annotations

import pytest

from eas_sdk.errors import EasError, InputError
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.presets import PRESETS
from eas_train.space import changed


def test_fields_choices_and_parts_of_the_stem_are_changed() -> None:
    space = changed(PRESETS["small"], {"input_sizes": [32], "stem": {"stride": 1}, "kernels": [3, 5]})
    assert isinstance(space, ElasticSpace)
    assert space.input_sizes == (32,)
    assert (space.stem.stride, space.stem.width) == (1, 16)
    assert {unit.kernels for unit in space.units[1:]} == {(3, 5)}
    assert space.units[0].kernels == (3,)
    assert {block.kernel for unit in space.largest.units[1:] for block in unit} == {5}
    assert changed(PRESETS["small"], {}) is PRESETS["small"]


@pytest.mark.parametrize("name", ["small", "paper", "lite0", "nse-small"])
def test_a_whole_space_does_not_need_the_preset(name: str) -> None:
    data = dict(PRESETS[name].to_json())
    assert changed(PRESETS["small"], data) == PRESETS[name]
    if isinstance(PRESETS[name], ElasticSpace):
        del data["largest"]
        assert changed(PRESETS["small"], data) == PRESETS[name]


@pytest.mark.parametrize(
    "changes",
    [{"kernels": [3, 4]}, {"units": 3}, {"stem": 7}, {"kernels": []}, {"units": [{}]}, {"kind": "elastic"}],
)
def test_what_makes_no_space_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(EasError):
        changed(PRESETS["small"], changes)


def test_a_misspelt_field_is_named_with_the_closest() -> None:
    with pytest.raises(InputError, match=r"'kernal'.*kernels"):
        changed(PRESETS["small"], {"kernal": [3]})
    with pytest.raises(InputError, match="space of cells is written out whole"):
        changed(PRESETS["nse-small"], {"input_size": 32})
