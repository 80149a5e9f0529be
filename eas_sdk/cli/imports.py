"""`eas import`: a published network as a bundle. It needs the extra `train`."""

from __future__ import annotations

from pathlib import Path

import click

from eas_sdk.cli.common import json_option
from eas_sdk.cli.output import madds, print_facts, print_json, size
from eas_sdk.errors import InputError
from eas_sdk.extras import training_packages
from eas_sdk.regular import read_regular

MAX_BYTES = 2**24


def read_labels(file: Path) -> list[str]:
    """A label a line, in UTF-8.

    Raises:
        InputError: another encoding, or an empty line.
    """
    try:
        lines = read_regular(file, MAX_BYTES).decode("utf-8-sig").replace("\r\n", "\n").rstrip("\n").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"labels are text in UTF-8, one a line; {file} is not: {error}") from error
    labels = [line.strip() for line in lines]
    if "" in labels:
        raise InputError(f"labels are one a line; line {labels.index('') + 1} of {file} is empty")
    return labels


@click.command("import")
@click.argument("source", metavar="lite0|mobilenet-v3-large|ofa")
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The published state dict, .pth or .safetensors.  [default of lite0: what the extra `lite0` installs]",
)
@click.option(
    "--labels",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="A label a line, in the order of the classifier.  [default: ImageNet's, in 35 superclasses]",
)
@click.option(
    "--out",
    "--output",
    "-o",
    "output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="[default: SOURCE.safetensors]",
)
@json_option
def import_(source: str, weights: Path | None, labels: Path | None, output: Path | None, as_json: bool) -> None:
    """Make a bundle of a published network, as it is.

    It recognises what the network does; the budget decides how large the images are. Smaller networks than the
    published one need a training. mobilenet-v3-large takes torchvision's weights, ofa those of once-for-all's
    ofa_mbv3_d234_e346_k357: download them from their authors.

    \b
    Examples:
      eas import lite0
      eas predict photo.jpg --bundle lite0.safetensors --task dogs --budget 130M
      eas import mobilenet-v3-large --weights mobilenet_v3_large-5c1a4163.pth -o large.safetensors
    """
    with training_packages():
        from eas_train.bundle import save
        from eas_train.pretrained.bundle import published_bundle
        from eas_train.pretrained.importer import load_pretrained
    bundle = published_bundle(load_pretrained(source, weights), source, None if labels is None else read_labels(labels))
    target = output or Path(f"{source}.safetensors")
    written = save(bundle, target)
    import eas_sdk

    runtime = eas_sdk.load(target)
    low, high = runtime.budget_range("all")
    facts = {
        "file": str(target),
        "size_bytes": written,
        "tasks": list(runtime.tasks),
        "labels": len(runtime.bundle.labels),
        "input_sizes_px": list(bundle.space.input_sizes),
        "budget_range_madds": [low, high],
    }
    if as_json:
        print_json(facts)
        return
    print_facts(
        {
            "file": f"{target}, {size(written)}",
            "tasks": f"{', '.join(runtime.tasks)}; {facts['labels']} labels",
            "images": f"{', '.join(map(str, bundle.space.input_sizes))} px",
            "budgets": f"{madds(low, up=True)} to {madds(high, up=True)}",
        }
    )
