"""Elastic spaces: the published networks, and which architectures are members."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from bundles import SIZES
from hypothesis import given
from hypothesis import strategies as st
from strategies import architectures, members, spaces

from eas_sdk.errors import ArchitectureError
from eas_sdk.graph.cost import cost
from eas_sdk.graph.nodes import Conv2d, DepthwiseConv2d
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic.backbones import LITE0, MOBILENET_V3_LARGE, PAPER, SMALL
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.presets import PRESETS
from eas_sdk.space.protocol import size_of
from eas_sdk.space.widths import make_divisible


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


def test_in_words() -> None:
    assert PAPER.in_words() == "5 units of 2, 3, 4 blocks; kernels 3, 5, 7; expansion ratios 3, 4, 6"
    assert MOBILENET_V3_LARGE.in_words() == (
        "5 units of 1, 2, 3, 4 blocks; kernels 3, 5; expansion ratios 2, 2.3, 2.5, 3, 4, 6; "
        "images of 96, 128, 160, 192, 224 px"
    )


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
