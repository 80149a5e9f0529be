"""The space: its rules, its JSON form, and which architectures are members."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import architectures, members, spaces

from eas_sdk.errors import ArchitectureError, BundleError
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic.backbones import PAPER, SMALL
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.presets import PRESETS
from eas_sdk.space.widths import make_divisible

# What trainings and bundles have recorded; a change of these texts would orphan them.
STAGES = [
    {"width": 24, "stride": 2, "activation": "relu", "squeeze_excite": False},
    {"width": 40, "stride": 2, "activation": "relu", "squeeze_excite": True},
    {"width": 80, "stride": 2, "activation": "hard_swish", "squeeze_excite": False},
    {"width": 112, "stride": 1, "activation": "hard_swish", "squeeze_excite": True},
    {"width": 160, "stride": 2, "activation": "hard_swish", "squeeze_excite": True},
]
RECORDED: dict[str, dict[str, Any]] = {
    "paper": {
        "kind": "elastic-mobilenetv3",
        "input_size": 224,
        "width_multiplier": 1.0,
        "stem_stride": 2,
        "stem_width": 16,
        "head_width": 960,
        "feature_width": 1280,
        "stages": STAGES,
        "depths": [2, 3, 4],
        "kernels": [3, 5, 7],
        "expansions": [3, 4, 6],
        "largest": {"units": [["k7e6"] * 4] * 5},
    }
}
RECORDED["small"] = RECORDED["paper"] | {
    "input_size": 64,
    "width_multiplier": 0.4,
    "stages": [*STAGES[:-1], STAGES[-1] | {"stride": 1}],
}


@pytest.mark.parametrize("name", RECORDED)
def test_the_presets_keep_their_json_to_the_byte(name: str) -> None:
    assert json.dumps(PRESETS[name].to_json()) == json.dumps(RECORDED[name])


@given(spaces())
def test_json_round_trip(space: ElasticSpace) -> None:
    assert ElasticSpace.from_json(json.loads(json.dumps(space.to_json()))) == space


@pytest.mark.parametrize(
    ("value", "expected"), [(1, 8), (11.9, 16), (16, 16), (19, 24), (44.8, 48), (64, 64), (0.4 * 24, 16)]
)
def test_make_divisible(value: float, expected: int) -> None:
    assert make_divisible(value) == expected


@given(st.floats(0.1, 1e5))
def test_make_divisible_is_near_and_ascends(value: float) -> None:
    made = make_divisible(value)
    assert made % 8 == 0
    assert made >= max(8, 0.9 * value)
    assert abs(made - value) <= max(8, 0.1 * value)
    assert make_divisible(value * 1.01) >= made


def test_the_paper_s_hidden_widths() -> None:
    assert PAPER.hidden(0, 0, 3) == 48
    assert PAPER.hidden(0, 1, 6) == 144
    assert PAPER.hidden(2, 0, 4) == 160
    assert PAPER.hidden(4, 3, 6) == 960
    assert SMALL.widths(0, 0) == (8, 16)
    assert SMALL.widths(4, 0) == (48, 64)
    assert SMALL.widths(4, 1) == (64, 64)


@given(members())
def test_members_are_members(member: tuple[ElasticSpace, Architecture]) -> None:
    space, architecture = member
    space.validate(architecture)
    space.validate(architecture, within=None)
    space.validate(space.smallest)
    space.validate(space.largest)


def _outside(space: ElasticSpace, value: int, sort: str) -> Architecture:
    """The smallest member with another kernel or expansion in the last block of unit 1."""
    units = [list(unit) for unit in space.smallest.units]
    units[1][-1] = dataclasses.replace(units[1][-1], **{sort: value})
    return Architecture(tuple(tuple(unit) for unit in units))


@pytest.mark.parametrize(("sort", "value"), [("kernel", 4), ("kernel", 9), ("expansion", 5), ("expansion", 8)])
def test_a_foreign_choice_is_named(sort: str, value: int) -> None:
    allowed = {"kernel": "[3, 5, 7]", "expansion": "[3, 4, 6]"}[sort]
    with pytest.raises(ArchitectureError) as caught:
        PAPER.validate(_outside(PAPER, value, sort))
    assert str(caught.value) == f"block 1 of unit 1 may have {sort} {allowed}; got {value}"


@pytest.mark.parametrize(("depth", "unit"), [(1, 0), (5, 4), (0, 2)])
def test_a_foreign_depth_is_named(depth: int, unit: int) -> None:
    units = list(PAPER.smallest.units)
    units[unit] = (Block(3, 3),) * depth
    with pytest.raises(ArchitectureError) as caught:
        PAPER.validate(Architecture(tuple(units)))
    assert str(caught.value) == f"unit {unit} may have [2, 3, 4] blocks; got {depth}"


@pytest.mark.parametrize("units", [0, 4, 6])
def test_a_foreign_number_of_units_is_named(units: int) -> None:
    with pytest.raises(ArchitectureError, match=f"5 units; got {units}"):
        PAPER.validate(Architecture(((Block(3, 3),) * 2,) * units))


def test_text_is_no_architecture_yet() -> None:
    with pytest.raises(ArchitectureError, match="parse"):
        PAPER.validate(str(PAPER.smallest))  # type: ignore[arg-type]


def test_a_narrowed_space_names_its_own_bound() -> None:
    largest = Architecture.parse("k5e4 k7e6 k3e3" + " | k7e6 k7e6 k7e6 k7e6" * 4)
    space = dataclasses.replace(PAPER, largest=largest)
    space.validate(largest)
    deeper = Architecture(((Block(3, 3),) * 4, *space.smallest.units[1:]))
    with pytest.raises(ArchitectureError, match=r"unit 0 may have \[2, 3\] blocks; got 4"):
        space.validate(deeper)
    space.validate(deeper, within=None)
    wider = Architecture(((Block(5, 6), Block(3, 3)), *space.smallest.units[1:]))
    with pytest.raises(ArchitectureError, match=r"block 0 of unit 0 may have expansion \[3, 4\]; got 6"):
        space.validate(wider)
    with pytest.raises(ArchitectureError, match=r"block 0 of unit 0 may have kernel \[3, 5\]; got 7"):
        space.validate(Architecture(((Block(7, 4), Block(3, 3)), *space.smallest.units[1:])))


@given(spaces(narrowed=False), st.data())
def test_a_narrowed_space_has_exactly_what_is_nested_in_its_largest(space: ElasticSpace, data: st.DataObject) -> None:
    bound, architecture = data.draw(architectures(space)), data.draw(architectures(space))
    narrow = dataclasses.replace(space, largest=bound)
    nested = all(
        len(unit) <= len(most)
        and all(b.kernel <= m.kernel and b.expansion <= m.expansion for b, m in zip(unit, most, strict=False))
        for unit, most in zip(architecture.units, bound.units, strict=True)
    )
    try:
        narrow.validate(architecture)
    except ArchitectureError:
        assert not nested
    else:
        assert nested


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input_size", 7),
        ("input_size", 2049),
        ("input_size", 64.0),
        ("input_size", True),
        ("input_size", "64"),
        ("stem_stride", 0),
        ("stem_stride", 3),
        ("stem_stride", True),
        ("stem_width", 0),
        ("stem_width", -16),
        ("head_width", 2.5),
        ("feature_width", None),
        ("width_multiplier", 0.0),
        ("width_multiplier", -1.0),
        ("width_multiplier", float("nan")),
        ("width_multiplier", float("inf")),
        ("width_multiplier", 1e308),
        ("width_multiplier", "1"),
        ("width_multiplier", True),
        ("stages", ()),
        ("stages", PAPER.stages * 4),
        ("depths", ()),
        ("depths", tuple(range(1, 10))),
        ("depths", (0, 2)),
        ("depths", (2, 10**9)),  # one gate a unit, and a thousand million slots
        ("depths", (2, 17)),
        ("expansions", (3, 100)),
        ("kernels", (3, 4)),
        ("kernels", (5, 3)),
        ("kernels", (3, 3)),
        ("kernels", (-1, 3)),
        ("expansions", (3, 4.0)),
        ("expansions", ("3",)),
        ("largest", Architecture.parse("k3e6")),
        ("largest", Architecture.parse(" | ".join(["k9e6 k3e6"] * 5))),
    ],
)
def test_a_rule_that_a_space_breaks_is_named(field: str, value: object) -> None:
    with pytest.raises(ArchitectureError) as caught:
        dataclasses.replace(PAPER, **{field: value})
    if field != "largest":
        assert field in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("width", 0), ("width", 24.0), ("stride", 3), ("stride", 0), ("activation", "tanh"), ("squeeze_excite", 1)],
)
def test_a_rule_that_a_stage_breaks_is_named(field: str, value: object) -> None:
    values: dict[str, Any] = {"width": 24, "stride": 2, "activation": "relu", "squeeze_excite": False}
    with pytest.raises(ArchitectureError, match=field):
        Stage(**(values | {field: value}))


@pytest.mark.parametrize("field", sorted(RECORDED["paper"]))
def test_a_missing_field_is_named(field: str) -> None:
    data = {k: v for k, v in RECORDED["paper"].items() if k != field}
    with pytest.raises(BundleError, match=field if field != "kind" else "elastic-mobilenetv3"):
        ElasticSpace.from_json(data)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("kind", "elastic-resnet", "elastic-resnet"),
        ("extra", 1, "extra"),
        ("depths", "234", "depths"),  # int() would read its characters
        ("depths", [2.7, 3.2], "depths"),
        ("kernels", {"3": 5}, "kernels"),
        ("stages", "", "stages"),
        ("stages", [[24, 2, "relu", False]], "stage"),
        ("stages", [STAGES[0] | {"colour": 1}], "colour"),
        ("stages", [{"width": 24}], "stage"),
        ("stages", [STAGES[0] | {"activation": ["relu"]}], "activation"),
        ("largest", None, "units"),
        ("largest", {"units": []}, "units"),
    ],
)
def test_malformed_json_is_named(field: str, value: object, named: str) -> None:
    with pytest.raises((BundleError, ArchitectureError)) as caught:
        ElasticSpace.from_json(RECORDED["paper"] | {field: value})
    assert named in str(caught.value)


@pytest.mark.parametrize("data", [None, [], "paper", 3, {"kind": ["elastic-mobilenetv3"]}])
def test_no_object_is_no_space(data: object) -> None:
    with pytest.raises(BundleError, match="elastic-mobilenetv3"):
        ElasticSpace.from_json(data)
