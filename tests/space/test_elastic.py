"""The space: its rules, its JSON form, and which architectures are members."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
from typing import Any

import pytest
from bundles import SIZES
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import architectures, members, spaces

from eas_sdk.errors import ArchitectureError, BundleError
from eas_sdk.graph.cost import cost
from eas_sdk.graph.nodes import Conv2d, DepthwiseConv2d
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic.backbones import LITE0, MOBILENET_V3_LARGE, PAPER, SMALL
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.elastic.units import MAX_OPTIONS, Head, Stem, Unit
from eas_sdk.space.presets import PRESETS
from eas_sdk.space.protocol import size_of
from eas_sdk.space.widths import make_divisible


def _unit(width: int, stride: int, choices: str, activation: str, squeeze: bool = False) -> dict[str, Any]:
    """The JSON of a unit, its choices as "depths / kernels / ratios"."""
    depths, kernels, ratios = ([json.loads(word) for word in part.split()] for part in choices.split("/"))
    return {
        "width": width,
        "stride": stride,
        "depths": depths,
        "kernels": kernels,
        "expansions": ratios,
        "activation": activation,
        "squeeze_excite": squeeze,
    }


# What trainings and bundles have recorded; a change of these texts would orphan them.
OFA, FIRST = "2 3 4 / 3 5 7 / 3 4 6", "1 / 3 / 1"
PAPER_UNITS = [
    _unit(16, 1, FIRST, "relu"),
    _unit(24, 2, OFA, "relu"),
    _unit(40, 2, OFA, "relu", True),
    _unit(80, 2, OFA, "hard_swish"),
    _unit(112, 1, OFA, "hard_swish", True),
    _unit(160, 2, OFA, "hard_swish", True),
]
RECORDED: dict[str, dict[str, Any]] = {
    "paper": {
        "kind": "elastic",
        "input_sizes": [224],
        "stem": {"width": 16, "stride": 2, "activation": "hard_swish"},
        "units": PAPER_UNITS,
        "head": {"width": 960, "activation": "hard_swish", "feature": 1280, "feature_bias": False},
        "width_multiplier": 1.0,
        "padding": "symmetric",
        "epsilon": 1e-05,
        "largest": {"units": [["k3e1"], *[["k7e6"] * 4] * 5]},
    },
    "lite0": {
        "kind": "elastic",
        "input_sizes": [96, 128, 160, 192, 224],
        "stem": {"width": 32, "stride": 2, "activation": "relu6"},
        "units": [
            _unit(16, 1, FIRST, "relu6"),
            _unit(24, 2, "1 2 / 3 / 3 4 5 6", "relu6"),
            _unit(40, 2, "1 2 / 3 5 / 3 4 5 6", "relu6"),
            _unit(80, 2, "1 2 3 / 3 / 3 4 5 6", "relu6"),
            _unit(112, 1, "1 2 3 / 3 5 / 3 4 5 6", "relu6"),
            _unit(192, 2, "1 2 3 4 / 3 5 / 3 4 5 6", "relu6"),
            _unit(320, 1, "1 / 3 / 3 4 5 6", "relu6"),
        ],
        "head": {"width": 1280, "activation": "relu6", "feature": None, "feature_bias": False},
        "width_multiplier": 1.0,
        "padding": "same",
        "epsilon": 0.001,
        "largest": {
            "input_size": 224,
            "units": [
                ["k3e1"],
                ["k3e6"] * 2,
                ["k5e6"] * 2,
                ["k3e6"] * 3,
                ["k5e6"] * 3,
                ["k5e6"] * 4,
                ["k3e6"],
            ],
        },
    },
    "mobilenet-v3-large": {
        "kind": "elastic",
        "input_sizes": [96, 128, 160, 192, 224],
        "stem": {"width": 16, "stride": 2, "activation": "hard_swish"},
        "units": [
            _unit(16, 1, FIRST, "relu"),
            _unit(24, 2, "1 2 / 3 / 2 3 4", "relu"),
            _unit(40, 2, "1 2 3 / 3 5 / 2 3", "relu", True),
            _unit(80, 2, "1 2 3 4 / 3 / 2 2.3 2.5 3 4 6", "hard_swish"),
            _unit(112, 1, "1 2 / 3 / 3 4 6", "hard_swish", True),
            _unit(160, 2, "1 2 3 / 3 5 / 3 4 6", "hard_swish", True),
        ],
        "head": {"width": 960, "activation": "hard_swish", "feature": 1280, "feature_bias": True},
        "width_multiplier": 1.0,
        "padding": "symmetric",
        "epsilon": 0.001,
        "largest": {
            "input_size": 224,
            "units": [
                ["k3e1"],
                ["k3e4", "k3e3"],
                ["k5e3"] * 3,
                ["k3e6", "k3e2.5", "k3e2.3", "k3e2.3"],
                ["k3e6"] * 2,
                ["k5e6"] * 3,
            ],
        },
    },
}
RECORDED["small"] = RECORDED["paper"] | {
    "input_sizes": [64],
    "units": [*PAPER_UNITS[:-1], PAPER_UNITS[-1] | {"stride": 1}],
    "width_multiplier": 0.4,
}


@pytest.mark.parametrize("name", RECORDED)
def test_the_presets_keep_their_json_to_the_byte(name: str) -> None:
    assert json.dumps(PRESETS[name].to_json()) == json.dumps(RECORDED[name])


@given(spaces())
def test_json_round_trip(space: ElasticSpace) -> None:
    again = ElasticSpace.from_json(json.loads(json.dumps(space.to_json())))
    assert again == space
    assert hash(again) == hash(space)


@pytest.mark.parametrize(
    ("name", "madds", "without_se", "parameters"),
    [
        ("paper", 566_170_656, 563_666_208, 7_664_760),
        ("small", 19_004_928, 18_580_992, 1_712_504),
        ("lite0", 385_187_552, 385_187_552, 4_652_008),
        ("mobilenet-v3-large", 216_589_760, 215_082_560, 5_483_032),  # torchvision's own count of parameters
    ],
)
def test_the_largest_networks_are_the_published_ones(name: str, madds: int, without_se: int, parameters: int) -> None:
    space = PRESETS[name]
    counted = cost(space.structure(space.largest, 1000))
    assert (counted.madds, counted.madds_without_se, counted.parameters) == (madds, without_se, parameters)


def test_mobilenet_v3_large_by_its_table() -> None:
    """Howard et al. 2019, table 1: kernel, hidden width, output, whether there is SE, activation, stride."""
    table = """
        3 16 16 - RE 1 | 3 64 24 - RE 2 | 3 72 24 - RE 1 | 5 72 40 SE RE 2 | 5 120 40 SE RE 1 | 5 120 40 SE RE 1
        3 240 80 - HS 2 | 3 200 80 - HS 1 | 3 184 80 - HS 1 | 3 184 80 - HS 1 | 3 480 112 SE HS 1 | 3 672 112 SE HS 1
        5 672 160 SE HS 2 | 5 960 160 SE HS 1 | 5 960 160 SE HS 1
    """
    rows = [row.split() for line in table.strip().splitlines() for row in line.split("|")]
    space = MOBILENET_V3_LARGE
    nodes = {node.name: node for node in space.structure(space.largest, 1000)}
    blocks = [f"unit{u}.block{b}" for u, unit in enumerate(space.largest.units) for b in range(len(unit))]
    for name, (kernel, hidden, out, squeeze, activation, stride) in zip(blocks, rows, strict=True):
        middle, last = nodes[f"{name}.depthwise"], nodes[f"{name}.project"]
        assert isinstance(middle, DepthwiseConv2d)
        assert isinstance(last, Conv2d)
        found = middle.kernel, middle.channels, last.out_channels, middle.stride
        assert found == (int(kernel), int(hidden), int(out), int(stride)), name
        assert middle.activation == {"RE": "relu", "HS": "hard_swish"}[activation]
        assert (f"{name}.squeeze" in nodes) == (squeeze == "SE")
        assert (f"{name}.expand" in nodes) == (name != "unit0.block0")
    feature = nodes["feature"]
    assert isinstance(feature, Conv2d)
    assert (feature.bias, feature.out_channels, feature.activation) == ("own", 1280, "hard_swish")


@pytest.mark.parametrize("space", [LITE0, MOBILENET_V3_LARGE], ids=["lite0", "mobilenet-v3-large"])
def test_what_a_backbone_s_space_offers(space: ElasticSpace) -> None:
    assert space.input_sizes == (96, 128, 160, 192, 224)
    assert size_of(space, space.largest) == 224
    assert str(space.smallest).startswith("96px k3e1 | k3e")
    assert all(len(unit) == 1 for unit in space.smallest.units)
    for size in space.input_sizes:  # no map is odd but the last, so that same padding is the same everywhere
        nodes = space.structure(dataclasses.replace(space.largest, input_size=size), 10)
        assert nodes[0] == dataclasses.replace(nodes[0], size=size)
        sides = {node.size for node in nodes if isinstance(node, (Conv2d, DepthwiseConv2d)) and node.stride == 2}
        assert all(side % 2 == 0 for side in sides)


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


def test_hidden_widths() -> None:
    assert PAPER.hidden(0, 0, 1) == 16
    assert PAPER.hidden(1, 0, 3) == 48
    assert PAPER.hidden(1, 1, 6) == 144
    assert PAPER.hidden(3, 0, 4) == 160
    assert PAPER.hidden(5, 3, 6) == 960
    assert MOBILENET_V3_LARGE.hidden(3, 1, 2.5) == 200
    assert MOBILENET_V3_LARGE.hidden(3, 2, 2.3) == 184
    assert SMALL.widths(0, 0) == (8, 8)
    assert SMALL.widths(1, 0) == (8, 16)
    assert SMALL.widths(5, 0) == (48, 64)
    assert SMALL.widths(5, 1) == (64, 64)


@given(members())
def test_members_are_members(member: tuple[ElasticSpace, Architecture]) -> None:
    space, architecture = member
    space.validate(architecture)
    space.validate(architecture, within=None)
    space.validate(space.smallest)
    space.validate(space.largest)


@given(members())
def test_a_size_is_said_where_there_is_a_choice(member: tuple[ElasticSpace, Architecture]) -> None:
    space, architecture = member
    if len(space.input_sizes) == 1:
        assert architecture.input_size is None
        other = dataclasses.replace(architecture, input_size=space.input_sizes[0])
        named = rf"one input size, {space.input_sizes[0]} px, which its architectures leave out; got"
    else:
        other = dataclasses.replace(architecture, input_size=None)
        named = "has an input size in .* px; got none"
    assert size_of(space, architecture) in space.input_sizes
    with pytest.raises(ArchitectureError, match=named):
        space.structure(other, 3)
    with pytest.raises(ArchitectureError, match=named):
        space.encode([other])


@given(members(), st.integers(8, 60))
def test_a_network_for_images_of_another_size(member: tuple[ElasticSpace, Architecture], size: int) -> None:
    space, architecture = member
    alone = dataclasses.replace(space, input_sizes=(size,), largest=dataclasses.replace(space.largest, input_size=None))
    made = space.structure(architecture, 3, input_size=size)
    assert made == alone.structure(dataclasses.replace(architecture, input_size=None), 3)
    own = space.structure(architecture, 3)
    assert space.structure(architecture, 3, input_size=size_of(space, architecture)) == own
    assert [node.name for node in made] == [node.name for node in own]


def _outside(space: ElasticSpace, value: int, sort: str) -> Architecture:
    """The smallest member with another kernel or expansion in the last block of unit 1."""
    units = [list(unit) for unit in space.smallest.units]
    units[1][-1] = dataclasses.replace(units[1][-1], **{sort: value})
    return Architecture(tuple(tuple(unit) for unit in units))


@pytest.mark.parametrize(
    ("sort", "value"), [("kernel", 4), ("kernel", 9), ("expansion", 5), ("expansion", 8), ("expansion", 3.5)]
)
def test_a_foreign_choice_is_named(sort: str, value: int) -> None:
    allowed = {"kernel": "[3, 5, 7]", "expansion": "[3, 4, 6]"}[sort]
    with pytest.raises(ArchitectureError) as caught:
        PAPER.validate(_outside(PAPER, value, sort))
    assert str(caught.value) == f"block 1 of unit 1 may have {sort} {allowed}; got {value}"


@pytest.mark.parametrize("text", ["k3d2e3", "1x3e3", "k3e3se"])
def test_what_an_elastic_block_does_not_choose_is_refused(text: str) -> None:
    foreign = Architecture.parse("k3e1 | k3e3 " + " | ".join([text, *["k3e3 k3e3"] * 4]))
    for call in (PAPER.validate, lambda a: PAPER.encode([a]), lambda a: PAPER.structure(a, 3)):
        with pytest.raises(ArchitectureError, match=f"block 1 of unit 1 .*; got {text}"):
            call(foreign)
    with pytest.raises(ArchitectureError, match="block 0 of unit 0"):
        dataclasses.replace(PAPER, largest=Architecture.parse(f"{text} | " + " | ".join(["k3e3 k3e3"] * 5)))


@pytest.mark.parametrize(("depth", "unit"), [(1, 1), (5, 5), (0, 3)])
def test_a_foreign_depth_is_named(depth: int, unit: int) -> None:
    units = list(PAPER.smallest.units)
    units[unit] = (Block(3, 3),) * depth
    with pytest.raises(ArchitectureError) as caught:
        PAPER.validate(Architecture(tuple(units)))
    assert str(caught.value) == f"unit {unit} may have [2, 3, 4] blocks; got {depth}"


@pytest.mark.parametrize("blocks", [(), (Block(3, 1), Block(3, 1)), (Block(5, 1),), (Block(3, 3),)])
def test_a_fixed_block_stays_as_it_is(blocks: tuple[Block, ...]) -> None:
    with pytest.raises(ArchitectureError, match=r"unit 0 may have (\[1\] blocks|kernel \[3\]|expansion \[1\])"):
        PAPER.validate(Architecture((blocks, *PAPER.smallest.units[1:])))


@pytest.mark.parametrize("units", [0, 5, 7])
def test_a_foreign_number_of_units_is_named(units: int) -> None:
    with pytest.raises(ArchitectureError, match=f"6 units; got {units}"):
        PAPER.validate(Architecture(((Block(3, 3),) * 2,) * units))


@pytest.mark.parametrize("size", [None, 31, 96, 0])
def test_a_foreign_size_is_named(size: int | None) -> None:
    got = "none" if size is None else f"{size} px"
    with pytest.raises(ArchitectureError, match=rf"an input size in \[32, 48, 64\] px; got {got}"):
        SIZES.validate(dataclasses.replace(SIZES.smallest, input_size=size))
    narrow = dataclasses.replace(SIZES, largest=dataclasses.replace(SIZES.largest, input_size=48))
    with pytest.raises(ArchitectureError, match=r"an input size in \[32, 48\] px; got 64 px"):
        narrow.validate(SIZES.largest)
    narrow.validate(SIZES.largest, within=None)
    assert narrow.structure(narrow.largest, 3) == SIZES.structure(narrow.largest, 3)


def test_text_is_no_architecture_yet() -> None:
    with pytest.raises(ArchitectureError, match="parse"):
        PAPER.validate(str(PAPER.smallest))  # type: ignore[arg-type]


def test_a_narrowed_space_names_its_own_bound() -> None:
    largest = Architecture.parse("k3e1 | k5e4 k7e6 k3e3" + " | k7e6 k7e6 k7e6 k7e6" * 4)
    space = dataclasses.replace(PAPER, largest=largest)
    space.validate(largest)
    first, rest = space.smallest.units[0], space.smallest.units[2:]
    deeper = Architecture((first, (Block(3, 3),) * 4, *rest))
    with pytest.raises(ArchitectureError, match=r"unit 1 may have \[2, 3\] blocks; got 4"):
        space.validate(deeper)
    space.validate(deeper, within=None)
    wider = Architecture((first, (Block(5, 6), Block(3, 3)), *rest))
    with pytest.raises(ArchitectureError, match=r"block 0 of unit 1 may have expansion \[3, 4\]; got 6"):
        space.validate(wider)
    with pytest.raises(ArchitectureError, match=r"block 0 of unit 1 may have kernel \[3, 5\]; got 7"):
        space.validate(Architecture((first, (Block(7, 4), Block(3, 3)), *rest)))


@given(spaces(narrowed=False), st.data())
def test_a_narrowed_space_has_exactly_what_is_nested_in_its_largest(space: ElasticSpace, data: st.DataObject) -> None:
    bound, architecture = data.draw(architectures(space)), data.draw(architectures(space))
    narrow = dataclasses.replace(space, largest=bound)
    nested = (architecture.input_size or 0) <= (bound.input_size or 0) and all(
        len(unit) <= len(most)
        and all(b.kernel <= m.kernel and b.expansion <= m.expansion for b, m in zip(unit, most, strict=False))
        for unit, most in zip(architecture.units, bound.units, strict=True)
    )
    assert narrow.allowed(space.encode([architecture])).tolist() == [nested]
    try:
        narrow.validate(architecture)
    except ArchitectureError:
        assert not nested
    else:
        assert nested
        assert narrow.structure(architecture, 3) == space.structure(architecture, 3)


STEM: dict[str, Any] = {"width": 16, "stride": 2, "activation": "relu"}
UNIT: dict[str, Any] = {
    "width": 24,
    "stride": 2,
    "depths": (1, 2),
    "kernels": (3, 5),
    "expansions": (2, 2.5),
    "activation": "relu",
    "squeeze_excite": False,
}
HEAD: dict[str, Any] = {"width": 16, "activation": "relu", "feature": 16, "feature_bias": False}
WIDTHS = ("an integer from 1 to 65536", 0, -16, 2.5, True, "16", 65537, None)
STRIDES = ("an integer from 1 to 2", 0, 3, True, 1.0, "2")
ACTIVATIONS = ("is one of", "tanh", "none", "hard_sigmoid", None, ("relu",), True)
FLAGS = ("true or false", 0, 1, "yes", None)
RULES: list[tuple[type, dict[str, Any], str, str, tuple[object, ...]]] = [
    (Stem, STEM, "width", "the width of the stem is ", WIDTHS),
    (Stem, STEM, "stride", "the stride of the stem is ", STRIDES),
    (Stem, STEM, "activation", "the activation of the stem ", ACTIVATIONS),
    (Unit, UNIT, "width", "the width of a unit is ", WIDTHS),
    (Unit, UNIT, "stride", "the stride of a unit is ", STRIDES),
    (Unit, UNIT, "activation", "the activation of a unit ", ACTIVATIONS),
    (Unit, UNIT, "squeeze_excite", "squeeze_excite of a unit is ", FLAGS),
    (Head, HEAD, "width", "the width of the head is ", WIDTHS),
    (Head, HEAD, "feature", "the feature width of the head is ", WIDTHS[:-1]),
    (Head, HEAD, "activation", "the activation of the head ", ACTIVATIONS),
    (Head, HEAD, "feature_bias", "feature_bias of the head is ", FLAGS),
    *(
        (Unit, UNIT, name, f"the {name} of a unit ", ("are 1 to 8 choices", (), tuple(range(1, 19, 2)), [3], 3, "35"))
        for name in ("depths", "kernels", "expansions")
    ),
    *(
        (Unit, UNIT, name, f"the {name} of a unit ", ("ascend, and kernels are odd", (5, 3), (3, 3), (3, 5, 5)))
        for name in ("depths", "kernels", "expansions")
    ),
    (Unit, UNIT, "expansions", "the expansions of a unit ", ("ascend", (3, 3.0), (2.5, 2.3))),
    (Unit, UNIT, "kernels", "the kernels of a unit ", ("kernels are odd", (3, 4), (2,), (2, 4))),
    # (2, 10**9): one gate a unit, and a thousand million slots
    (
        Unit,
        UNIT,
        "depths",
        "each of the depths of a unit is ",
        ("an integer from 1 to 16", (0, 2), (2, 10**9), (2, 17), (1.0,), (True,)),
    ),
    (
        Unit,
        UNIT,
        "kernels",
        "each of the kernels of a unit is ",
        ("an integer from 1 to 99", (-1, 3), (3, 101), ("3",), (3.0,)),
    ),
    (
        Unit,
        UNIT,
        "expansions",
        "each of the expansions of a unit is ",
        (
            "a number from 1 to 99 with two decimals",
            *((2.125,), (0.5, 2), (0,), (-2, 3), (100,), ("3",), (True, 2), (None,)),
            *((float("nan"),), (float("inf"),), (1e308,), ((2,),)),
        ),
    ),
    (Unit, UNIT, "expansions", "an expansion ratio of 1, ", ("is the only one of its unit", (1, 2), (1.0, 1.5))),
]
BROKEN = [
    pytest.param(kind, values | {field: value}, start, rule, value, id=f"{kind.__name__}-{field}-{value!r}"[:60])
    for kind, values, field, start, (rule, *bad) in RULES
    for value in bad
]


@pytest.mark.parametrize(("kind", "values", "start", "rule", "value"), BROKEN)
def test_a_rule_that_a_part_breaks_is_named(
    kind: type, values: dict[str, Any], start: str, rule: str, value: object
) -> None:
    with pytest.raises(ArchitectureError) as caught:
        kind(**values)
    message = str(caught.value)
    assert message.startswith(start)
    assert rule in message
    named = value[0] if isinstance(value, tuple) and len(value) == 1 else value
    assert repr(named) in message or isinstance(value, tuple)
    assert len(message) < 300


def test_the_ends_of_what_parts_may_be() -> None:
    Stem(65536, 1, "relu6")
    Unit(1, 1, tuple(range(9, 17)), (1, 99), (1.01, 99.0), "hard_swish", True)
    assert Unit(8, 1, (2,), (1,), (1.0,), "relu").fixed
    assert Unit(8, 1, (2,), (1,), (1.5,), "relu").options == (1, 1, 1)
    assert not Unit(8, 1, (2,), (1, 3), (1,), "relu").fixed
    Head(1, "relu", None, feature_bias=True)
    sizes = tuple(range(8, 8 + MAX_OPTIONS))
    space = dataclasses.replace(SIZES, input_sizes=sizes, epsilon=1e-8, largest=Architecture(()))
    assert space.largest.input_size == sizes[-1]
    dataclasses.replace(PAPER, input_sizes=(2048,), epsilon=0.1, width_multiplier=16)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input_sizes", ()),
        ("input_sizes", 224),
        ("input_sizes", [224]),  # which could not be hashed
        ("units", list(PAPER.units)),
        ("input_sizes", tuple(range(8, 17))),
        ("input_sizes", (7,)),
        ("input_sizes", (2049,)),
        ("input_sizes", (64.0,)),
        ("input_sizes", (True,)),
        ("input_sizes", ("64",)),
        ("input_sizes", (64, 64)),
        ("input_sizes", (96, 64)),
        ("input_sizes", (32, 64, 48)),
        ("width_multiplier", 0.0),
        ("width_multiplier", -1.0),
        ("width_multiplier", float("nan")),
        ("width_multiplier", float("inf")),
        ("width_multiplier", 1e308),
        ("width_multiplier", "1"),
        ("width_multiplier", True),
        ("padding", "valid"),
        ("padding", "SAME"),
        ("padding", None),
        ("padding", 1),
        ("epsilon", 0.0),
        ("epsilon", -1e-5),
        ("epsilon", 0.2),
        ("epsilon", 1e-9),
        ("epsilon", 0),
        ("epsilon", float("nan")),
        ("epsilon", "1e-5"),
        ("epsilon", True),
        ("epsilon", None),
        ("units", ()),
        ("units", PAPER.units * 3),
        ("largest", Architecture.parse("k3e6")),
        ("largest", Architecture.parse("k3e1 | " + " | ".join(["k9e6 k3e6"] * 5))),
        ("largest", dataclasses.replace(PAPER.largest, input_size=224)),
        ("largest", None),
    ],
)
def test_a_rule_that_a_space_breaks_is_named(field: str, value: object) -> None:
    with pytest.raises(ArchitectureError) as caught:
        dataclasses.replace(PAPER, **{field: value})
    if field != "largest":
        assert field in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_space_of_several_sizes_needs_the_largest_s() -> None:
    with pytest.raises(ArchitectureError, match=r"an input size in \[64, 96\] px; got none"):
        dataclasses.replace(PAPER, input_sizes=(64, 96))
    with pytest.raises(ArchitectureError, match=r"an input size in \[64, 96\] px; got 80 px"):
        dataclasses.replace(PAPER, input_sizes=(64, 96), largest=dataclasses.replace(PAPER.largest, input_size=80))
    whole = dataclasses.replace(PAPER, input_sizes=(64, 96), largest=Architecture(()))
    assert whole.largest == dataclasses.replace(PAPER.largest, input_size=96)
    assert whole.smallest == dataclasses.replace(PAPER.smallest, input_size=64)


def test_in_words() -> None:
    assert PAPER.in_words() == "5 units of 2, 3, 4 blocks; kernels 3, 5, 7; expansion ratios 3, 4, 6"
    assert MOBILENET_V3_LARGE.in_words() == (
        "5 units of 1, 2, 3, 4 blocks; kernels 3, 5; expansion ratios 2, 2.3, 2.5, 3, 4, 6; "
        "images of 96, 128, 160, 192, 224 px"
    )


@pytest.mark.parametrize("field", sorted(RECORDED["paper"]))
def test_a_missing_field_is_named(field: str) -> None:
    data = {k: v for k, v in RECORDED["paper"].items() if k != field}
    with pytest.raises(BundleError, match=field if field != "kind" else "of kind 'elastic'; got None"):
        ElasticSpace.from_json(data)


PARTS = {"stem": ("stem",), "unit": ("units", 0), "head": ("head",)}


@pytest.mark.parametrize(
    ("part", "field"),
    [
        (part, field)
        for part, data in (("stem", STEM), ("unit", UNIT), ("head", HEAD))
        for field in (*data, "colour", None)
    ],
)
def test_a_missing_or_unknown_field_of_a_part_is_named(part: str, field: str | None) -> None:
    data = copy.deepcopy(RECORDED["paper"])
    inner: Any = data
    *way, last = PARTS[part]
    for step in way:
        inner = inner[step]
    if field is None:
        inner[last] = [16, 2, "relu"]
    elif field in inner[last]:
        del inner[last][field]
    else:
        inner[last][field] = 1
    with pytest.raises(BundleError, match=rf"a {part} of a search space has the fields \['width', .*; got"):
        ElasticSpace.from_json(data)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("kind", "elastic-resnet", "elastic-resnet"),
        ("kind", "elastic-mobilenetv3", "elastic-mobilenetv3"),
        ("extra", 1, "extra"),
        ("input_sizes", 224, "input_sizes"),
        ("input_sizes", "224", "input_sizes"),
        ("input_sizes", {"224": 1}, "input_sizes"),
        ("input_sizes", [[224]], "input_sizes"),
        ("input_sizes", None, "input_sizes"),
        ("units", "", "units"),
        ("units", {}, "units"),
        ("units", [PAPER_UNITS[0] | {"depths": "234"}], "depths"),  # int() would read its characters
        ("units", [PAPER_UNITS[0] | {"depths": [2.7, 3.2]}], "depths"),
        ("units", [PAPER_UNITS[0] | {"kernels": {"3": 5}}], "kernels"),
        ("units", [PAPER_UNITS[0] | {"kernels": [[3]]}], "kernels"),
        ("units", [PAPER_UNITS[0] | {"expansions": [[3], [4]]}], "expansions"),
        ("units", [PAPER_UNITS[0] | {"activation": ["relu"]}], "activation"),
        ("units", [PAPER_UNITS[0] | {"activation": {"relu": 1}}], "activation"),
        ("units", [PAPER_UNITS[0] | {"width": [24]}], "width"),
        ("stem", [], "stem"),
        ("head", None, "head"),
        ("padding", ["same"], "padding"),
        ("epsilon", [1e-5], "epsilon"),
        ("width_multiplier", [1.0], "width_multiplier"),
        ("largest", None, "units"),
        ("largest", {"units": []}, "units"),
        ("largest", {"units": [["k3e1"], *[["k7e6"] * 4] * 5], "input_size": 224}, "one input size, 224 px"),
    ],
)
def test_malformed_json_is_named(field: str, value: object, named: str) -> None:
    with pytest.raises((BundleError, ArchitectureError)) as caught:
        ElasticSpace.from_json(RECORDED["paper"] | {field: value})
    assert named in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("data", [None, [], "paper", 3, {"kind": ["elastic"]}, {}])
def test_no_object_is_no_space(data: object) -> None:
    with pytest.raises(BundleError, match="of kind 'elastic'"):
        ElasticSpace.from_json(data)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.sampled_from([0, 1, 2, 3, 5, 96, 2.5, 2.255, 1e-3, "same", "relu6", "k3e3", "elastic", ""])
    | st.floats()
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["width", "units", "x"]), inner),
    max_leaves=5,
)


def _places(data: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """All paths of a JSON value but its root."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place for key, value in items for place in [(*path, key), *_places(value, (*path, key))]]


