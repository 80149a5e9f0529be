"""Bundles with random weights: small, quick to make, and real in every other way. They need numpy alone.

>>> path = random_bundle(tmp_path)
>>> eas_sdk.load(path).specialize("birds", "1M").labels
('duck', 'owl', 'penguin')
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from eas_sdk.bank.bundle import Bundle, adapter_shapes, tensor_shapes
from eas_sdk.bank.container_writer import write
from eas_sdk.bank.pictures import CODED, Pictures, encode
from eas_sdk.engine.checks import weight_shapes
from eas_sdk.graph.cost import cost
from eas_sdk.graph.nodes import Normalize
from eas_sdk.router.network import load_router
from eas_sdk.selector.generator import HEADS
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.backbones import LITE0, PAPER
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.protocol import Space, size_of
from eas_sdk.space.sample import random_architecture
from eas_sdk.task import Superclass

SPACE = replace(PAPER, input_sizes=(32,), width_multiplier=0.25)
"""Five units of 2 to 4 blocks over 32 px images; networks of 0.48 to 2.37 million multiply-adds."""

TINY = replace(
    SPACE,
    units=(
        SPACE.units[0],
        *(replace(unit, depths=(1, 2), kernels=(3,), expansions=(3, 6)) for unit in SPACE.units[1:3]),
    ),
    largest=Architecture(()),
)
"""Its first three units, of few blocks: quickly measured block by block."""

SIZES = replace(
    LITE0,
    input_sizes=(32, 48, 64),
    width_multiplier=0.25,
    units=(LITE0.units[0], *(replace(unit, expansions=(3, 4, 5, 6)) for unit in LITE0.units[1:-2])),
    largest=Architecture(()),
)
"""EfficientNet-Lite0's first five units, of choices of their own, over images of three sizes."""

SUPERCLASSES: Mapping[str, Sequence[str]] = {
    "birds": ("duck", "owl", "penguin"),
    "insects": ("ant", "bee", "beetle", "snail"),
    "tools": ("axe", "hammer", "hook", "saw", "wrench"),
}


def random_bundle(
    folder: Path,
    superclasses: Mapping[str, Sequence[str]] = SUPERCLASSES,
    *,
    space: Space = SPACE,
    seed: int = 0,
    training: Mapping[str, Any] | None = None,
    calibration_images: int = 4,
    proof_images: int = 2,
    router: bool = True,
    adapters: Sequence[Sequence[int]] = (),
    temperatures: Sequence[float] = (),
) -> Path:
    """Write `folder`/random.safetensors and return its path. Equal arguments give equal bytes.

    The networks' answers differ between images, tasks and budgets, but mean nothing.

    Args:
        folder: an existing folder.
        superclasses: the labels of each task.
        space: what the bank serves. One of cells has a menu in place of a generator, and no router.
        seed: of all weights.
        training: the bundle's `training` section, for instance {"accuracy": [...]}.
        calibration_images: how many it carries; patches of colour with noise.
        proof_images: likewise, of every superclass; patches of colour.
        router: whether it has one, with a row for what belongs to none.
        adapters: groups of input sizes with changes of the weights; temperatures: of each input size.
    """
    rng = np.random.default_rng(seed)
    classes = sum(len(labels) for labels in superclasses.values())
    tensors = {
        name: _tensor(rng, name, shape)
        for node in space.bank(classes)
        for name, shape in tensor_shapes(space, node, rank=2).items()
    }
    if isinstance(space, ElasticSpace):
        ends = [cost(space.structure(end, classes)).madds for end in (space.smallest, space.largest)]
        budgets = np.linspace(*ends, 4).tolist()
        selector = {"kind": "generator", "budgets": budgets, "samples": 16}
        chosen = _generator(rng, space, len(superclasses), len(budgets))
    else:
        selector, router = {"kind": "menu"}, False
        chosen = menu(space, len(superclasses), seed=seed)
    tensors |= {f"selector/{name}": tensor for name, tensor in chosen.items()}
    firsts = np.cumsum([0, *(len(labels) for labels in superclasses.values())])[:-1].tolist()
    pictures = None
    if calibration_images or proof_images:
        side = size_of(space, space.largest)
        shown = [first for first in firsts for _ in range(proof_images)]
        pictures = Pictures(side, (0,) * calibration_images, tuple(shown))
        noise, coarse = (
            rng.integers(0, 64, (calibration_images, side, side, 3), np.uint8),
            patches(pictures.count, side),
        )
        coarse[:calibration_images] = coarse[:calibration_images] // 4 * 3 + noise
        tensors[CODED] = encode(coarse)
    section: dict[str, Any] | None = None
    if router:
        assert isinstance(space, ElasticSpace)
        units = tuple(u if u.fixed else replace(u, depths=(1,), kernels=(3,), expansions=(2,)) for u in space.units)
        fixed = replace(space, input_sizes=space.input_sizes[:1], units=units, largest=Architecture(()))
        section = {"space": fixed.to_json(), "threshold": 0.4}
        for node in fixed.structure(fixed.largest, len(superclasses) + 1):
            if not isinstance(node, Normalize):
                tensors |= {f"router/{name}": _tensor(rng, name, shape) for name, shape in weight_shapes(node).items()}
    bundle = Bundle(
        name="random",
        space=space,
        superclasses=tuple(Superclass(name, tuple(labels)) for name, labels in superclasses.items()),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        selector=selector,
        tensors=tensors,
        training=training or {},
        attributions=("Random numbers by numpy, public domain.",),
        router=section,
        adapters=tuple(tuple(group) for group in adapters),
        temperatures=tuple(temperatures),
        pictures=pictures,
    )
    changes = [shapes for node in space.bank(classes) for shapes in adapter_shapes(bundle, node).items()]
    bundle = replace(bundle, tensors=tensors | {name: _change(rng, name, shape) for name, shape in changes})
    if router:
        _centred(bundle)
    path = folder / "random.safetensors"
    write(path, bundle.tensors, {"eas": bundle.metadata()})
    return path


