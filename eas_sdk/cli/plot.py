"""Plots of commands: the option, checked before anything is measured, and the file, written whole or not at all."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from eas_sdk.bank.atomic import write_atomically
from eas_sdk.errors import InputError, MissingDependency

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T = TypeVar("T")

FORMATS = (".pdf", ".png", ".svg")
DOTS_PER_INCH = 150


def plot_option(text: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """`--plot FILE`, refused where it could not be drawn.

    Raises (when the command is called):
        InputError: no folder for it, or no known format.
        MissingDependency: matplotlib is not installed.
    """
    return click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help=text, callback=_checked)


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format that the file's name asks for."""
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix[1:].lower(), dpi=DOTS_PER_INCH)
    write_atomically(path, [picture.getvalue()])


def _checked(context: click.Context, parameter: Any, path: Path | None) -> Path | None:
    if path is None:
        return None
    if path.suffix.lower() not in FORMATS or not path.parent.is_dir() or path.is_dir():
        raise InputError(f"a plot is a file ({', '.join(FORMATS)}) in a folder that exists; got {str(path)!r}")
    try:
        importlib.import_module("matplotlib.figure")
    except ImportError:
        raise MissingDependency("drawing a plot needs matplotlib, and it is not installed", "bench") from None
    return path
