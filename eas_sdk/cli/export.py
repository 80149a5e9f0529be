"""`eas export`: networks as files that phones run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from eas_sdk.budget import Budget
from eas_sdk.cli.common import (
    bundle_option,
    json_option,
    latency_option,
    open_runtime,
    power_option,
    read_budgets,
    read_task,
)
from eas_sdk.cli.output import percent, print_facts, print_json, print_table, size
from eas_sdk.errors import InputError
from eas_sdk.export import EXPORTERS, SIGNATURE, Export, InputKind, Layout, OutputKind, load_exporter
from eas_sdk.export import export as write_export
from eas_sdk.image_file import SUFFIXES, image_files, read_image
from eas_sdk.images import to_square
from eas_sdk.model import Model
from eas_sdk.router.export import MANIFEST, Family, export_family
from eas_sdk.task import AUTO, TaskLike, is_auto

RUNS = {".tflite": "litert", ".onnx": "onnxruntime", ".mlpackage": "coreml"}
"""Suffix -> the engine for which budgets in time and memory hold, where no table of a device says otherwise."""


@click.command()
@click.argument("task")
@click.argument("budgets", nargs=-1, required=True, metavar="BUDGET...")
@click.option(
    "--out",
    "--output",
    "-o",
    "path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"File to write; its suffix says the format: {', '.join(EXPORTERS)}. For auto, a folder.  "
    "[default: TASK.tflite]",
)
@click.option(
    "--format",
    "suffix",
    default=".tflite",
    show_default=True,
    type=click.Choice(list(EXPORTERS)),
    help="Of the files in the folder. [auto]",
)
@click.option(
    "--precision",
    default="float32",
    show_default=True,
    help="float32, float16, int8; dynamic (TFLite), palettized (Core ML).",
)
@click.option(
    "--input",
    "pixels",
    default="uint8",
    show_default=True,
    type=click.Choice(["uint8", "float32"]),
    help="What the file takes: pixels of 0 to 255, or numbers of 0 to 1.",
)
@click.option("--logits", is_flag=True, help="End in logits.  [default: in probabilities]")
@click.option(
    "--calibrate-on",
    "calibration",
    type=click.Path(path_type=Path, exists=True),
    metavar="DIR",
    help="Images (searched in subfolders) to calibrate int8 on.  [default: those in the bundle]",
)
@click.option(
    "--layout", default="NHWC", show_default=True, type=click.Choice(["NHWC", "NCHW"]), help="Of the input. [ONNX]"
)
@click.option("--batch", type=click.IntRange(min=1), help="Images taken at once. [ONNX]  [default: any number]")
@click.option("--keep", is_flag=True, help="Keep a file that fails its proof.  [default: it is removed]")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the selector's sampling."
)
@latency_option
@power_option
@bundle_option
@json_option
def export(
    task: str,
    budgets: tuple[str, ...],
    path: Path | None,
    suffix: str,
    precision: str,
    pixels: InputKind,
    logits: bool,
    calibration: Path | None,
    layout: Layout,
    batch: int | None,
    keep: bool,
    seed: int,
    latency: Path | None,
    power: Path | None,
    bundle: Path | None,
    as_json: bool,
) -> None:
    """Write networks to files that phones run.

    TASK is a name that `eas info` lists; several of them, or labels, joined by commas; all; or auto: a folder of the
    router, a file for each task that it may pick, and family.json, which says how they fit together. BUDGET is what
    one image may take: multiply-adds (40M), time on the device of the latency table (12ms), memory (20MB), and what
    else `eas specialize` reads.

    The file is run where its runtime is installed and compared with this package's own engine on real images; one
    that differs is not kept. Several budgets make one file with a signature for each (.tflite) or a function for
    each (.mlpackage), which share the weights that they have in common; each takes images of its own size.

    \b
    Examples:
      eas export birds 40M                                 birds.tflite, float32
      eas export birds 40M -o birds.tflite --precision int8
      eas export birds 40M 80M 160M -o birds.tflite        three networks: budget_40_00M, budget_80_00M, ...
      eas export birds 12ms --latency-table pixel.json     what that phone runs in 12 ms
      eas export auto 10% 60% -o routed                    routed/router.tflite, routed/birds.tflite, ...
    """
    runtime = open_runtime(bundle, latency, power)
    named = read_task(runtime, task)
    routed = is_auto(named, runtime.bundle.superclasses)
    target = path or Path(AUTO if routed else f"{task.strip(', ').replace(',', '+')}.tflite")
    if routed and logits:
        raise InputError("the files of auto end in probabilities, which belong together; leave out --logits")
    if not routed:
        load_exporter(target.suffix)  # a wrong suffix is told before anything is computed
    limits = list(dict.fromkeys(read_budgets(budgets).values()))
    images = None if calibration is None else _images(calibration, runtime.bundle.input_size)
    output: OutputKind = "logits" if logits else "probabilities"
    options: dict[str, Any] = {"precision": precision, "input": pixels, "calibration": images}
    options |= {"layout": layout, "batch": batch, "keep": keep}
    signatures = _signatures(limits)
    if routed:
        families = {
            signature: runtime.routed(runtime.family(limit, seed=seed, engine=RUNS[suffix]))
            for signature, limit in zip(signatures, limits, strict=True)
        }
        _show_family(export_family(families, target, suffix=suffix, **options), as_json)
        return
    requests: list[tuple[TaskLike, object]] = [(named, limit) for limit in limits]
    drawn = runtime.architectures(requests, seed=seed, engine=RUNS[target.suffix])
    models = {
        signature: runtime.build(named, architecture) for signature, architecture in zip(signatures, drawn, strict=True)
    }
    made = write_export(models, target, output=output, **options)
    _warn(made)
    if as_json:
        print_json(_json(made, models))
    else:
        _print(made, models)


def _warn(made: Export) -> None:
    if made.failed:
        click.echo(f"{made.path} fails its proof and was kept: {made.failed}", err=True)


def _show_family(made: Family, as_json: bool) -> None:
    files = {"router": made.router, **made.networks}
    for file in files.values():
        _warn(file)
    if as_json:
        print_json(
            {
                "folder": str(made.folder),
                "manifest": MANIFEST,
                "bytes": made.bytes,
                "files": {name: {"file": str(file.path), **_proof(file)} for name, file in files.items()},
            }
        )
        return
    print_table(
        f"{made.folder}: {size(made.bytes)} and {MANIFEST}, which says how they fit together",
        ["file", "size", "differs from numpy by", "labels agree"],
        [
            [
                file.path.name,
                size(file.bytes),
                *([f"{file.proof.error:.2g}", percent(file.proof.agreement)] if file.proof else ["not run", ""]),
            ]
            for file in files.values()
        ],
    )


def _proof(made: Export) -> dict[str, object]:
    proof = made.proof
    return {
        "bytes": made.bytes,
        "proof": proof
        and {
            "images": proof.images,
            "noise": proof.noise,
            "error": proof.error,
            "top1_agreement": proof.agreement,
        },
        "unproved": made.unproved,
        "failed": made.failed,
    }


def _signatures(limits: Sequence[Budget]) -> list[str]:
    """A name for each of several different budgets: as people write it, or exactly where others read the same."""
    if len(limits) == 1:
        return [SIGNATURE]
    shown = [str(limit) for limit in limits]
    exact = ["_".join(f"{value!r}_{bound}" for bound, value in limit.bounds.items()) for limit in limits]
    names = [text if shown.count(text) == 1 else whole for text, whole in zip(shown, exact, strict=True)]
    return ["budget_" + re.sub(r"\W", "_", name) for name in names]


def _images(folder: Path, side: int) -> np.ndarray:
    """The images of a folder, uint8 [N, side, side, 3]."""
    if not (files := image_files(folder)):
        raise InputError(f"--calibrate-on needs a folder of images ({', '.join(SUFFIXES)}); {folder} has none")
    return np.stack([to_square(read_image(file), side) for file in files])


def _json(made: Export, models: dict[str, Model]) -> dict[str, object]:
    return {
        "file": str(made.path),
        "format": made.format,
        "precision": made.precision,
        "float32_weight_bytes": made.weight_bytes,
        "networks": {
            name: {
                "architecture": str(model.architecture),
                "input_size": model.input_size,
                "madds": model.madds,
                "parameters": model.parameters,
            }
            for name, model in models.items()
        },
        **_proof(made),
    }


def _print(made: Export, models: dict[str, Model]) -> None:
    if len(models) > 1:
        rows = [[name, str(Budget(model.madds)), str(model.parameters)] for name, model in models.items()]
        print_table("Networks", ["signature", "MAdds", "parameters"], rows)
    facts = {
        "file": str(made.path),
        "format": f"{made.format}, {made.precision}",
        "size": f"{size(made.bytes)} ({percent(made.bytes / made.weight_bytes)} of the float32 weights)",
    }
    if made.proof is not None:
        agreed = f"agrees on {percent(made.proof.agreement)} of the labels of {made.proof.images} images"
        if made.proof.noise:
            agreed = "on noise: the bundle carries no images, and none were given"
        facts["proof"] = f"differs from the numpy engine by at most {made.proof.error:.2g}, {agreed}"
    else:
        facts["proof"] = f"none: {made.unproved or made.failed}"
    print_facts(facts)