@settings(max_examples=200)
@given(st.sampled_from(["small", "lite0", "mobilenet-v3-large"]), st.data())
def test_altered_json_is_refused_or_is_a_space(name: str, data: st.DataObject) -> None:
    altered = copy.deepcopy(RECORDED[name])
    for _ in range(data.draw(st.integers(1, 2))):
        *way, last = data.draw(st.sampled_from(_places(altered)))
        inner: Any = altered
        for step in way:
            inner = inner[step]
        how = data.draw(st.sampled_from(["replace", "replace", "remove", "repeat"]))
        if how == "replace":
            inner[last] = data.draw(ANYTHING)
        elif how == "remove":
            del inner[last]
        elif isinstance(inner, list):
            inner.append(copy.deepcopy(inner[last]))
    try:
        space = ElasticSpace.from_json(altered)
    except (BundleError, ArchitectureError):
        return
    assert space.to_json() == altered
    for end in (space.smallest, space.largest):
        assert cost(space.structure(end, 3)).madds > 0
        assert space.decode(space.encode([end])[0]) == end


@given(spaces(narrowed=False), st.data())
def test_narrowing_takes_what_is_needed_and_no_more(space: ElasticSpace, data: st.DataObject) -> None:
    kept = data.draw(st.lists(architectures(space), min_size=1, max_size=3))
    narrow = space.narrowed(kept)
    for architecture in (*kept, space.smallest):
        narrow.validate(architecture)
    assert narrow.features_among(space) == list(range(space.features))
    largest, drawn = narrow.largest, [space.smallest, *kept]
    assert largest.input_size == max((a.input_size for a in drawn if a.input_size is not None), default=None)
    assert largest.depths == tuple(max(depths) for depths in zip(*(a.depths for a in drawn), strict=True))
    for u, b in itertools.chain.from_iterable(((u, b) for b in range(d)) for u, d in enumerate(largest.depths)):
        there = [a.units[u][b] for a in drawn if len(a.units[u]) > b]
        made = largest.units[u][b]
        assert made == Block(max(block.kernel for block in there), max(block.expansion for block in there))
