"""Slicing: every weight of a sub-network against direct indexing of the bank."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from bundles import SIZES, SPACE, random_bundle
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import architectures

from eas_sdk.bank import bundle as bundles
from eas_sdk.bank.bundle import Bundle, tensor_shapes
from eas_sdk.bank.slicing import cut
from eas_sdk.engine.registry import load_engine
from eas_sdk.errors import ArchitectureError, BundleError
from eas_sdk.graph.nodes import Graph
from eas_sdk.runtime import Runtime
from eas_sdk.selector.registry import load_selector
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic.gates import gates_of_choices
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.widths import make_divisible

CLASSES = (4, 0, 11, 5)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundles.read(random_bundle(tmp_path_factory.mktemp("bundle")))


@pytest.fixture(scope="module")
def banks(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """Of every form of space: one size and torch's padding, three sizes and TensorFlow's, and a biased layer with
    ratios of two decimals."""
    own = tuple(
        dataclasses.replace(unit, expansions=unit.expansions if unit.fixed else (1.5, 2.25, 3)) for unit in SPACE.units
    )
    odd = dataclasses.replace(
        SPACE,
        input_sizes=(24, 40),
        units=own,
        head=dataclasses.replace(SPACE.head, feature_bias=True),
        largest=Architecture(()),
    )
    made = {
        name: random_bundle(tmp_path_factory.mktemp(name), space=s) for name, s in {"sizes": SIZES, "odd": odd}.items()
    }
    return {"plain": bundle} | {name: bundles.read(path) for name, path in made.items()}


def folded(bundle: Bundle, name: str, channels: int, gates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift of a batch-norm, in float64."""
    gamma, beta = (bundle.tensors[f"bank/{name}.{s}"][:channels].astype(float) for s in ("gamma", "beta"))
    mix, basis, offset = (bundle.tensors[f"statistics/{name}.{s}"].astype(float) for s in ("mix", "basis", "offset"))
    mean, log_variance = offset.copy()
    for gate, row in zip(gates, mix, strict=True):
        for weight, direction in zip(row, basis, strict=True):
            mean += gate * weight * direction[0]
            log_variance += gate * weight * direction[1]
    scale = gamma / np.sqrt(np.exp(log_variance[:channels]))
    return scale, beta - mean[:channels] * scale


