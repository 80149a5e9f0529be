"""`eas lut`: latency tables, measured on this machine or on a phone, and checked against whole networks."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eas_sdk.cli.common import bundle_option, json_option, open_runtime
from eas_sdk.cli.output import percent, print_facts, print_json, print_table, progress
from eas_sdk.cli.plot import plot_option, save

if TYPE_CHECKING:
    from eas_sdk.latency.check import Check
    from eas_sdk.latency.meter import Meter
    from eas_sdk.latency.segments import Segment
    from eas_sdk.space.protocol import Space

NETWORKS = 24
"""Whole networks that a new table's scale and offset come from."""

CLASSIFIERS = (2, 64, 512)
"""Numbers of classes that classifiers are measured for, beside those of the bundle's superclasses."""


@click.group()
def lut() -> None:
    """Latency tables: how long each block takes on a device.

    A budget in time ("12ms") or energy ("0.5mJ") is met by such a table. Without one, this machine is measured in a
    second or two, by a few whole networks. `build` measures every block, for an engine and a number of threads, in
    seconds to minutes; its table is found by `eas specialize` and the runtime, and takes the place of the quick one.

    \b
    Examples:
      eas lut build --engine litert
      eas lut check --engine litert --plot check.png
      eas lut build --adb --benchmark-model ./benchmark_model -o pixel.json
    """


def _meter_options(command: click.decorators.FC) -> click.decorators.FC:
    for option in reversed(
        (
            click.option(
                "--engine", default="numpy", show_default=True, help="What runs the networks on this machine."
            ),
            click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="Most threads."),
            click.option(
                "--paper", is_flag=True, help="Measure the paper's space (224 px, width 1.0) instead of the bundle's."
            ),
            bundle_option,
            click.option(
                "--adb",
                "serial",
                metavar="[SERIAL]",
                is_flag=False,
                flag_value="",
                help="Measure on the phone that adb is connected to, or on one of several.",
            ),
            click.option(
                "--benchmark-model",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                help="TensorFlow Lite's benchmark_model for the phone. [with --adb]",
            ),
            click.option("--precision", default="float32", show_default=True, help="Of the networks. [with --adb]"),
            click.option(
                "--cores",
                default="big",
                show_default=True,
                type=click.Choice(["big", "middle", "little", "all"]),
                help="The phone's cores to run on. [with --adb]",
            ),
        )
    ):
        command = option(command)
    return command


@lut.command("build")
@_meter_options
@click.option(
    "--out",
    "--output",
    "-o",
    "output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The table. [default: where it is found]",
)
@click.option(
    "--pause",
    "pause_ms",
    default=0.0,
    metavar="MS",
    type=click.FloatRange(min=0),
    help="Between two images, as in an application: 33 where a camera gives 30 a second.  [default: none]",
)
@click.option("--fresh", is_flag=True, help="Measure everything again. Without it, what the table holds is kept.")
@json_option
def build_command(
    engine: str,
    threads: int,
    paper: bool,
    bundle: Path | None,
    serial: str | None,
    benchmark_model: Path | None,
    precision: str,
    cores: str,
    output: Path | None,
    pause_ms: float,
    fresh: bool,
    as_json: bool,
) -> None:
    """Measure every block of the bundle's networks.

    What is measured is written at once: a run that is cut goes on where it stopped. Blocks of equal layers are
    measured once.
    """
    from eas_sdk.latency.build import build, calibrate, space_segments
    from eas_sdk.latency.check import random_networks
    from eas_sdk.latency.store import remove_quick, table_path

    space, classes, router = _space(paper, bundle)
    with ExitStack() as stack:
        meter = _meter(stack, engine, threads, serial, benchmark_model, precision, cores, pause_ms)
        if serial is not None and output is None:
            raise click.UsageError("a phone's table goes to a file of its own: name it with --output")
        target = output or table_path(engine, threads)
        if fresh:
            target.unlink(missing_ok=True)
        parts = [*space_segments(space, (*CLASSIFIERS, *classes)), *router]
        with progress("blocks", len(parts)) as advance:
            shown = 0

            def show(done: int, total: int, name: str) -> None:
                nonlocal shown
                for _ in range(done - shown):
                    advance()
                shown = done

            table = build(meter, parts, target, advance=show)
        with progress("networks", NETWORKS) as advance:
            networks = random_networks(space, NETWORKS, classes[0], seed=0)
            table = calibrate(meter, table, networks, target, advance)
    if output is None:
        remove_quick(engine, threads)
    facts = {
        "table": str(target),
        "blocks": str(len(table.timings)),
        "whole networks": f"{table.scale:.3f} x the sum of their blocks {table.offset_ms:+.3f} ms",
        "device": f"{table.conditions.device}, {table.conditions.soc}",
        "engine": f"{table.conditions.engine}, {table.conditions.runtime_version}",
        "threads": str(table.conditions.threads),
        "precision": table.conditions.precision,
    }
    if as_json:
        numbers = {"scale": table.scale, "offset_ms": table.offset_ms, "threads": table.conditions.threads}
        del facts["whole networks"]
        print_json({**facts, "blocks": len(table.timings), **numbers})
    else:
        print_facts(facts)


