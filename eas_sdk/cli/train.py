"""`eas data` and `eas train`: from drawings to a bundle. They need the extra `train`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from eas_sdk.cli.common import json_option
from eas_sdk.cli.output import print_accuracy, print_facts, print_json, size
from eas_sdk.extras import training_packages

STAGES = ("supernet", "statistics", "predictor", "selector", "router", "bundle")
device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "cpu", "cuda"]),
    help="Where to train; auto takes CUDA where there is any.",
)

cache_option = click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the emoji drawings are kept.  [default: EAS_CACHE, or the user's cache folder]",
)

Command = TypeVar("Command", bound=Callable[..., Any])


def data_options(command: Command) -> Command:
    """The options that say which images: --data, --classes, --layout, --cache."""
    options = (
        click.option(
            "--data",
            type=click.Path(path_type=Path),
            metavar="DIR|FILE",
            help="Images in class/ or superclass/class/ folders, perhaps below train/ and val/; or a .csv or .json "
            "that lists them; or as --layout says.  [default: the emoji of `eas data`]",
        ),
        click.option(
            "--classes",
            metavar="NAME|FILE.json",
            help="Which classes, in which superclasses: photos, imagenet, imagenet-10, imagenet-12, car-20, "
            "cifar-100, or your list. With --data.",
        ),
        click.option(
            "--layout",
            type=click.Choice(["tree", "flat", "shards", "imagenet", "cars", "cifar", "tiny-imagenet", "unlabelled"]),
            help="How --data lies in its folder: as it is found, class/ with --classes, tar shards of photos, a public "
            "data set as it is unpacked, or photos that a published network labels.  [default: what goes with "
            "--classes]",
        ),
        cache_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@cache_option
@json_option
def data(cache: Path | None, as_json: bool) -> None:
    """Fetch and render the training drawings.

    They are the emoji of ten design teams, which the shipped bundle was trained on. Their packages are
    fetched once, by the npm client, and checked against pinned digests. A run that was stopped goes on when
    it is started again.

    \b
    Example:
      eas data
    """
    with training_packages():
        from eas_train.data.command import prepare
    report = prepare(cache, quiet=as_json)
    if as_json:
        print_json(report)


@click.command()
@click.option(
    "--recipe",
    metavar="NAME|FILE.toml",
    help="All settings of a training.  [default: own, which begins with a bundle and follows the number of photos of "
    "--data; emoji without --data]",
)
@data_options
@click.option(
    "--others",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Images of other things, for the router: in superclass/class/, and in none/class/ what belongs to no "
    "superclass. With --data.",
)
@click.option(
    "--name",
    metavar="NAME",
    help="Name of the bundle.  [default: that of the recipe; of the --data folder without --recipe]",
)
@click.option(
    "--attribution",
    "attributions",
    multiple=True,
    metavar="TEXT",
    help="Whose images these are; kept in the bundle. With --data; may be repeated.",
)
@click.option(
    "--out",
    "--output",
    "-o",
    "out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the results.  [default: runs/NAME]",
)
@click.option(
    "--stage",
    "stages",
    multiple=True,
    type=click.Choice(STAGES),
    help="Only this stage; may be repeated.  [default: all]",
)
@click.option(
    "--from",
    "start",
    type=click.Path(path_type=Path),
    metavar="BUNDLE",
    help="What a training of your own photos begins with: a bundle's file, the folder of a training, a shipped bundle "
    "by its name, or scratch for nothing.  [default: the first that ships]",
)
@click.option(
    "--unlabelled",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Photos at any depth, or tar shards of them, for phases of the recipe that train on images without labels.",
)
@click.option(
    "--teacher",
    type=click.Path(path_type=Path),
    metavar="BUNDLE",
    help="A bundle of the same classes whose largest network teaches, in phases of the recipe with a frozen teacher.  "
    "[default: the end of the teacher phase]",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Photos that the bundle may carry, to calibrate integer exports on and to prove exports on.  [default: some "
    "images of training and validation]",
)
@click.option(
    "--skip-bad",
    is_flag=True,
    help="Leave out files of --data and --others that cannot be read, which else stop it before it begins. For images "
    "of your own, see `eas check`.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Two steps of everything on two images of each class, at the full image size, into a folder of its own.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="That all of it may take on this machine as it is now; the number of steps follows.",
)
@device_option
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Of the processor.  [default: OMP_NUM_THREADS, or as many as there are cores that nobody uses]",
)
@json_option
def train(as_json: bool, **options: Any) -> None:
    """Train a bundle.

    Six stages: supernet, batch-norm statistics, measured sub-networks, architecture selector, router, bundle. The same
    command goes on from the last checkpoint of a training that was stopped. The result, bundle.safetensors in
    the output folder, is what --bundle of the other commands takes.

    \b
    Examples:
      eas train --data photos                              your own photos, from the shipped bundle on
      eas train --data photos --minutes 10 --attribution "Photos by me, CC0"
      eas train --data photos --from runs/photos --out runs/more    more photos, from the last bundle on
      eas data && eas train                                the emoji bundle (hours on a CPU)
      eas train --recipe mine.toml --data photos --out runs/mine
      eas train --recipe imagenet-10 --data ILSVRC2012 --classes imagenet-10 --device cuda
      torchrun --nproc-per-node 8 -m eas_sdk.cli train ...     the supernet on eight GPUs
      eas train --stage bundle                             only the last stage again
      eas diagnose runs/mine                               is the capacity of the supernet used?
      eas train --recipe mine.toml --dry-run               two steps of everything, to see that it works
    """
    import eas_train

    report = eas_train.train(**options)
    if not report.stages:  # of another process than the first
        return
    if as_json:
        print_json({"folder": str(report.folder), "stages": list(report.stages)})
    else:
        _print(report.stages)


def _print(reports: Sequence[Mapping[str, Any]]) -> None:
    print_facts({report["stage"]: "\n".join(_lines(report)) for report in reports})
    for report in reports:
        print_accuracy(report.get("accuracy", []))
        for sentence in report.get("diagnosis", {}).get("findings", []):
            click.echo(sentence)


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    for name, value in report.items():
        if name in ("stage", "fingerprint", "accuracy", "router", "selector", "diagnosis", "test"):
            continue
        if name.startswith("bytes_"):
            value = size(value)
        elif isinstance(value, float):
            value = f"{value:.3f}"
        yield f"{name.replace('_', ' ')}: {value}"