def expected(bundle: Bundle, architecture: Architecture) -> dict[str, np.ndarray]:
    """Weights by the rules of the format, written out without the node description."""
    tensors, space = bundle.tensors, bundle.space
    made: dict[str, np.ndarray] = {}
    gates = gates_of_choices(space, space.encode([architecture]))[0]

    def convolution(name: str, out: int, inner: int) -> None:
        scale, shift = folded(bundle, name, out, gates)
        made[f"{name}.weight"] = tensors[f"bank/{name}.weight"][:out, :, :, :inner] * scale[:, None, None, None]
        made[f"{name}.bias"] = shift

    def depthwise(name: str, channels: int, kernel: int) -> None:
        scale, shift = folded(bundle, name, channels, gates)
        full = tensors[f"bank/{name}.weight"]
        middle = len(full) // 2
        taps = slice(middle - kernel // 2, middle + kernel // 2 + 1)
        made[f"{name}.weight"] = full[taps, taps, :channels] * scale
        made[f"{name}.bias"] = shift

    made["normalize.weight"] = 1 / np.array(bundle.std)
    made["normalize.bias"] = -np.array(bundle.mean) / np.array(bundle.std)
    before = make_divisible(space.stem.width * space.width_multiplier)
    convolution("stem", before, 3)
    for u, (blocks, unit) in enumerate(zip(architecture.units, space.units, strict=True)):
        after = make_divisible(unit.width * space.width_multiplier)
        for b, block in enumerate(blocks):
            name, hidden = f"unit{u}.block{b}", make_divisible(round(before * block.expansion))
            if block.expansion != 1:
                convolution(f"{name}.expand", hidden, before)
            depthwise(f"{name}.depthwise", hidden, block.kernel)
            if unit.squeeze_excite:
                squeezed = make_divisible(hidden // 4)
                for layer, out, inner in (("squeeze", squeezed, hidden), ("excite", hidden, squeezed)):
                    full = tensors[f"bank/{name}.{layer}.weight"]
                    made[f"{name}.{layer}.weight"] = full[:out, :, :, :inner]
                    made[f"{name}.{layer}.bias"] = tensors[f"bank/{name}.{layer}.bias"][:out]
            convolution(f"{name}.project", after, hidden)
            before = after
    convolution("head", make_divisible(space.head.width * space.width_multiplier), before)
    if space.head.feature is not None:
        made["feature.weight"] = tensors["bank/feature.weight"]
        made["feature.bias"] = tensors.get("bank/feature.bias", np.zeros(len(tensors["bank/feature.weight"])))
    made["classifier.weight"] = np.stack([tensors["bank/classifier.weight"][c] for c in CLASSES])
    made["classifier.bias"] = np.array([tensors["bank/classifier.bias"][c] for c in CLASSES])
    return made


@settings(max_examples=30)
@given(st.data())
def test_every_weight_by_direct_indexing(banks: dict[str, Bundle], data: st.DataObject) -> None:
    bundle = banks[data.draw(st.sampled_from(sorted(banks)))]
    space = bundle.space
    architecture = data.draw(architectures(space))
    graph = cut(bundle, architecture, CLASSES)
    wanted = expected(bundle, architecture)
    assert graph.nodes == space.structure(architecture, len(CLASSES))
    assert ("bank/feature.bias" in bundle.tensors) == space.head.feature_bias
    assert graph.weights.keys() == wanted.keys()
    for name, weight in graph.weights.items():
        assert weight.dtype == np.float32, name
        assert weight.flags.c_contiguous, name
        np.testing.assert_allclose(weight, wanted[name], rtol=2e-5, atol=1e-6, err_msg=name)


def test_labels_follow_the_rows_that_were_asked_for(bundle: Bundle) -> None:
    graph = cut(bundle, SPACE.smallest, CLASSES)
    assert graph.labels == tuple(bundle.labels[c] for c in CLASSES)
    everything = run(cut(bundle, SPACE.smallest, range(len(bundle.labels))))
    np.testing.assert_allclose(run(graph), everything[:, list(CLASSES)], rtol=1e-4, atol=1e-5)


def run(graph: Graph) -> np.ndarray:
    """Logits of two fixed images."""
    images = np.random.default_rng(0).random((2, graph.input_size, graph.input_size, 3), np.float32)
    return load_engine("numpy").compile(graph).run(images)


def test_every_gate_moves_the_statistics(bundle: Bundle) -> None:
    unit = SPACE.units[1]
    blocks = [Block(kernel, expansion) for kernel in unit.kernels for expansion in unit.expansions]
    first, second, *rest = SPACE.smallest.units
    units = [(first, (block, *second[1:]), *rest) for block in blocks]
    biases = {cut(bundle, Architecture(unit), CLASSES).weights["head.bias"].tobytes() for unit in units}
    assert len(biases) == len(blocks)


def test_the_input_size_moves_all_statistics_and_no_weight_else(banks: dict[str, Bundle]) -> None:
    bundle = banks["sizes"]
    small, middle, large = (
        cut(bundle, dataclasses.replace(SIZES.largest, input_size=size), CLASSES) for size in SIZES.input_sizes
    )
    assert [graph.input_size for graph in (small, middle, large)] == [32, 48, 64]
    assert small.weights.keys() == large.weights.keys()
    for name, weight in small.weights.items():
        node = name.rpartition(".")[0]
        folded_in = f"statistics/{node}.mix" in bundle.tensors
        for other in (middle, large):
            assert (other.weights[name] != weight).any() == folded_in, name
        assert not folded_in or (middle.weights[name] != large.weights[name]).any()
    assert len({run(graph).tobytes() for graph in (small, middle, large)}) == 3


def test_half_precision_weights_are_the_rounded_weights(bundle: Bundle) -> None:
    half = {name: tensor.astype(np.float16) for name, tensor in bundle.tensors.items()}
    back = {name: tensor.astype(np.float32) for name, tensor in half.items()}
    for architecture in (SPACE.smallest, SPACE.largest):
        narrow = cut(dataclasses.replace(bundle, tensors=half), architecture, CLASSES)
        wide = cut(dataclasses.replace(bundle, tensors=back), architecture, CLASSES)
        for name, weight in wide.weights.items():
            assert narrow.weights[name].dtype == np.float32
            np.testing.assert_array_equal(narrow.weights[name], weight, err_msg=name)


@pytest.mark.parametrize("epsilon", [1e-5, 1e-3, 0.1])
def test_no_predicted_variance_is_below_the_space_s_epsilon(bundle: Bundle, epsilon: float) -> None:
    offset = bundle.tensors["statistics/head.offset"].copy()
    offset[1] = -500  # exp(250) is beyond float32
    space = dataclasses.replace(SPACE, epsilon=epsilon)
    graph = cut(
        dataclasses.replace(bundle, space=space, tensors={**bundle.tensors, "statistics/head.offset": offset}),
        SPACE.smallest,
        CLASSES,
    )
    stored, gamma = (bundle.tensors[f"bank/head.{s}"] for s in ("weight", "gamma"))
    expected = stored * (gamma / np.sqrt(epsilon))[:, None, None, None]
    np.testing.assert_allclose(graph.weights["head.weight"], expected, rtol=1e-5)
    assert np.isfinite(run(graph)).all()


def test_the_bank_stays_as_it_was(bundle: Bundle) -> None:
    before = {name: tensor.copy() for name, tensor in bundle.tensors.items()}
    cut(bundle, SPACE.largest, CLASSES)
    cut(bundle, SPACE.smallest, CLASSES)
    for name, tensor in bundle.tensors.items():
        np.testing.assert_array_equal(tensor, before[name])


@pytest.mark.parametrize(
    "text", ["k3e3 k3e3", "k3e1 | " + " | ".join(["k3e3"] * 5), "k3e1 | " + " | ".join(["k9e3 k3e3"] * 5)]
)
def test_a_foreign_architecture_is_refused(bundle: Bundle, text: str) -> None:
    with pytest.raises(ArchitectureError):
        cut(bundle, Architecture.parse(text), CLASSES)


NARROW = Architecture.parse("k3e1 | k5e6 k3e4 k3e3 | k3e4 k5e4 | k7e3 k3e3 k3e3 k3e3 | k3e3 k3e6 | k5e4 k5e4 k5e4")


def test_a_narrowed_bank_serves_the_same_sub_networks(bundle: Bundle) -> None:
    prune = pytest.importorskip("eas_train.bundle").prune
    narrow = prune(bundle, bundle.space.narrowed([NARROW]))
    bundles.check(narrow)
    sizes = [sum(tensor.nbytes for tensor in b.tensors.values()) for b in (narrow, bundle)]
    assert sizes[0] < sizes[1]
    shallow = Architecture(tuple(unit[:2] for unit in NARROW.units))
    for architecture in (NARROW, shallow, SPACE.smallest):
        few, all_ = cut(narrow, architecture, CLASSES), cut(bundle, architecture, CLASSES)
        assert few.nodes == all_.nodes
        for name, weight in all_.weights.items():
            np.testing.assert_array_equal(few.weights[name], weight, err_msg=name)
        np.testing.assert_array_equal(run(few), run(all_))
    with pytest.raises(ArchitectureError, match="unit 1"):
        cut(narrow, SPACE.largest, CLASSES)


def test_a_bank_narrowed_to_smaller_images_serves_them_as_before(banks: dict[str, Bundle]) -> None:
    prune = pytest.importorskip("eas_train.bundle").prune
    bundle = banks["sizes"]
    kept = [
        Architecture.parse(t)
        for t in ("48px k3e1 | k3e4 | k5e3 | k3e6 | k3e3", "32px k3e1 | k3e3 | k3e3 | k3e3 | k5e3")
    ]
    narrow = prune(bundle, bundle.space.narrowed(kept))
    bundles.check(narrow)
    assert (narrow.input_size, narrow.calibration_images.shape) == (48, (4, 48, 48, 3))
    for architecture in (*kept, SIZES.smallest):
        few, all_ = cut(narrow, architecture, CLASSES), cut(bundle, architecture, CLASSES)
        assert few.nodes == all_.nodes
        for name, weight in all_.weights.items():
            np.testing.assert_array_equal(few.weights[name], weight, err_msg=name)
    with pytest.raises(ArchitectureError, match=r"an input size in \[32, 48\] px; got 64 px"):
        cut(narrow, dataclasses.replace(SIZES.smallest, input_size=64), CLASSES)


def test_a_narrowed_bundle_comes_back_from_its_file(bundle: Bundle, tmp_path: Path) -> None:
    made = pytest.importorskip("eas_train.bundle")
    path = tmp_path / "narrow.safetensors"
    made.save(made.prune(bundle, bundle.space.narrowed([NARROW])), path)
    again = bundles.read(path)
    assert again.space.largest == NARROW
    np.testing.assert_array_equal(run(cut(again, NARROW, CLASSES)), run(cut(bundle, NARROW, CLASSES)))


@pytest.mark.parametrize("space", [SPACE, SIZES], ids=["one size", "three"])
def test_statistics_have_a_row_for_each_gate(space: ElasticSpace) -> None:
    for node in space.bank(3):
        shapes = tensor_shapes(space, node, 5)
        if (name := f"statistics/{node.name}.mix") in shapes:
            assert shapes[name] == (space.features, 5)
    assert ("bank/feature.bias" in tensor_shapes(space, space.bank(3)[-2], 5)) == space.head.feature_bias


def test_a_bundle_of_one_network(tmp_path: Path) -> None:
    units = tuple(dataclasses.replace(u, depths=(1,), kernels=(3,), expansions=u.expansions[:1]) for u in SPACE.units)
    space = dataclasses.replace(SPACE, units=units, largest=Architecture(()))
    assert (space.features, space.smallest) == (0, space.largest)
    made = bundles.read(random_bundle(tmp_path, space=space))
    assert made.tensors["statistics/stem.mix"].shape == (0, 2)
    made = dataclasses.replace(made, selector={**made.selector, "budgets": [1e4, 2e4, 3e4, 4e4]})
    runtime = Runtime(made, load_selector(made))
    low, high = runtime.budget_range("birds")
    assert low == high
    assert np.isfinite(runtime.specialize("birds", low).logits(np.zeros((1, 32, 32, 3), np.uint8))).all()


def test_logits_are_divided_by_the_temperature_of_their_input_size(tmp_path: Path) -> None:
    plain = Runtime(read := bundles.read(random_bundle(tmp_path, space=SIZES)), load_selector(read))
    warm = dataclasses.replace(plain, bundle=dataclasses.replace(plain.bundle, temperatures=(2.0, 0.5, 1.0)))
    bundles.check(warm.bundle)
    images = np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), np.uint8)
    for size, temperature in zip(SIZES.input_sizes, warm.bundle.temperatures, strict=True):
        for task in ("birds", "all"):
            architecture = dataclasses.replace(SIZES.smallest, input_size=size)
            one, other = (runtime.build(task, architecture).logits(images) for runtime in (plain, warm))
            np.testing.assert_allclose(other, one / temperature, rtol=1e-5, atol=1e-5)
    for wrong in ((1.0,), (1.0, 2.0, 3.0, 4.0)):
        with pytest.raises(BundleError, match="'temperatures' has a number for each input size"):
            bundles.check(dataclasses.replace(plain.bundle, temperatures=wrong))
