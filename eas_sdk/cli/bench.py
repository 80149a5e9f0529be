"""`eas bench`: how fast networks are, what memory they take, and how long a switch to them takes."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eas_sdk.bench.figures import Case, Figures, Row
from eas_sdk.cli.common import (
    bundle_option,
    json_option,
    latency_option,
    open_runtime,
    read_budgets,
    read_tasks,
    tasks_option,
    threads_option,
)
from eas_sdk.cli.output import madds, print_facts, print_json, print_table, progress, size
from eas_sdk.cli.plot import plot_option, save
from eas_sdk.engine.registry import ENGINES, load_engine
from eas_sdk.errors import EasError, InputError, MissingDependency

if TYPE_CHECKING:
    from eas_sdk.latency.meter import Conditions
    from eas_sdk.latency.phone import PhoneMeter

PHONE = "benchmark_model"
"""What stands for an engine on a phone."""

NOTE = "note<"
"""Column of a table that refers to an error below it."""


@click.command()
@tasks_option("Only these tasks.  [default: the bundle's first]")
@click.option(
    "--budgets",
    default="0%,50%,100%",
    show_default=True,
    metavar="BUDGET[,BUDGET...]",
    help='Budgets as of `eas specialize`; "and" joins the units of one: "40M,5ms and 40MB".',
)
@click.option("--engines", metavar="NAME[,NAME...]", help="What runs the networks.  [default: all that are installed]")
@threads_option
@click.option("--batch", default=16, show_default=True, type=click.IntRange(min=1), help="Images for the throughput.")
@click.option("--runs", default=50, show_default=True, type=click.IntRange(min=1), help="Timed runs of one image.")
@latency_option
@click.option(
    "--adb",
    "serial",
    metavar="[SERIAL]",
    is_flag=False,
    flag_value="",
    help="Measure latency on the phone that adb is connected to, or on one of several.",
)
@click.option(
    "--benchmark-model",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TensorFlow Lite's benchmark_model for the phone. [with --adb]",
)
@plot_option("Draw latency against MAdds here.")
@bundle_option
@json_option
def bench(
    tasks: tuple[str, ...],
    budgets: str,
    engines: str | None,
    threads: int,
    batch: int,
    runs: int,
    latency: Path | None,
    serial: str | None,
    benchmark_model: Path | None,
    plot: Path | None,
    bundle: Path | None,
    as_json: bool,
) -> None:
    """Measure latency, throughput, memory and switches.

    Every network is measured in a process of its own, on this machine by each engine; or its latency on a phone.
    What a latency table of the same engine predicts stands beside it.

    \b
    Examples:
      eas bench
      eas bench --tasks birds,dogs --budgets "40M,5ms and 40MB" --engines numpy,litert --plot bench.png
      eas bench --adb --benchmark-model ./benchmark_model --latency-table pixel.json
    """
    from eas_sdk.bench.apart import measure_apart
    from eas_sdk.bench.phone import measure_on_phone
    from eas_sdk.latency.local import conditions

    runtime = open_runtime(bundle, latency)
    limits = read_budgets([budgets])
    if not limits:
        raise click.UsageError("--budgets names at least one budget")
    tasks = read_tasks(runtime, tasks) or runtime.tasks[:1]
    measure: Callable[[Case], Figures | str]
    with ExitStack() as stack:
        if serial is None:
            names = choose_engines(engines)
            known = [conditions(name, threads) for name in names]
            for limit, name in itertools.product(limits.values(), names):
                with suppress(EasError):  # told where the network is measured
                    runtime.costs(limit, name, threads)  # the quick measurement, if there has to be one
            measure = functools.partial(measure_apart, bundle=bundle, latency=latency)
        else:
            if engines is not None:
                raise click.UsageError("--engines are of this machine; with --adb, benchmark_model runs the networks")
            names = [PHONE]
            meter = stack.enter_context(_phone_meter(serial, benchmark_model, threads, runs))
            known = [meter.conditions]
            measure = functools.partial(measure_on_phone, runtime=runtime, meter=meter)
        advance = stack.enter_context(progress("networks", len(tasks) * len(limits) * len(names)))
        rows = []
        for task in tasks:
            for text, limit in limits.items():
                for engine in names:
                    found = measure(Case(task, limit, engine, threads, runs, batch))
                    figures, error = (None, found) if isinstance(found, str) else (found, None)
                    rows.append(Row(task, text, engine, figures, error))
                    advance()
    title = f"{known[0].device}, {known[0].soc}"
    measured = any(row.figures is not None for row in rows)
    try:
        if as_json:
            _print_json(rows, known, {"threads": threads, "runs": runs, "batch": batch})
        else:
            _print(rows, title, batch)
    finally:  # a reader that has seen enough does not want less of a plot
        if plot is not None and measured:
            draw(rows, plot, title)
    if not measured:
        raise EasError(f"at least one network can be measured; none could: {rows[0].error}")


def choose_engines(text: str | None) -> list[str]:
    """The engines that are named, installed or not; by default those that are installed.

    Raises:
        InputError: no engine has such a name, or none is named.
    """
    names = [name for name in ENGINES if name != "auto"] if text is None else _split(text)
    if not names:
        raise InputError(f"at least one engine is measured; got {text!r}")
    installed = []
    for name in names:
        try:
            load_engine(name)
            installed.append(name)
        except MissingDependency:
            continue
    return installed if text is None else names


def draw(rows: Sequence[Row], path: Path, title: str) -> None:
    """Latency against multiply-adds: a line for each engine through medians, whiskers up to the 95th percentile."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for engine in dict.fromkeys(row.engine for row in rows if row.figures is not None):
        points = [row.figures for row in rows if row.engine == engine and row.figures is not None]
        points.sort(key=lambda point: point.madds)
        medians = [point.latency_p50_ms for point in points]
        tails = [(point.latency_p95_ms or point.latency_p50_ms) - point.latency_p50_ms for point in points]
        below = [0] * len(points)
        axes.errorbar(
            [point.madds / 1e6 for point in points], medians, (below, tails), marker="o", capsize=3, label=engine
        )
    axes.set(xlabel="million multiply-adds", ylabel="ms per image, p50 and p95")
    axes.set_title(title, fontsize="medium", wrap=True)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.legend()
    save(figure, path)


