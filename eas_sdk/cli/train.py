"""`eas data` and `eas train`: from drawings to a bundle. They need the extra `train`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eas_sdk.cli.common import json_option
from eas_sdk.cli.output import print_accuracy, print_facts, print_json, size
from eas_sdk.errors import InputError, MissingDependency

if TYPE_CHECKING:
    import torch

    from eas_train.data.imageset import Splits

STAGES = ("supernet", "statistics", "predictor", "generator", "router", "bundle")
DETAIL = 1.5
"""Side of the training images over that of the network's input: augmentation turns and enlarges them."""

cache_option = click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the emoji drawings are kept.  [default: EAS_CACHE, or the user's cache folder]",
)


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
    default="emoji",
    show_default=True,
    metavar="NAME|FILE.toml",
    help="All settings of a training.",
)
@click.option(
    "--data",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Images in superclass/class/ folders.  [default: the emoji of `eas data`]",
)
@click.option(
    "--others",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Images of other things, for the router: in superclass/class/, and in none/class/ what belongs to no "
    "superclass. With --data.",
)
@cache_option
@click.option(
    "--name",
    metavar="NAME",
    help="Name of the bundle.  [default: that of the recipe; of the --data folder without --recipe]",
)
@click.option(
    "--attribution",
    "credits",
    multiple=True,
    metavar="TEXT",
    help="Whose images these are; kept in the bundle. With --data; may be repeated.",
)
@click.option(
    "--out",
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
    "--device",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "cpu", "cuda"]),
    help="Where to train; auto takes CUDA where there is any.",
)
@json_option
def train(
    recipe: str,
    folder: Path | None,
    others: Path | None,
    cache: Path | None,
    name: str | None,
    credits: tuple[str, ...],
    out: Path | None,
    stages: tuple[str, ...],
    device: str,
    as_json: bool,
) -> None:
    """Train a bundle.

    Six stages: supernet, batch-norm statistics, accuracy predictor, architecture generator, router, bundle. The same
    command goes on from the last checkpoint of a training that was stopped. The result, bundle.safetensors in
    the output folder, is what --bundle of the other commands takes.

    \b
    Examples:
      eas data && eas train                                the shipped bundle (hours on a CPU)
      eas train --data photos --attribution "Photos by me, CC0"
      eas train --recipe mine.toml --data photos --out runs/mine
      eas train --stage bundle                             only the last stage again
    """
    if folder is not None and cache is not None:
        raise InputError("images come from --data or from the emoji --cache; got both")
    if folder is None and others is not None:
        raise InputError("--others is for images of --data; the emoji bring their own")
    if folder is None and credits:
        raise InputError("--attribution is for images of --data; the emoji carry their own")
    with training_packages():
        from eas_train.pipeline import Training
        from eas_train.recipe import Recipe
    plan = Recipe.read(recipe)
    if name is None and folder is not None and recipe == "emoji":
        name = folder.resolve().name
    if name is not None:
        plan = plan.model_copy(update={"name": name})
    target = out or Path("runs") / plan.name
    chosen = _device(device)
    side = round(DETAIL * plan.supernet.space().input_size)
    splits, strange, attributions = _load(folder, others, cache, side)
    click.echo(
        f"training {plan.name!r} on {len(splits.train)} images of {len(splits.classes)} classes, "
        f"on {chosen}, into {target}",
        err=True,
    )
    target.mkdir(parents=True, exist_ok=True)  # where that is not allowed, it is told before the training
    training = Training(plan, splits, target, chosen, credits or attributions, strange)
    reports = [training.run((stage,)) for stage in STAGES if not stages or stage in stages]
    if as_json:
        print_json({"folder": str(target), "stages": reports})
    else:
        _print(reports)


@contextmanager
def training_packages() -> Iterator[None]:
    """A context for imports of eas_train.

    Raises:
        MissingDependency: a package that training needs is not installed.
    """
    try:
        yield
    except ImportError as error:
        if isinstance(error, MissingDependency):
            raise
        raise MissingDependency(
            f"this command needs the packages of training ({error}): pip install 'eas-sdk[train]'"
        ) from error


def _device(name: str) -> torch.device:
    import torch

    cuda = torch.cuda.is_available()
    if name == "cuda" and not cuda:
        raise InputError("--device cuda needs a CUDA device that torch can use, and there is none; use cpu or auto")
    return torch.device("cuda" if cuda and name != "cpu" else "cpu")


def _load(
    folder: Path | None, others: Path | None, cache: Path | None, side: int
) -> tuple[Splits, Splits | None, tuple[str, ...]]:
    """The images, those of other things, and whose work they are."""
    with training_packages():
        from eas_train.data.emoji import OTHERS, load_emoji
        from eas_train.data.folder import load_folder, load_others
        from eas_train.data.styles import STYLES
    if folder is not None:
        splits = load_folder(folder, side)
        return splits, None if others is None else load_others(others, splits.superclasses, side), ()
    return load_emoji(cache), load_emoji(cache, kind=OTHERS), tuple(style.attribution for style in STYLES)


def _print(reports: Sequence[dict[str, Any]]) -> None:
    print_facts({report["stage"]: "\n".join(_lines(report)) for report in reports})
    for report in reports:
        print_accuracy(report.get("accuracy", []))


def _lines(report: dict[str, Any]) -> Iterator[str]:
    for name, value in report.items():
        if name in ("stage", "fingerprint", "accuracy", "router"):
            continue
        if name.startswith("bytes_"):
            value = size(value)
        elif isinstance(value, float):
            value = f"{value:.3f}"
        yield f"{name.replace('_', ' ')}: {value}"
