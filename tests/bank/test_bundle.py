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
from bundles import SUPERCLASSES, random_bundle
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
from eas_sdk.space.elastic.space import ElasticSpace

TINY = ElasticSpace(
    input_size=16,
    width_multiplier=0.25,
    head_width=64,
    feature_width=64,
    stages=ElasticSpace().stages[:2],
    depths=(1, 2),
    kernels=(3, 5),
    expansions=(1, 2),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundles.read(random_bundle(tmp_path_factory.mktemp("bundle"), space=TINY))


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


def test_a_bundle_comes_back_as_it_was_written(whole: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "again.safetensors"
    write(path, whole.tensors, {"eas": whole.metadata()})
    again = bundles.read(path)
    for field in dataclasses.fields(Bundle):
        if field.name != "tensors":
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
        *("bank", "calibration", "router", "selector", "statistics")
    }


def test_a_narrowed_space_comes_back(whole: Bundle, tmp_path: Path) -> None:
    narrow = dataclasses.replace(TINY, largest=Architecture.parse("k5e1 k3e2 | k3e2"))
    assert bundles.read(random_bundle(tmp_path, space=narrow)).space == narrow
    assert narrow != whole.space


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
        (("version",), 2, "version 1; got 2"),
        (("version",), "1", "version 1; got '1'"),
        (("version",), DELETE, "version 1; got None"),
        (("name",), DELETE, "'name'"),
        (("name",), "", "'name'"),
        (("name",), 3, "'name'"),
        (("space",), DELETE, "'space'"),
        (("space",), None, "'space'"),
        (("space", "kind"), "elastic-resnet", "elastic-resnet"),
        (("space", "depths"), DELETE, "depths"),
        (("space", "depths"), [2, 1], "depths"),
        (("space", "depths"), [1, 9], "unit 0 may have [1, 9] blocks; got 2"),
        (("space", "kernels"), [3, 4], "kernels"),
        (("space", "input_size"), 10**18, "input_size"),
        (("space", "width_multiplier"), 1e300, "width_multiplier"),
        (("space", "stages", 0, "activation"), "tanh", "activation"),
        (("space", "stages", 0, "stride"), 0, "stride"),
        (("space", "largest"), {"units": []}, "units"),
        (("space", "largest", "units", 0, 0), "k9e1", "unit 0 may have kernel [3, 5]; got 9"),
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
    with pytest.raises(BundleError, match="version 1; got None"):
        rewritten(data)


def test_a_container_without_the_section(whole: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    write(path, whole.tensors, {"other": whole.metadata()})
    with pytest.raises(BundleError, match="'eas'"):
        bundles.read(path)


def test_messages_stay_short(rewritten: Callable[[object], Bundle], whole: Bundle) -> None:
    for path in (("name",), ("space",), ("space", "largest"), ("space", "depths"), ("mean",), ("version",)):
        for value in (["x" * 100] * 20_000, {"y" * 200_000: 1}):
            with pytest.raises(BundleError) as caught:
                rewritten(altered(whole.metadata(), path, value))
            assert len(str(caught.value)) < 1000


def _needed(bundle: Bundle) -> list[str]:
    nodes = bundle.space.structure(bundle.space.largest, len(bundle.labels))
    return [name for node in nodes for name in tensor_shapes(bundle.space, node, bundle.statistics_rank)]


def test_every_malformed_tensor_is_named(whole: Bundle) -> None:
    names = _needed(whole)
    assert {name for name in whole.tensors if not name.startswith(("selector/", "router/", "calibration/"))} == set(
        names
    )
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


def test_calibration_images_are_optional_and_fit_the_space(whole: Bundle) -> None:
    images = whole.calibration_images
    assert images is not None
    rest = {name: tensor for name, tensor in whole.tensors.items() if name != "calibration/images"}
    bare = dataclasses.replace(whole, tensors=rest)
    bundles.check(bare)
    assert bare.calibration_images is None
    for bad in (images[0], images[:0], images[:, 1:], images[..., :1], images.astype(np.float32)):
        with pytest.raises(BundleError, match=r"'calibration/images' is uint8 of shape \(N, 16, 16, 3\), N >= 1"):
            bundles.check(dataclasses.replace(whole, tensors=rest | {"calibration/images": bad}))


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
    | st.sampled_from(["", "x", "k3e1", "k5e2", "generator", "elastic-mobilenetv3", "relu"])
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


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_an_altered_section_is_refused_or_works(
    rewritten: Callable[[object], Bundle], whole: Bundle, data: st.DataObject
) -> None:
    metadata = whole.metadata()
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.sampled_from(_places(metadata)))
        metadata = altered(metadata, place, data.draw(VALUES | st.just(DELETE)))
    try:
        bundle = rewritten(metadata)
        selector, router = load_selector(bundle), load_router(bundle)
    except BundleError:
        return
    assert json.loads(json.dumps(bundle.metadata())) == metadata | {"version": 1}
    runtime = Runtime(bundle, selector)
    for task in runtime.tasks:
        low, high = runtime.budget_range(task)
        assert 0 < low <= high
        (architecture,) = runtime.architectures([(task, low)])
        model = runtime.build(task, architecture)
        assert model.madds <= low
        size = bundle.space.input_size
        if size <= 64:
            blank = np.zeros((1, size, size, 3), np.uint8)
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
