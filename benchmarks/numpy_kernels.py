"""The numpy engine on one thread: depthwise kernels and whole networks, against torch and against the BLAS alone.

    python -m benchmarks.numpy_kernels

Times are processor time of the calling thread, the least of many rounds that take turns, so that other work on the
machine disturbs the ratios little. "baseline" is the plain way to write a depthwise convolution in numpy: shifted
multiply-adds over blocks of rows into buffers made beforehand. "matmul" is the time of a network's 1x1 convolutions
as bare matrix products, each repeated with its operands in the cache: what no engine on this BLAS can undercut.
"""

from __future__ import annotations

import functools
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.networks import ABOUT_300M
from benchmarks.record import record
from eas_sdk.engine.checks import weight_shapes
from eas_sdk.engine.numpy_engine import NumpyEngine, buffer_size
from eas_sdk.engine.numpy_kernels.lowering import lower
from eas_sdk.engine.numpy_kernels.plan import Builder
from eas_sdk.graph.cost import cost, output_shape
from eas_sdk.graph.nodes import (
    INPUT,
    Add,
    Conv2d,
    DepthwiseConv2d,
    GlobalMean,
    Graph,
    Linear,
    Multiply,
    Node,
    Normalize,
)
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.backbones import PAPER, SMALL
from eas_sdk.space.elastic.space import ElasticSpace

try:
    import torch
    from torch.nn import functional
except ImportError:
    HAS_TORCH = False
else:
    HAS_TORCH = True

SHAPES = (  # size, channels, kernel, stride
    (112, 96, 5, 2),
    (56, 144, 5, 1),
    (28, 240, 5, 1),
    (14, 480, 5, 1),
    (7, 960, 5, 1),
    (32, 48, 5, 1),
    (16, 96, 5, 1),
    (8, 240, 5, 1),
    (4, 480, 5, 1),
    (2, 480, 5, 1),
)
NETWORKS = (  # space, architecture, images
    ("paper, about 300M", PAPER, ABOUT_300M, 1),
    ("paper, smallest", PAPER, PAPER.smallest, 1),
    ("paper, largest", PAPER, PAPER.largest, 1),
    ("small, largest", SMALL, SMALL.largest, 1),
    ("small, largest, 16 images", SMALL, SMALL.largest, 16),
)

Run = Callable[[], object]


def main() -> None:
    if HAS_TORCH:
        torch.set_num_threads(1)
    depthwise = {f"{s} x {s} x {c}, k{k} s{t}": depthwise_ms(s, c, k, t) for s, c, k, t in SHAPES}
    networks = {name: network_ms(space, arch, count) for name, space, arch, count in NETWORKS}
    record("numpy_kernels", {"depthwise_ms": depthwise, "network_ms_per_image": networks})


def least_ms(runs: Mapping[str, Run], seconds: float = 2.0) -> dict[str, float]:
    """Least processor time of each run, in ms; they take turns."""
    least = dict.fromkeys(runs, float("inf"))
    end = time.perf_counter() + seconds * len(runs)
    while time.perf_counter() < end:
        for name, run in runs.items():
            for _ in range(3):
                start = time.thread_time()
                run()
                least[name] = min(least[name], 1e3 * (time.thread_time() - start))
    return least


