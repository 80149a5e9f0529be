"""Networks and their files, packed to be run elsewhere: on another processor, by other programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eas_sdk.budget import Budget
from eas_sdk.cli.drawings import load_drawings
from eas_sdk.export import load_exporter
from eas_sdk.images import as_float_batch
from eas_sdk.model import Model
from eas_sdk.runtime import Runtime

FRACTIONS = (0.0, 0.5, 1.0)
"""Of a task's budget range."""
CASES = "cases.json"
FOUND = "found.json"


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        options: of `Model.export`.
    """

    name: str
    suffix: str
    options: Mapping[str, Any]


DEFAULT = tuple(
    Kind(f"{load_exporter(suffix).name} {precision}", suffix, {"precision": precision})
    for suffix in (".tflite", ".onnx")
    for precision in load_exporter(suffix).precisions
)
"""Every precision, with the options that a caller gets who asks for none."""


def options_of(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which networks are packed."""
    parser.add_argument("folder", type=Path, help="of what is fetched, and of the networks")
    parser.add_argument("--bundle", help="a bundle file (default: the embedded one)")
    parser.add_argument("--tasks", type=int, default=2)
    parser.add_argument("--images", type=int, default=20, help="of a task")


def pack(runtime: Runtime, tasks: int, images: int, kinds: tuple[Kind, ...], folder: Path, **facts: object) -> int:
    """Write networks of several tasks and budgets, and what they show by this machine's numpy engine; how many.

    `CASES` lists them. `<name>.npz` holds `pixels` (uint8 [N, S, S, 3]) and `expected` (probabilities [N, labels]).

    Args:
        tasks: superclasses, the first of the bundle.
        images: of each.
        facts: go into `CASES` too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    listed = []
    for drawings in load_drawings(runtime, None, runtime.tasks[:tasks]):
        for fraction in FRACTIONS:
            model: Any = runtime.specialize(drawings.task, Budget(level=fraction))
            assert isinstance(model, Model)
            listed.append(_case(model, f"{drawings.task}-{fraction:.1f}", drawings.images[:images], kinds, folder))
            listed[-1] |= {"task": drawings.task, "level": fraction}
    (folder / CASES).write_text(json.dumps({"cases": listed, **facts}))
    return len(listed)


def _case(model: Model, name: str, images: Any, kinds: tuple[Kind, ...], folder: Path) -> dict[str, Any]:
    logits = model.reference(images)
    raised = np.exp(logits - logits.max(1, keepdims=True), dtype=np.float64)
    pixels = np.rint(255 * as_float_batch(images, model.input_size)).astype(np.uint8)
    np.savez(folder / f"{name}.npz", images=images, pixels=pixels, expected=raised / raised.sum(1, keepdims=True))
    files = {}
    for kind in kinds:
        path = folder / f"{name}-{kind.name.replace(' ', '-').replace(',', '')}{kind.suffix}"
        model.export(path, **kind.options)
        files[kind.name] = path.name
    return {"name": name, "labels": list(model.labels), "files": files}


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Over all networks: how far probabilities are apart, and how often the most probable label is the same."""
    return {
        "greatest_difference": float(f"{max(row['difference'] for row in rows):.3g}"),
        "mean_top1_agreement": round(float(np.mean([row["agreement"] for row in rows])), 4),
        "least_top1_agreement": round(min(row["agreement"] for row in rows), 4),
    }
