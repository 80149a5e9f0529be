"""The router of a bundle: what it says of images, and what a damaged one is told."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import SPACE, SUPERCLASSES, patches, random_bundle

import eas_sdk
from eas_sdk import Runtime
from eas_sdk.bank.bundle import Bundle
from eas_sdk.bank.container_writer import write
from eas_sdk.errors import BundleError, ImageError, TaskError
from eas_sdk.router.network import NONE, Router, load_router, log_softmax

IMAGES = patches(40, SPACE.input_sizes[-1], seed=1)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return eas_sdk.load(random_bundle(tmp_path_factory.mktemp("bundle")))


@pytest.fixture(scope="module")
def router(runtime: Runtime) -> Router:
    return runtime.checked_router()


def test_probabilities_are_those_of_the_superclasses_and_of_none(router: Router) -> None:
    assert router.graph.labels == (*SUPERCLASSES, NONE)
    found = np.exp(router.compile().log_probabilities(IMAGES))
    assert found.shape == (40, 4)
    np.testing.assert_allclose(found.sum(1), 1)
    logits = router.compile().program.run(IMAGES.astype(np.float32) / 255)
    np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), found, rtol=1e-4)


def test_an_image_below_the_threshold_shows_none(router: Router) -> None:
    routes = router.compile().routes(IMAGES)
    known = [route.superclass for route in routes]
    assert None in known
    assert set(known) >= set(SUPERCLASSES)
    for route in routes:
        assert [name for name, _ in route.top] != []
        assert sorted(name for name, _ in route.top) == sorted(SUPERCLASSES)
        assert [p for _, p in route.top] == sorted((p for _, p in route.top), reverse=True)
        assert (route.superclass is None) == (route.probability < router.threshold)
        assert route.superclass in (None, route.top[0][0])
    strict = dataclasses.replace(router, threshold=1.0).compile()
    assert all(route.superclass is None for route in strict.routes(IMAGES))


def test_frames_of_a_scene_are_one_answer(router: Router) -> None:
    compiled = router.compile()
    (alone,) = compiled.routes(IMAGES[:1])
    together = compiled.scene(IMAGES[:1].repeat(5, 0))
    assert together.superclass == alone.superclass
    assert together.probability == pytest.approx(alone.probability, rel=1e-5)
    mean = compiled.log_probabilities(IMAGES[:5]).mean(0, keepdims=True)
    expected = np.exp(log_softmax(mean))[0, :3]
    assert compiled.scene(IMAGES[:5]).probability == pytest.approx(expected.max())
    with pytest.raises(ImageError):
        compiled.routes(np.full((1, *IMAGES.shape[1:]), np.nan))


def test_every_engine_says_the_same(router: Router) -> None:
    pytest.importorskip("ai_edge_litert")
    one, other = (router.compile(engine).log_probabilities(IMAGES) for engine in ("numpy", "litert"))
    np.testing.assert_allclose(np.exp(one), np.exp(other), atol=1e-4)


def test_a_bundle_may_have_no_router_or_one_without_a_row_for_none(tmp_path: Path, runtime: Runtime) -> None:
    bare = eas_sdk.load(random_bundle(tmp_path, router=False))
    assert bare.router is None
    with pytest.raises(TaskError, match=r"'auto' needs a router.*birds, insects, tools"):
        bare.specialize("auto", "1M")
    tensors = dict(runtime.bundle.tensors)
    for name in ("router/classifier.weight", "router/classifier.bias"):
        tensors[name] = tensors[name][:3]
    found = load_router(dataclasses.replace(runtime.bundle, tensors=tensors))
    assert found is not None
    assert found.graph.labels == tuple(SUPERCLASSES)
    np.testing.assert_allclose(np.exp(found.compile().log_probabilities(IMAGES)).sum(1), 1)


def damaged(bundle: Bundle, tensor: str = "", value: Any = None, only: Any = None, **section: Any) -> Bundle:
    """A bundle whose router lacks a tensor or has another, or has another section."""
    if only is not None:
        return dataclasses.replace(bundle, router=only)
    tensors = dict(bundle.tensors)
    if tensor:
        del tensors[f"router/{tensor}"]
        if value is not None:
            tensors[f"router/{tensor}"] = value
    return dataclasses.replace(bundle, tensors=tensors, router={**(bundle.router or {}), **section})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"only": {}}, "'threshold' is a number from 0 to 1; got None"),
        ({"threshold": 1.5}, "'threshold' is a number from 0 to 1; got 1.5"),
        ({"threshold": True}, "'threshold' is a number"),
        ({"threshold": float("nan")}, "'threshold' is a number"),
        ({"threshold": None}, "'threshold' is a number"),
        ({"space": None}, "'space'"),
        ({"space": SPACE.to_json()}, "floating point of shape"),
        ({"tensor": "stem.weight"}, "'router/stem.weight'.*got nothing"),
        ({"tensor": "stem.bias", "value": np.zeros(3, np.float32)}, r"'router/stem.bias'.*got float32 \(3,\)"),
        ({"tensor": "head.bias", "value": np.zeros(240, np.int32)}, "'router/head.bias'.*got int32"),
        ({"tensor": "head.bias", "value": np.full(240, np.inf, np.float32)}, "'router/head.bias' is finite"),
        ({"tensor": "classifier.bias", "value": np.zeros(9, np.float32)}, "has 3 rows.*got 9"),
        ({"tensor": "classifier.bias"}, "has 3 rows.*got 0"),
    ],
)
def test_a_malformed_router_is_named(runtime: Runtime, change: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        load_router(damaged(runtime.bundle, **change))


def sharing(bundle: Bundle, **section: Any) -> Bundle:
    """The same bundle with a router that is its smallest network, with rows that are told apart by chance."""
    rng, features = np.random.default_rng(0), bundle.tensors["bank/classifier.weight"].shape[1]
    tensors = {name: tensor for name, tensor in bundle.tensors.items() if not name.startswith("router/")}
    tensors |= {
        "router/classifier.weight": rng.normal(0, 1, (4, features)).astype(np.float32),
        "router/classifier.bias": np.zeros(4, np.float32),
    }
    config = {"threshold": 0.4, "architecture": str(bundle.space.smallest)}
    return dataclasses.replace(bundle, router=config | section, tensors=tensors)


def test_a_router_may_be_a_member_of_the_bank(runtime: Runtime, tmp_path: Path) -> None:
    """It reads what that network's classifier reads."""
    bundle = sharing(runtime.bundle)
    write(tmp_path / "shared.safetensors", bundle.tensors, {"eas": bundle.metadata()})
    shared = eas_sdk.load(tmp_path / "shared.safetensors")
    router, network = shared.checked_router(), shared.build("all", bundle.space.smallest)
    assert router.cost.madds < network.cost.madds, "four rows cost less than all classes"
    assert router.nodes[:-1] == network.graph.nodes[:-1]
    for name, weight in network.graph.weights.items():
        if not name.startswith("classifier"):
            np.testing.assert_array_equal(router.graph.weights[name], weight)
    np.testing.assert_array_equal(router.graph.weights["classifier.weight"], bundle.tensors["router/classifier.weight"])
    assert len(shared.specialize("auto", "100%").predict(IMAGES)) == len(IMAGES)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"architecture": 3}, "'architecture' is text.*got 3"),
        ({"architecture": "k3"}, "'architecture'"),
        ({"architecture": "k9e9 | k9e9"}, "'architecture'"),
    ],
)
def test_a_router_that_is_no_member_is_named(runtime: Runtime, section: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        load_router(sharing(runtime.bundle, **section))
