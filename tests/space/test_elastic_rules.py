"""The rules of an elastic space and of its parts, and its JSON form."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

import pytest
from bundles import SIZES
from hypothesis import given, settings
from hypothesis import strategies as st
from space.recorded import PAPER_UNITS, RECORDED
from strategies import spaces

from eas_sdk.errors import ArchitectureError, BundleError
from eas_sdk.graph.cost import cost
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.backbones import PAPER
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.elastic.units import MAX_OPTIONS, Head, Stem, Unit
from eas_sdk.space.presets import PRESETS


@pytest.mark.parametrize("name", RECORDED)
def test_the_presets_keep_their_json_to_the_byte(name: str) -> None:
    assert json.dumps(PRESETS[name].to_json()) == json.dumps(RECORDED[name])


@given(spaces())
def test_json_round_trip(space: ElasticSpace) -> None:
    again = ElasticSpace.from_json(json.loads(json.dumps(space.to_json())))
    assert again == space
    assert hash(again) == hash(space)


WHOLE = Architecture(())
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


def test_a_space_has_only_so_many_blocks_as_tables_are_made_of_in_seconds() -> None:
    unit = Unit(24, 1, (16,), (3, 5, 7, 9), tuple(range(2, 10)), "relu")
    most = dataclasses.replace(PAPER, units=(unit,) * 8, input_sizes=(32, 48, 64, 80, 96, 112, 128, 160), largest=WHOLE)
    assert most.grid.size == 2**15
    with pytest.raises(
        ArchitectureError, match="at most 32768 different blocks over all units and input sizes; got 36864"
    ):
        dataclasses.replace(most, units=(unit,) * 9)


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