def menu(space: Space, superclasses: int, count: int = 30, seed: int = 0) -> dict[str, np.ndarray]:
    """A menu's tensors: the smallest architecture and random ones, with random scores."""
    drawn = random.Random(seed)
    listed = [space.smallest, *(random_architecture(space, drawn) for _ in range(count - 1))]
    scores = np.random.default_rng(seed).random((superclasses, count)).astype(np.float32)
    return {"choices": space.encode(listed), "scores": scores}


def _tensor(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Random values of the size that training leaves, so that signals neither vanish nor explode."""
    noise = rng.standard_normal(shape)
    if name.endswith(".weight"):
        depthwise = name.endswith("depthwise.weight")
        inputs = shape[0] * shape[1] if depthwise else int(np.prod(shape[1:]))
        value = noise * np.sqrt(3 / inputs)
    elif name.endswith(".gamma"):
        value = np.exp(0.1 * noise)
    elif name.endswith((".mix", ".basis")):
        value = 0.2 * noise
    else:
        value = 0.005 * noise
    return value.astype(np.float32)


def _change(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A change of a weight that shows, and leaves it what it is."""
    inputs = 1 if name.endswith(".up") else int(np.prod(shape[2:]))
    return (0.5 * rng.standard_normal(shape) / np.sqrt(inputs)).astype(np.float32)


def _centred(bundle: Bundle) -> None:
    """Set the last layer of a random router so that on patches of colour no superclass is the usual answer."""
    router = load_router(bundle)
    assert router is not None
    images = patches(64, router.graph.input_size)
    logits = router.compile().program.run(images.astype(np.float32) / 255)
    sharper = 2 / logits.std(0)
    weight, bias = bundle.tensors["router/classifier.weight"], bundle.tensors["router/classifier.bias"]
    weight *= sharper[:, None]
    bias[:] = (bias - logits.mean(0)) * sharper


def patches(count: int, size: int, seed: int = 0) -> np.ndarray:
    """uint8 [count, size, size, 3]: sixteen patches of colour each."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), np.uint8)
    return coarse.repeat(size // 4, 1).repeat(size // 4, 2)


def _generator(rng: np.random.Generator, space: ElasticSpace, superclasses: int, budgets: int) -> dict[str, np.ndarray]:
    """A generator's tensors (see eas_sdk.selector.generator); it expects bigger networks to do better."""
    layout, width, hidden = space.layout, 8, 16
    shapes = {
        "superclass_embedding": (superclasses, width),
        "budget_embedding": (budgets, width),
        "lstm.input": (4 * hidden, 2 * width),
        "lstm.hidden": (4 * hidden, hidden),
        "lstm.bias": (4 * hidden,),
        "predictor": (superclasses, layout.gates),
    }
    for head, gates in zip(HEADS, layout.widths, strict=True):
        shapes |= {f"{head}.weight": (gates, hidden), f"{head}.bias": (gates,)}
    tensors = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    tensors["predictor"] = np.abs(tensors["predictor"])
    for head in HEADS:  # gates are on with probabilities around one half
        tensors[f"{head}.weight"] *= 0.3
    return tensors