def _phone_meter(serial: str, benchmark_model: Path | None, threads: int, runs: int) -> PhoneMeter:
    from eas_sdk.latency.adb import Adb
    from eas_sdk.latency.phone import PhoneMeter

    if benchmark_model is None:
        raise click.UsageError("--adb needs the program that runs there: name it with --benchmark-model")
    return PhoneMeter(Adb(serial or None), benchmark_model, threads, "float32", runs=runs)


def _print_json(rows: Sequence[Row], engines: Sequence[Conditions], settings: Mapping[str, int]) -> None:
    as_dicts = {"engines": [*map(dataclasses.asdict, engines)], "rows": [*map(dataclasses.asdict, rows)]}
    print_json({**settings, **as_dicts})


def _print(rows: Sequence[Row], title: str, batch: int) -> None:
    errors = list(dict.fromkeys(row.error for row in rows if row.error is not None))
    cells = [
        {
            "task": row.task,
            "budget<": row.budget,
            "engine<": row.engine,
            **(_figures(row.figures) if row.figures else {NOTE: f"({1 + errors.index(row.error or '')})"}),
        }
        for row in rows
    ]
    _print_cells(f"One image at a time on {title}", cells)
    switches = [
        {
            "task": row.task,
            "budget<": row.budget,
            "engine<": row.engine,
            "switch ms": f"{switch.total_ms:.2f}",
            "select": f"{switch.select_ms:.2f}",
            "slice": f"{switch.slice_ms:.2f}",
            "compile": f"{switch.compile_ms:.2f}",
            "first image": f"{switch.first_ms:.2f}",
        }
        for row in rows
        if row.figures and (switch := row.figures.switch)
    ]
    facts = {f"({i})": error for i, error in enumerate(errors, 1)}
    if switches:
        _print_cells("From a request to the first prediction of the new network", switches)
        facts["images/s"] = f"in batches of {batch}"
        facts["memory"] = "growth of the process's peak while the network is sliced, compiled and predicts"
    print_facts(facts)


def _figures(figures: Figures) -> dict[str, str]:
    """The cells of what is known."""
    numbers = {
        "p50 ms": figures.latency_p50_ms,
        "p95 ms": figures.latency_p95_ms,
        "spread": figures.latency_spread_ms,
        "predicted ms": figures.predicted_latency_ms,
    }
    sizes = {"memory": figures.memory_growth_bytes, "predicted": figures.predicted_memory_bytes}
    cells = {"MAdds": madds(figures.madds), **{k: f"{v:.2f}" for k, v in numbers.items() if v is not None}}
    if figures.images_per_s is not None:
        cells["images/s"] = f"{figures.images_per_s:.0f}"
    return cells | {k: size(v) for k, v in sizes.items() if v is not None}


def _print_cells(title: str, rows: Sequence[Mapping[str, str]]) -> None:
    """A table of rows that may lack cells, without the columns that all of them lack."""
    columns = list(dict.fromkeys(name for row in sorted(rows, key=len, reverse=True) for name in row))
    print_table(title, columns, [[row.get(name, "" if name == NOTE else "–") for name in columns] for row in rows])


def _split(text: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
