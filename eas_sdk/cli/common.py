"""What several commands share: their options, the runtime that they open, and a stopwatch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from eas_sdk.bank.shipped import SHIPPED, bundle_file
from eas_sdk.budget import COMMA_IN_NUMBER, Budget
from eas_sdk.device.power import DEFAULT
from eas_sdk.engine.registry import load_engine
from eas_sdk.errors import BundleError
from eas_sdk.runtime import Runtime, load, read_budget
from eas_sdk.space.tables import madds_table
from eas_sdk.task import TaskLike, resolve, split_names, written

P = ParamSpec("P")
T = TypeVar("T")


def _bundle(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Path | None:
    """A bundle as it is given, but "./emoji" is a path though it is also a name."""
    if value is None:
        return None
    path = Path(value)
    return path.absolute() if value not in SHIPPED and str(path) in SHIPPED else path


bundle_option = click.option(
    "--bundle",
    callback=_bundle,
    metavar="FILE|DIR",
    help=f"The bundle to use: a file, the folder of its training, or {' or '.join(SHIPPED)}, which comes with the "
    f"package.  [default: {SHIPPED[0]}]",
)
bundle_argument = click.argument("given", metavar="[BUNDLE]", required=False, callback=_bundle)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object to standard output instead of tables."
)


latency_option = click.option(
    "--latency-table",
    "latency",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Meets budgets in ms and mJ by this table, of a phone for instance.  [default: this machine's, see `eas lut`]",
)
power_option = click.option(
    "--power-table",
    "power",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What the cores draw, for budgets in mJ (see `eas device --write-power`).  [default: a generic phone, in "
    "numbers that nobody measured]",
)
engine_option = click.option("--engine", default="numpy", show_default=True, help="What runs the network here.")
threads_option = click.option(
    "--threads", default=1, show_default=True, type=click.IntRange(min=1), help="Most threads for one image."
)


def tasks_option(text: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """`--tasks a,b`, which may be repeated; see `read_tasks`."""
    return click.option("--tasks", multiple=True, metavar="NAME[,NAME...]", help=text)


def read_task(runtime: Runtime, text: str) -> TaskLike:
    """A task as the command line has it; see `eas_sdk.task.written`."""
    return written(text, runtime.bundle.superclasses)


def read_tasks(runtime: Runtime, texts: Sequence[str]) -> tuple[str, ...]:
    """The names that `--tasks` gives, each once and as the bundle writes it.

    Raises:
        TaskError: there is no such superclass.
    """
    superclasses = runtime.bundle.superclasses
    names = [name for text in texts for name in split_names(text, superclasses)]
    return tuple(dict.fromkeys(resolve(name, superclasses).name for name in names))


def read_budgets(texts: Sequence[str]) -> dict[str, Budget]:
    """Budgets, with commas between them, by what was written.

    Raises:
        BudgetError: one of them cannot be read, or a comma stands in a number.
    """
    read: dict[str, Budget] = {}
    for text in texts:
        parts = [text] if COMMA_IN_NUMBER.search(text) else [part.strip() for part in text.split(",")]
        read |= {part: read_budget(part) for part in parts if part}
    return read


def open_runtime(bundle: Path | None, latency: Path | None = None, power: Path | None = None) -> Runtime:
    """The runtime of `bundle`, by default of the first that ships with the package, with tables.

    Its table of multiply-adds and the engine's code are loaded here, and do not count in later timings.

    Raises:
        BundleError, TableError, FileNotFoundError: see `eas_sdk.load`.
    """
    try:
        runtime = load(bundle, latency=latency, power=power or DEFAULT)
    except FileNotFoundError:
        if (bundle, latency, power) != (None, None, None):
            raise
        raise BundleError("this installation ships no bundle; name one with --bundle FILE") from None
    madds_table(runtime.bundle.space)
    load_engine()
    return runtime


def file_of(bundle: Path | None) -> tuple[str, int]:
    """Path and size in bytes of `bundle`, by default of the first that ships with the package."""
    with bundle_file(bundle) as file:
        return str(file), file.stat().st_size


def timed(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> tuple[T, float]:
    """The result of a call, and how long it took in milliseconds."""
    began = time.perf_counter()
    result = call(*args, **kwargs)
    return result, 1e3 * (time.perf_counter() - began)
