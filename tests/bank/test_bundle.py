"""Bundles: what is written comes back, and whatever is malformed is refused by name."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import SIZES, SUPERCLASSES, random_bundle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eas_sdk.bank import bundle as bundles
from eas_sdk.bank import container
from eas_sdk.bank.bundle import Bundle, tensor_shapes
from eas_sdk.bank.container_writer import write
from eas_sdk.errors import BundleError
from eas_sdk.router.network import load_router
from eas_sdk.runtime import Runtime
from eas_sdk.selector.registry import load_selector
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.backbones import PAPER
from eas_sdk.space.elastic.units import Head

TINY = dataclasses.replace(
    PAPER,
    input_sizes=(16,),
    width_multiplier=0.25,
    units=(
        PAPER.units[0],
        *(dataclasses.replace(u, depths=(1, 2), kernels=(3, 5), expansions=(2, 2.5)) for u in PAPER.units[1:3]),
    ),
    head=Head(64, "hard_swish", 64),
    largest=Architecture(()),
)
SIZED = dataclasses.replace(SIZES, input_sizes=(16, 24), units=SIZES.units[:3], largest=Architecture(()))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundles.read(random_bundle(tmp_path_factory.mktemp("bundle"), space=TINY))


@pytest.fixture(scope="module")
def sized(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundles.read(
        random_bundle(
            tmp_path_factory.mktemp("bundle"), space=SIZED, adapters=[SIZED.input_sizes[:1]], temperatures=[1.5, 2]
        )
    )


@pytest.fixture
def rewritten(whole: Bundle, tmp_path: Path) -> Callable[[object], Bundle]:
    """Reads the tensors of `whole` back beside another section "eas"."""

    def read(data: object) -> Bundle:
        path = tmp_path / "altered.safetensors"
        write(path, whole.tensors, {"eas": data})
        return bundles.read(path)

    return read


def altered(metadata: dict[str, Any], path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """A copy with the value at `path` replaced; DELETE removes it."""
    made = copy.deepcopy(metadata)
    inner: Any = made
    for key in path[:-1]:
        inner = inner[key]
    if value is DELETE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return made


DELETE = object()


@pytest.mark.parametrize("made", ["whole", "sized"])
def test_a_bundle_comes_back_as_it_was_written(made: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    whole: Bundle = request.getfixturevalue(made)
    path = tmp_path / "again.safetensors"
    write(path, whole.tensors, {"eas": whole.metadata()})
    again = bundles.read(path)
    for field in dataclasses.fields(Bundle):
        if field.name not in ("tensors", "source"):
            assert getattr(again, field.name) == getattr(whole, field.name), field.name
    assert again.tensors.keys() == whole.tensors.keys()
    for name, tensor in whole.tensors.items():
        assert again.tensors[name].dtype == tensor.dtype
        np.testing.assert_array_equal(again.tensors[name], tensor)


def test_labels_and_groups(whole: Bundle) -> None:
    assert whole.labels == tuple(label for labels in SUPERCLASSES.values() for label in labels)
    selector = whole.group("selector")
    assert "lstm.bias" in selector
    assert selector["lstm.bias"] is whole.tensors["selector/lstm.bias"]
    assert {name.partition("/")[0] for name in whole.tensors} == {
        *("bank", "pictures", "router", "selector", "statistics")
    }


def test_a_narrowed_space_comes_back(whole: Bundle, tmp_path: Path) -> None:
    narrow = dataclasses.replace(TINY, largest=Architecture.parse("k3e1 | k5e2 k3e2.5 | k3e2.5"))
    assert bundles.read(random_bundle(tmp_path, space=narrow)).space == narrow
    assert narrow != whole.space
    smaller = dataclasses.replace(SIZED, largest=dataclasses.replace(SIZED.largest, input_size=16))
    again = bundles.read(random_bundle(tmp_path, space=smaller))
    assert (again.space, again.input_size) == (smaller, 16)


def test_a_bundle_of_version_1_is_told_what_to_do(whole: Bundle, tmp_path: Path) -> None:
    """As releases before 0.2 wrote them: with a space of one size, one kind of unit and no choice of paddings."""
    stages = [{"width": 24, "stride": 2, "activation": "relu", "squeeze_excite": False}]
    space = {"kind": "elastic-mobilenetv3", "input_size": 64, "width_multiplier": 0.4, "stem_stride": 2}
    space |= {"stem_width": 16, "head_width": 960, "feature_width": 1280, "stages": stages, "depths": [2]}
    path = tmp_path / "old.safetensors"
    write(path, whole.tensors, {"eas": whole.metadata() | {"version": 1, "space": space}})
    with pytest.raises(BundleError) as caught:
        bundles.read(path)
    assert str(caught.value) == (
        f"{str(path)!r}: this release reads bundles whose section 'eas' is of version 2; got 1: make the bundle again "
        "with `eas train`, or load it with the release that made it"
    )


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        bundles.read(tmp_path / "absent.safetensors")


def test_a_cut_file_and_an_altered_file(tmp_path: Path) -> None:
    path = random_bundle(tmp_path, space=TINY)
    raw = path.read_bytes()
    for bad in (b"", raw[:7], raw[: len(raw) // 2], raw[:-1], raw[:-1] + bytes([raw[-1] ^ 1]), raw + b"\0"):
        path.write_bytes(bad)
        with pytest.raises(BundleError, match=path.name):
            bundles.read(path)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("version",), 1, "version 2; got 1"),
        (("version",), 3, "version 2; got 3"),
        (("version",), "2", "version 2; got '2'"),
        (("version",), DELETE, "version 2; got None"),
        (("name",), DELETE, "'name'"),
        (("name",), "", "'name'"),
        (("name",), 3, "'name'"),
        (("space",), DELETE, "'space'"),
        (("space",), None, "'space'"),
        (("space", "kind"), "elastic-resnet", "elastic-resnet"),
        (("space", "kind"), "elastic-mobilenetv3", "got 'elastic-mobilenetv3'"),
        (("space", "units"), DELETE, "units"),
        (("space", "units", 1, "depths"), DELETE, "depths"),
        (("space", "units", 1, "depths"), [2, 1], "depths"),
        (("space", "units", 1, "depths"), [1, 9], "unit 1 may have [1, 9] blocks; got 2"),
        (("space", "units", 1, "kernels"), [3, 4], "kernels"),
        (("space", "units", 1, "expansions"), [1, 2], "expansion ratio of 1"),
        (("space", "units", 1, "expansions", 1), 2.125, "two decimals"),
        (("space", "input_sizes"), 16, "input_sizes"),
        (("space", "input_sizes", 0), 10**18, "input_sizes"),
        (("space", "input_sizes"), [16, 24], "an input size in [16, 24] px; got none"),
        (("space", "width_multiplier"), 1e300, "width_multiplier"),
        (("space", "padding"), "valid", "padding"),
        (("space", "epsilon"), 0, "epsilon"),
        (("space", "stem", "activation"), "tanh", "activation"),
        (("space", "units", 0, "stride"), 0, "stride"),
        (("space", "head", "feature"), 0, "feature"),
        (("space", "largest"), {"units": []}, "units"),
        (("space", "largest", "input_size"), 16, "one input size, 16 px"),
        (("space", "largest", "units", 1, 0), "k9e2", "unit 1 may have kernel [3, 5]; got 9"),
        (("space", "largest", "units", 1, 0), "k5d2e2", "unit 1 is a kernel and an expansion ratio"),
        (("superclasses",), DELETE, "'superclasses'"),
        (("superclasses",), [], "at least one superclass"),
        (("superclasses",), {"birds": ["owl"]}, "'superclasses'"),
        (("superclasses", 0), "birds", "'name'"),
        (("superclasses", 0, "name"), "insects", "names no superclass twice; got 'insects'"),
        (("superclasses", 0, "name"), "\ud800", "Unicode"),
        (("superclasses", 0, "labels"), "abc", "'labels'"),  # a text is no list of three labels
        (("superclasses", 0, "labels"), [], "'birds' has none"),
        (("superclasses", 0, "labels", 1), "saw", "names no label twice; got 'saw'"),
        (("superclasses", 0, "labels", 1), 7, "'labels'"),
        (("superclasses", 0, "labels", 1), DELETE, "classifier"),
        (("mean",), [0.5, 0.5], "'mean'"),
        (("mean",), "000", "'mean'"),
        (("mean", 1), "0.5", "'mean'"),
        (("mean", 1), True, "'mean'"),
        (("mean", 1), 1e300, "mean"),
        (("std",), {"r": 1}, "'std'"),
        (("std", 2), 0, "std"),
        (("std", 2), -0.25, "std"),
        (("std", 2), 1e-320, "std"),
        (("selector",), [], "'selector'"),
        (("selector",), [["kind", "generator"]], "'selector'"),
        (("training",), [], "'training'"),
        (("attributions",), "us", "'attributions'"),
        (("attributions",), [None], "'attributions'"),
    ],
)
def test_a_malformed_section_is_named(
    whole: Bundle, tmp_path: Path, path: tuple[str | int, ...], value: object, named: str
) -> None:
    data = altered(whole.metadata(), path, value)
    file = tmp_path / "altered.safetensors"
    if value == "\ud800":  # which the writer refuses, and JSON can escape
        with pytest.raises(BundleError, match=named):
            bundles._decode(data, whole.tensors)
        return
    write(file, whole.tensors, {"eas": data})
    with pytest.raises(BundleError) as caught:
        bundles.read(file)
    assert named in str(caught.value)
    assert file.name in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("data", [None, [], "eas", 1, {}])
def test_no_section_at_all(rewritten: Callable[[object], Bundle], data: object) -> None:
    with pytest.raises(BundleError, match="version 2; got None"):
        rewritten(data)


def test_a_container_without_the_section(whole: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    write(path, whole.tensors, {"other": whole.metadata()})
    with pytest.raises(BundleError, match="'eas'"):
        bundles.read(path)


PLACES: tuple[tuple[str | int, ...], ...] = (
    *(("name",), ("mean",), ("version",), ("space",), ("space", "largest"), ("space", "units"), ("space", "stem")),
    *(("space", "input_sizes"), ("space", "units", 1), ("space", "units", 1, "depths"), ("space", "padding")),
)


def test_messages_stay_short(rewritten: Callable[[object], Bundle], whole: Bundle) -> None:
    for path in PLACES:
        for value in (["x" * 100] * 20_000, {"y" * 200_000: 1}):
            with pytest.raises(BundleError) as caught:
                rewritten(altered(whole.metadata(), path, value))
            assert len(str(caught.value)) < 1000


def _needed(bundle: Bundle) -> list[str]:
    nodes = bundle.space.structure(bundle.space.largest, len(bundle.labels))
    return [name for node in nodes for name in tensor_shapes(bundle.space, node, bundle.statistics_rank)]


def test_every_malformed_tensor_is_named(whole: Bundle) -> None:
    names = _needed(whole)
    assert {name for name in whole.tensors if not name.startswith(("selector/", "router/", "pictures/"))} == set(names)
    for name in names:
        good = whole.tensors[name]
        not_finite = good.copy()
        not_finite.flat[-1] = np.inf
        for bad in (None, good[..., :-1], good[None], good.astype(np.int8), good * np.float32(np.nan), not_finite):
            tensors = {k: v for k, v in whole.tensors.items() if k != name}
            if bad is not None:
                tensors[name] = bad
            with pytest.raises(BundleError) as caught:
                bundles.check(dataclasses.replace(whole, tensors=tensors))
            # The rank of all statistics is that of stem.mix: with another, the tensors that hang on it are at fault.
            assert repr(name) in str(caught.value) or "'statistics/stem." in str(caught.value)


def test_a_malformed_tensor_in_a_file(whole: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "altered.safetensors"
    tensors = {name: tensor for name, tensor in whole.tensors.items() if name != "bank/classifier.bias"}
    write(path, tensors, {"eas": whole.metadata()})
    with pytest.raises(BundleError) as caught:
        bundles.read(path)
    assert "'bank/classifier.bias'" in str(caught.value)
    assert path.name in str(caught.value)


def test_half_precision_is_allowed(whole: Bundle) -> None:
    tensors = {
        name: tensor.astype(np.float16) if tensor.dtype.kind == "f" else tensor
        for name, tensor in whole.tensors.items()
    }
    bundles.check(dataclasses.replace(whole, tensors=tensors))


INTEGERS = ("classifier", "head", "unit1.block0.expand")


def in_integers(bundle: Bundle) -> Bundle:
    """The weights of some nodes in 8-bit integers, with a scale for each output."""
    tensors = dict(bundle.tensors)
    for name in INTEGERS:
        weight = bundle.weight(name)
        scale = np.abs(weight).reshape(len(weight), -1).max(1) / 127
        tensors[f"bank/{name}.weight"] = np.rint((weight.T / scale).T).astype(np.int8)
        tensors[f"bank/{name}.scale"] = scale.astype(np.float32)
    return dataclasses.replace(bundle, tensors=tensors)


def test_weights_may_be_of_8_bit_integers(whole: Bundle, tmp_path: Path) -> None:
    bundle = in_integers(whole)
    bundles.check(bundle)
    for name in INTEGERS:
        scale = bundle.tensors[f"bank/{name}.scale"]
        assert np.abs(bundle.weight(name) - whole.weight(name)).max() <= 0.51 * scale.max()
        np.testing.assert_array_equal(bundle.weight(name, [3, 1]), bundle.weight(name)[[3, 1]])
        np.testing.assert_array_equal(bundle.weight(name, slice(2)), bundle.weight(name)[:2])
    write(tmp_path / "integers.safetensors", bundle.tensors, {"eas": bundle.metadata()})
    model, exact = (
        Runtime(b, load_selector(b)).specialize("all", "100%")
        for b in (bundles.read(tmp_path / "integers.safetensors"), whole)
    )
    images = np.random.default_rng(0).random((8, 16, 16, 3), np.float32)
    np.testing.assert_allclose(
        model.logits(images), exact.logits(images), atol=0.05 * np.abs(exact.logits(images)).max()
    )


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("scale", lambda t: t[:-1], r"scale' is floating point of shape"),
        ("scale", lambda t: t * np.nan, "scale' is finite"),
        ("weight", lambda t: t.astype(np.float32), "is int8 of shape.*got float32"),
        ("weight", lambda t: t[:-1], "is int8 of shape"),
    ],
)
@pytest.mark.parametrize("node", INTEGERS)
def test_malformed_weights_of_integers_are_named(
    whole: Bundle, node: str, name: str, change: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    bundle = in_integers(whole)
    tensor = f"bank/{node}.{name}"
    with np.errstate(all="ignore"), pytest.raises(BundleError, match=f"bank/{node}.*{message}"):
        bundles.check(dataclasses.replace(bundle, tensors={**bundle.tensors, tensor: change(bundle.tensors[tensor])}))


def test_a_tensor_of_another_kind_is_left_alone(whole: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "more.safetensors"
    write(path, {**whole.tensors, "note": np.arange(3)}, {"eas": whole.metadata()})
    assert bundles.read(path).tensors["note"].tolist() == [0, 1, 2]


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.integers(-3, 100)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "x", "k3e1", "k5e2", "generator", "elastic", "relu6", "same", 16, 24, 2.5])
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["name", "labels", "x"]), inner),
    max_leaves=6,
)


def _places(data: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """All paths of a JSON value but its root."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(data, dict):
        inner = list(data.items())
    elif isinstance(data, list):
        inner = list(enumerate(data))
    return [place for key, value in inner for place in [(*path, key), *_places(value, (*path, key))]]


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
@pytest.mark.parametrize("made", ["whole", "sized"])
def test_an_altered_section_is_refused_or_works(
    tmp_path: Path, request: pytest.FixtureRequest, made: str, data: st.DataObject
) -> None:
    whole: Bundle = request.getfixturevalue(made)
    metadata = whole.metadata()
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.sampled_from(_places(metadata)))
        metadata = altered(metadata, place, data.draw(VALUES | st.just(DELETE)))
    path = tmp_path / "altered.safetensors"
    write(path, whole.tensors, {"eas": metadata})
    try:
        bundle = bundles.read(path)
        selector, router = load_selector(bundle), load_router(bundle)
    except BundleError:
        return
    assert json.loads(json.dumps(bundle.metadata())) == metadata | {"version": 2}
    runtime = Runtime(bundle, selector)
    for task in runtime.tasks:
        low, high = runtime.budget_range(task)
        assert 0 < low <= high
        (architecture,) = runtime.architectures([(task, low)])
        model = runtime.build(task, architecture)
        assert model.madds <= low
        if model.input_size <= 64:
            blank = np.zeros((1, model.input_size, model.input_size, 3), np.uint8)
            assert np.isfinite(model.logits(blank)).all()
            assert router is None or np.isfinite(router.compile().log_probabilities(blank)).all()


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_flipped_byte_is_refused(tmp_path: Path, whole: Bundle, data: st.DataObject) -> None:
    path = tmp_path / "flipped.safetensors"
    write(path, whole.tensors, {"eas": whole.metadata()})
    raw = bytearray(path.read_bytes())
    header = 8 + int.from_bytes(raw[:8], "little")
    raw[data.draw(st.integers(0, header) | st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    with pytest.raises(BundleError):
        bundles.read(path)


def test_the_section_is_the_metadata(tmp_path: Path) -> None:
    path = random_bundle(tmp_path, space=TINY)
    assert container.read(path).metadata == {"eas": bundles.read(path).metadata()}
