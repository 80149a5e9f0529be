"""Slicing: every weight of a sub-network against direct indexing of the bank."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from bundles import SPACE, random_bundle
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import architectures

from eas_sdk.bank import bundle as bundles
from eas_sdk.bank.bundle import Bundle
from eas_sdk.bank.slicing import cut
from eas_sdk.engine.registry import load_engine
from eas_sdk.errors import ArchitectureError
from eas_sdk.graph.nodes import Graph
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic.gates import gates_of_choices
from eas_sdk.space.widths import make_divisible

CLASSES = (4, 0, 11, 5)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundles.read(random_bundle(tmp_path_factory.mktemp("bundle")))


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
    before = make_divisible(space.stem_width * space.width_multiplier)
    convolution("stem", before, 3)
    depthwise("first.depthwise", before, 3)
    convolution("first.project", before, before)
    for u, (unit, stage) in enumerate(zip(architecture.units, space.stages, strict=True)):
        after = make_divisible(stage.width * space.width_multiplier)
        for b, block in enumerate(unit):
            name, hidden = f"unit{u}.block{b}", make_divisible(before * block.expansion)
            convolution(f"{name}.expand", hidden, before)
            depthwise(f"{name}.depthwise", hidden, block.kernel)
            if stage.squeeze_excite:
                squeezed = make_divisible(hidden // 4)
                for layer, out, inner in (("squeeze", squeezed, hidden), ("excite", hidden, squeezed)):
                    full = tensors[f"bank/{name}.{layer}.weight"]
                    made[f"{name}.{layer}.weight"] = full[:out, :, :, :inner]
                    made[f"{name}.{layer}.bias"] = tensors[f"bank/{name}.{layer}.bias"][:out]
            convolution(f"{name}.project", after, hidden)
            before = after
    convolution("head", make_divisible(space.head_width * space.width_multiplier), before)
    made["feature.weight"] = tensors["bank/feature.weight"]
    made["feature.bias"] = np.zeros(len(tensors["bank/feature.weight"]))
    made["classifier.weight"] = np.stack([tensors["bank/classifier.weight"][c] for c in CLASSES])
    made["classifier.bias"] = np.array([tensors["bank/classifier.bias"][c] for c in CLASSES])
    return made


@settings(max_examples=30)
@given(st.data())
def test_every_weight_by_direct_indexing(bundle: Bundle, data: st.DataObject) -> None:
    architecture = data.draw(architectures(SPACE))
    graph = cut(bundle, architecture, CLASSES)
    wanted = expected(bundle, architecture)
    assert graph.nodes == SPACE.structure(architecture, len(CLASSES))
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
    images = np.random.default_rng(0).random((2, SPACE.input_sizes[-1], SPACE.input_sizes[-1], 3), np.float32)
    return load_engine("numpy").compile(graph).run(images)


def test_every_gate_moves_the_statistics(bundle: Bundle) -> None:
    blocks = [Block(k, e) for k in SPACE.kernels for e in SPACE.expansions]
    units = [((block, Block(3, 3)), *SPACE.smallest.units[1:]) for block in blocks]
    biases = {cut(bundle, Architecture(unit), CLASSES).weights["head.bias"].tobytes() for unit in units}
    assert len(biases) == len(blocks)


def test_half_precision_weights_are_the_rounded_weights(bundle: Bundle) -> None:
    half = {name: tensor.astype(np.float16) for name, tensor in bundle.tensors.items()}
    back = {name: tensor.astype(np.float32) for name, tensor in half.items()}
    for architecture in (SPACE.smallest, SPACE.largest):
        narrow = cut(dataclasses.replace(bundle, tensors=half), architecture, CLASSES)
        wide = cut(dataclasses.replace(bundle, tensors=back), architecture, CLASSES)
        for name, weight in wide.weights.items():
            assert narrow.weights[name].dtype == np.float32
            np.testing.assert_array_equal(narrow.weights[name], weight, err_msg=name)


def test_no_predicted_variance_is_negative(bundle: Bundle) -> None:
    offset = bundle.tensors["statistics/head.offset"].copy()
    offset[1] = -500  # exp(250) is beyond float32
    graph = cut(
        dataclasses.replace(bundle, tensors={**bundle.tensors, "statistics/head.offset": offset}),
        SPACE.smallest,
        CLASSES,
    )
    stored, gamma = (bundle.tensors[f"bank/head.{s}"] for s in ("weight", "gamma"))
    expected = stored * (gamma / np.sqrt(SPACE.epsilon))[:, None, None, None]
    np.testing.assert_allclose(graph.weights["head.weight"], expected, rtol=1e-5)
    assert np.isfinite(run(graph)).all()


def test_the_bank_stays_as_it_was(bundle: Bundle) -> None:
    before = {name: tensor.copy() for name, tensor in bundle.tensors.items()}
    cut(bundle, SPACE.largest, CLASSES)
    cut(bundle, SPACE.smallest, CLASSES)
    for name, tensor in bundle.tensors.items():
        np.testing.assert_array_equal(tensor, before[name])


@pytest.mark.parametrize("text", ["k3e3 k3e3", " | ".join(["k3e3"] * 5), " | ".join(["k9e3 k3e3"] * 5)])
def test_a_foreign_architecture_is_refused(bundle: Bundle, text: str) -> None:
    with pytest.raises(ArchitectureError):
        cut(bundle, Architecture.parse(text), CLASSES)


NARROW = Architecture.parse("k5e6 k3e4 k3e3 | k3e4 k5e4 | k7e3 k3e3 k3e3 k3e3 | k3e3 k3e6 | k5e4 k5e4 k5e4")


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
    with pytest.raises(ArchitectureError, match="unit 0"):
        cut(narrow, SPACE.largest, CLASSES)


def test_a_narrowed_bundle_comes_back_from_its_file(bundle: Bundle, tmp_path: Path) -> None:
    made = pytest.importorskip("eas_train.bundle")
    path = tmp_path / "narrow.safetensors"
    made.save(made.prune(bundle, bundle.space.narrowed([NARROW])), path)
    again = bundles.read(path)
    assert again.space.largest == NARROW
    np.testing.assert_array_equal(run(cut(again, NARROW, CLASSES)), run(cut(bundle, NARROW, CLASSES)))