def depthwise_ms(size: int, channels: int, kernel: int, stride: int) -> dict[str, float]:
    """One depthwise convolution without activation: the engine's kernel, the baseline, torch."""
    node = DepthwiseConv2d("depthwise", ("normalize",), size, channels, kernel, stride, kernel // 2, "none")
    graph = random_graph((Normalize("normalize", (INPUT,), size, channels), node))
    plan = Builder(1, lower(graph)[1:]).build("normalize", channels, size)
    plan.images[:] = np.random.default_rng(0).random(plan.images.shape, np.float32)

    def engine() -> None:
        with buffer_size():
            plan.run()

    runs: dict[str, Run] = {"engine": engine, "baseline": _baseline(node, graph.weights["depthwise.weight"])}
    if HAS_TORCH:
        weight = torch.from_numpy(graph.weights["depthwise.weight"]).permute(2, 0, 1)[:, None].contiguous()
        bias = torch.from_numpy(graph.weights["depthwise.bias"])
        maps = torch.rand(1, channels, size, size)
        last = torch.channels_last
        x, w = maps.to(memory_format=last), weight.to(memory_format=last)
        runs["torch"] = lambda: functional.conv2d(maps, weight, bias, stride, kernel // 2, 1, channels)
        runs["torch, channels last"] = lambda: functional.conv2d(x, w, bias, stride, kernel // 2, 1, channels)
    return {name: round(ms, 4) for name, ms in least_ms(runs, 0.3).items()}


def network_ms(space: ElasticSpace, architecture: Architecture, count: int) -> dict[str, float]:
    """A network with random weights, per image: the engine, its 1x1 convolutions alone, torch."""
    graph = random_graph(space.structure(architecture, 60))
    images = np.random.default_rng(0).random((count, space.input_sizes[-1], space.input_sizes[-1], 3), np.float32)
    program = NumpyEngine().compile(graph)
    runs: dict[str, Run] = {"engine": lambda: program.run(images)}
    if HAS_TORCH:
        for name, layout in (("torch", torch.contiguous_format), ("torch, channels last", torch.channels_last)):
            runs[name] = _torch_network(graph, images, layout)
    least = {name: ms / count for name, ms in least_ms(runs).items()}
    least["matmul"] = _matmul_ms(graph, count) / count
    least["compile"] = least_ms({"compile": lambda: NumpyEngine().compile(graph)}, 0.3)["compile"]
    found = {"million_madds": round(cost(graph.nodes).madds / 1e6, 1)}
    found |= {name: round(ms, 3) for name, ms in least.items()}
    found["engine / matmul"] = round(least["engine"] / least["matmul"], 2)
    if HAS_TORCH:
        found["engine / torch"] = round(least["engine"] / least["torch"], 2)
    return found


def random_graph(nodes: tuple[Node, ...]) -> Graph:
    """A graph with random weights that keep the scale of the activations."""
    rng = np.random.default_rng(0)
    weights = {}
    for node in nodes:
        for name, shape in weight_shapes(node).items():
            fan_in = np.prod(shape[:2] if isinstance(node, DepthwiseConv2d) else shape[1:])
            scale = np.sqrt(2 / fan_in) if len(shape) > 1 else 1
            weights[name] = (scale * rng.standard_normal(shape)).astype(np.float32)
    labels = tuple(str(i) for i in range(output_shape(nodes[-1])[-1]))
    return Graph(nodes, weights, labels)


def _baseline(node: DepthwiseConv2d, weight: np.ndarray) -> Run:
    size, out, stride, channels = node.size, node.out_size, node.stride, node.channels
    side = size + 2 * node.padding
    padded = np.random.default_rng(0).random((side, side, channels), np.float32)
    rows = max(1, min(out, 256 * 1024 // (4 * out * channels)))
    result, product = np.empty((out, out, channels), np.float32), np.empty((rows, out, channels), np.float32)

    def run() -> None:
        for first in range(0, out, rows):
            block = result[first : first + rows]
            term = product[: len(block)]
            for y in range(node.kernel):
                for x in range(node.kernel):
                    top = first * stride + y
                    met = padded[
                        top : top + stride * (len(block) - 1) + 1 : stride, x : x + stride * (out - 1) + 1 : stride
                    ]
                    if x == y == 0:
                        np.multiply(met, weight[y, x], out=block)
                    else:
                        np.multiply(met, weight[y, x], out=term)
                        np.add(block, term, out=block)

    return run


def _matmul_ms(graph: Graph, count: int) -> float:
    """The sum over the distinct products of what each takes alone."""
    shapes = []
    for node in graph.nodes:
        if isinstance(node, Conv2d) and node.kernel == 1:
            shapes.append((node.out_channels, node.in_channels, count * node.size**2))
        elif isinstance(node, Linear):
            shapes.append((node.out_features, node.in_features, count))
    total = 0.0
    for out, channels, positions in set(shapes):
        weight, x = np.ones((out, channels), np.float32), np.ones((channels, positions), np.float32)
        result = np.empty((out, positions), np.float32)
        run = least_ms({"matmul": functools.partial(np.matmul, weight, x, out=result)}, 0.1)
        total += shapes.count((out, channels, positions)) * run["matmul"]
    return total


def _torch_network(graph: Graph, images: np.ndarray, layout: Any) -> Run:
    """The graph in torch eager mode, with weights and images laid out beforehand."""
    activations: dict[str, Callable[[Any], Any]] = {
        "none": lambda x: x,
        "relu": functional.relu_,
        "hard_swish": lambda x: functional.hardswish(x, inplace=True),
        "hard_sigmoid": lambda x: functional.hardsigmoid(x, inplace=True),
    }
    weights: dict[str, Any] = {name: torch.from_numpy(weight) for name, weight in graph.weights.items()}
    for node in graph.nodes:
        name = f"{node.name}.weight"
        if isinstance(node, Conv2d):
            weights[name] = weights[name].permute(0, 3, 1, 2).contiguous(memory_format=layout)
        elif isinstance(node, DepthwiseConv2d):
            weights[name] = weights[name].permute(2, 0, 1)[:, None].contiguous(memory_format=layout)
    batch = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=layout)

    def apply(node: Node, inputs: list[Any]) -> Any:
        weight: Any = weights.get(f"{node.name}.weight")
        bias: Any = weights.get(f"{node.name}.bias")
        match node:
            case Normalize():
                return inputs[0] * weight[:, None, None] + bias[:, None, None]
            case Conv2d():
                result = functional.conv2d(inputs[0], weight, bias, node.stride, node.padding)
                return activations[node.activation](result)
            case DepthwiseConv2d():
                result = functional.conv2d(inputs[0], weight, bias, node.stride, node.padding, 1, node.channels)
                return activations[node.activation](result)
            case GlobalMean():
                return inputs[0].mean((2, 3), keepdim=True)
            case Multiply():
                return inputs[0] * inputs[1]
            case Add():
                return inputs[0] + inputs[1]
            case Linear():
                return functional.linear(inputs[0].flatten(1), weight, bias)

    def run() -> Any:
        tensors = {INPUT: batch}
        with torch.inference_mode():
            for node in graph.nodes:
                tensors[node.name] = apply(node, [tensors[name] for name in node.inputs])
        return tensors[graph.nodes[-1].name]

    expected = NumpyEngine().compile(graph).run(images)
    assert np.abs(run().numpy() - expected).max() < 1e-2 * np.abs(expected).max()
    return run


if __name__ == "__main__":
    main()
