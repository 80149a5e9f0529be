"""The text and JSON forms of architectures."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import members

from eas_sdk.errors import ArchitectureError
from eas_sdk.space.architecture import Architecture, Block

NUMBERS = st.integers(1, 999)
RATIOS = NUMBERS | st.integers(100, 99999).map(lambda hundredths: hundredths / 100)
BLOCKS = st.one_of(
    st.builds(Block, NUMBERS, RATIOS, NUMBERS, st.just(False), st.booleans()),
    st.builds(Block, NUMBERS, RATIOS, st.just(1), st.just(True), st.booleans()),
)
UNITS = st.lists(st.lists(BLOCKS, max_size=4).map(tuple), min_size=1, max_size=5).map(tuple)
ARCHITECTURES = st.builds(Architecture, UNITS, st.none() | st.integers(1, 9999))

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["k3e6", "k3e6 | k3e6", 160]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["units", "input_size", "x"]), inner, max_size=2)
        | st.fixed_dictionaries({"units": st.just([["k3e6"]]), "input_size": inner})
    ),
    max_leaves=8,
)


@given(ARCHITECTURES)
def test_text_and_json_round_trip(architecture: Architecture) -> None:
    assert Architecture.parse(str(architecture)) == architecture
    assert Architecture.from_json(json.loads(json.dumps(architecture.to_json()))) == architecture


def test_the_text_form_is_the_documented_one() -> None:
    architecture = Architecture.parse("k3e6 k5e4 | k7e3")
    assert architecture.units == ((Block(3, 6), Block(5, 4)), (Block(7, 3),))
    assert str(architecture) == "k3e6 k5e4 | k7e3"
    assert architecture.to_json() == {"units": [["k3e6", "k5e4"], ["k7e3"]]}
    assert architecture.depths == (2, 1)
    branches = Architecture.parse("k3d2e6 1x5e2 | - | k7e3se")
    assert branches.units == ((Block(3, 6, 2), Block(5, 2, factorised=True)), (), (Block(7, 3, squeeze_excite=True),))
    assert str(branches) == "k3d2e6 1x5e2 | - | k7e3se"
    assert branches.to_json() == {"units": [["k3d2e6", "1x5e2"], [], ["k7e3se"]]}
    assert architecture.blocks == (Block(3, 6), Block(5, 4), Block(7, 3))


def test_the_input_size_is_said_first_where_there_is_one() -> None:
    units = ((Block(3, 6), Block(5, 2.25)), (Block(7, 2.5),))
    sized = Architecture.parse("160px k3e6 k5e2.25 | k7e2.5")
    assert sized == Architecture(units, 160)
    assert str(sized) == "160px k3e6 k5e2.25 | k7e2.5"
    assert sized.to_json() == {"input_size": 160, "units": [["k3e6", "k5e2.25"], ["k7e2.5"]]}
    bare = Architecture.parse("k3e6 k5e2.25 | k7e2.5")
    assert (bare, bare.input_size) == (Architecture(units), None)
    assert "input_size" not in bare.to_json()
    assert Architecture.from_json(bare.to_json() | {"input_size": None}) == bare
    assert Architecture.parse("8px - | k3e6") == Architecture(((), (Block(3, 6),)), 8)


def test_networks_of_other_sizes_or_ratios_are_others_and_have_an_order() -> None:
    texts = ["128px k3e6 | k3e3", "160px k3e2.3 | k3e3", "160px k3e2.35 | k3e3", "160px k3e6 | k3e3"]
    made = [Architecture.parse(text) for text in texts]
    assert len({*made, Architecture.parse("k3e6 | k3e3")}) == 5
    assert sorted(made) == [made[1], made[2], made[0], made[3]]
    assert Architecture(((Block(3, 6.0),),)) == Architecture.parse("k3e6")
    assert hash(Block(3, 6.0)) == hash(Block(3, 6))
    assert str(Block(3, 6.0)) == "k3e6"


def test_spaces_and_line_breaks_do_not_matter() -> None:
    assert Architecture.parse("  k3e6\tk5e4|\nk7e3 ") == Architecture.parse("k3e6 k5e4 | k7e3")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "an empty unit"),
        ("k3e6 |", "an empty unit"),
        ("k3e6 || k3e6", "an empty unit"),
        ("k3", "'k3'"),
        ("k3e", "'k3e'"),
        ("e6k3", "'e6k3'"),
        ("K3E6", "'K3E6'"),
        ("k3e6,k3e6", "'k3e6,k3e6'"),
        ("k3e6 k-3e6", "'k-3e6'"),
        ("k0e6", "'k0e6'"),
        ("k3e06", "'k3e06'"),
        ("k1000e6", "'k1000e6'"),
        ("k3.0e6", "'k3.0e6'"),
        ("k٣e6", "'k٣e6'"),  # a digit to int(), and no digit of the form
        ("k3e6\x00", "k3e6"),
        ("k3e2.50", "'k3e2.50'"),  # a network has one text only
        ("k3e6.0", "'k3e6.0'"),
        ("k3e2.125", "'k3e2.125'"),
        ("k3e0.5", "'k3e0.5'"),
        ("k3e2.", "'k3e2.'"),
        ("k3e2,5", "'k3e2,5'"),
        ("k3e1e1", "'k3e1e1'"),
        ("160px", "an empty unit"),
        ("160px | k3e6", "an empty unit"),
        ("160 px k3e6", "'160'"),
        ("0px k3e6", "'0px'"),
        ("0160px k3e6", "'0160px'"),
        ("10000px k3e6", "'10000px'"),
        ("-8px k3e6", "'-8px'"),
        ("160PX k3e6", "'160PX'"),
        ("160px 160px k3e6", "'160px'"),
        ("k3e6 160px", "'160px'"),
        ("k3e6 | 160px k3e6", "'160px'"),
    ],
)
def test_malformed_text_is_named(text: str, named: str) -> None:
    with pytest.raises(ArchitectureError) as caught:
        Architecture.parse(text)
    assert named in str(caught.value)


def test_a_message_stays_short() -> None:
    with pytest.raises(ArchitectureError) as caught:
        Architecture.parse("x" * 100_000)
    assert len(str(caught.value)) < 400


@given(st.text(max_size=30))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        architecture = Architecture.parse(text)
    except ArchitectureError:
        return
    assert Architecture.parse(str(architecture)) == architecture


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "k3e6",
        {},
        {"units": None},
        {"units": []},  # inside a space it would mean "no bound"
        {"units": ["k3e6"]},
        {"units": [[3, 6]]},
        {"units": [["k3e6 k3e6"]]},  # two blocks in one
        {"units": [["k3e6 | k3e6"]]},  # two units in one
        {"units": [[" k3e6"]]},
        {"units": [["160px k3e6"]]},
        {"units": [["k3e6"]], "input_size": "160"},
        {"units": [["k3e6"]], "input_size": "160px"},
        {"units": [["k3e6"]], "input_size": 160.0},
        {"units": [["k3e6"]], "input_size": True},
        {"units": [["k3e6"]], "input_size": [160]},
        {"units": [["k3e6"]], "input_size": 0},
        {"units": [["k3e6"]], "input_size": -160},
        {"units": [["k3e6"]], "input_size": 10_000},  # which the text could not say
    ],
)
def test_malformed_json_is_refused(data: object) -> None:
    with pytest.raises(ArchitectureError):
        Architecture.from_json(data)


@given(JSON)
def test_any_json_is_read_or_refused(data: object) -> None:
    try:
        architecture = Architecture.from_json(data)
    except ArchitectureError:
        return
    assert isinstance(data, dict)
    assert architecture.to_json()["units"] == data["units"]
    assert architecture.input_size == data.get("input_size")
    assert Architecture.parse(str(architecture)) == architecture


def test_deeply_nested_json_is_refused() -> None:
    data: object = "k3e6"
    for _ in range(3000):
        data = [data]
    with pytest.raises(ArchitectureError):
        Architecture.from_json({"units": data})


@given(members())
def test_equal_networks_are_equal_values(member: tuple[object, Architecture]) -> None:
    architecture = member[1]
    again = Architecture.parse(str(architecture))
    assert again == architecture
    assert hash(again) == hash(architecture)