@lut.command("check")
@_meter_options
@click.option(
    "--table", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="[default: the engine's own]"
)
@click.option("--networks", default=30, show_default=True, type=click.IntRange(min=2), help="Random architectures.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(min=0), help="Of their choice.")
@plot_option("Draw predicted against measured here.")
@json_option
def check_command(
    engine: str,
    threads: int,
    paper: bool,
    bundle: Path | None,
    serial: str | None,
    benchmark_model: Path | None,
    precision: str,
    cores: str,
    table: Path | None,
    networks: int,
    seed: int,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Compare a table's predictions with measurements of random networks."""
    from eas_sdk.latency.check import check, random_networks
    from eas_sdk.latency.store import find
    from eas_sdk.latency.table import read

    space, classes, _ = _space(paper, bundle)
    known = read(table) if table is not None else find(engine, threads)
    with ExitStack() as stack:
        pause_ms = known.conditions.pause_ms
        meter = _meter(stack, engine, threads, serial, benchmark_model, precision, cores, pause_ms)
        with progress("networks", networks) as advance:
            found = check(meter, known, random_networks(space, networks, classes[0], seed), advance)
    if plot is not None:
        draw(found, plot, f"{known.conditions.engine}, {known.conditions.device}")
    figures = {"median_error": found.median_error, "p95_error": found.p95_error, "measured_per_predicted": found.ratio}
    if as_json:
        rows = [
            {"architecture": n.architecture, "predicted_ms": n.predicted_ms, "measured_ms": n.measured_ms}
            for n in found.networks
        ]
        print_json({**figures, "quick": known.quick, "networks": rows})
        return
    print_table(
        f"Predicted{' by a quick table' * known.quick} and measured latency of {len(found.networks)} random networks",
        ["median error", "95th percentile", "measured / predicted", "from", "to"],
        [
            [
                percent(found.median_error),
                percent(found.p95_error),
                f"{found.ratio:.3f}",
                f"{min(n.measured_ms for n in found.networks):.2f} ms",
                f"{max(n.measured_ms for n in found.networks):.2f} ms",
            ]
        ],
    )


def draw(found: Check, path: Path, title: str) -> None:
    """The scatter plot of a check."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    most = 1.05 * max(max(n.predicted_ms, n.measured_ms) for n in found.networks)
    axes.plot([0, most], [0, most], color="0.6", linewidth=1)
    axes.scatter([n.measured_ms for n in found.networks], [n.predicted_ms for n in found.networks], s=14)
    axes.set(xlabel="measured ms", ylabel="predicted ms", xlim=(0, most), ylim=(0, most), title=title, aspect="equal")
    save(figure, path)


def _space(paper: bool, bundle: Path | None) -> tuple[Space, list[int], list[Segment]]:
    """The space to measure, numbers of classes of its tasks, and the blocks of the router."""
    from eas_sdk.latency.segments import segments
    from eas_sdk.space.elastic.backbones import PAPER

    if paper:
        return PAPER, [1000], []
    runtime = open_runtime(bundle)
    held = runtime.bundle
    router = [] if runtime.router is None else segments(runtime.router.nodes)
    return held.space, sorted({len(superclass.labels) for superclass in held.superclasses}), router


def _meter(
    stack: ExitStack,
    engine: str,
    threads: int,
    serial: str | None,
    benchmark_model: Path | None,
    precision: str,
    cores: str,
    pause_ms: float,
) -> Meter:
    from eas_sdk.latency.local import LocalMeter

    if serial is None:
        return LocalMeter(engine, threads, pause_ms=pause_ms)
    if benchmark_model is None:
        raise click.UsageError("--adb needs the program that runs there: name it with --benchmark-model")
    from eas_sdk.latency.adb import Adb
    from eas_sdk.latency.phone import PhoneMeter

    return stack.enter_context(
        PhoneMeter(
            Adb(serial or None),
            benchmark_model,
            threads=threads,
            precision=precision,
            cores=cores,
            run_delay_s=1e-3 * pause_ms,
        )
    )
