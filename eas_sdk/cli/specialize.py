"""`eas specialize`: the network for a task and a budget, and how long it takes to get it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from eas_sdk.budget import Budget
from eas_sdk.cli.common import (
    bundle_option,
    engine_option,
    json_option,
    latency_option,
    open_runtime,
    power_option,
    read_task,
    threads_option,
    timed,
)
from eas_sdk.cli.output import madds, milliseconds, percent, print_facts, print_json, print_table, size
from eas_sdk.expected import answers_of
from eas_sdk.graph.cost import cost
from eas_sdk.runtime import Runtime, read_budget
from eas_sdk.task import is_auto


@click.command()
@click.argument("task")
@click.argument("budget")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the selector's sampling."
)
@engine_option
@threads_option
@latency_option
@power_option
@bundle_option
@json_option
def specialize(
    task: str,
    budget: str,
    seed: int,
    engine: str,
    threads: int,
    latency: Path | None,
    power: Path | None,
    bundle: Path | None,
    as_json: bool,
) -> None:
    """Cut out the network for a task and a budget.

    TASK is a name that `eas info` lists; several of them, or labels, joined by commas; all; or auto: a router and a
    network for each task that it may pick. BUDGET is what one image may take: multiply-adds (40000000, 40M, 350k), time
    (12ms), energy (0.5mJ), memory (20MB), 40% of the way from the smallest network to the largest, several of them
    joined by "and"; or auto: what the device's state allows (see `eas device`).

    \b
    Examples:
      eas specialize birds 40M
      eas specialize birds "5ms and 40MB" --engine litert
      eas specialize birds auto --json
      eas specialize birds,bugs 60M
      eas specialize auto 80M
    """
    runtime, load_ms = timed(open_runtime, bundle, latency, power)
    limit = read_budget(budget)
    named = read_task(runtime, task)
    costs = runtime.costs(limit, engine, threads)
    quick = costs.latency is not None and costs.latency.quick
    by = ", by a quick table (`eas lut build` measures with care)" if quick else ""
    if is_auto(named, runtime.bundle.superclasses):
        _routed(runtime, limit, {"seed": seed, "engine": engine, "threads": threads}, quick, by, as_json)
        return
    (architecture,), select_ms = timed(
        runtime.architectures, [(named, limit)], seed=seed, engine=engine, threads=threads
    )
    model, compile_ms = timed(runtime.build, named, architecture, engine=engine, threads=threads, latency=costs.latency)
    blank = np.zeros((1, model.input_size, model.input_size, 3), np.uint8)
    _, first_ms = timed(model.predict, blank)
    low, high = runtime.budget_range(named)
    energy_mj = None if model.latency_ms is None else costs.mj_per_ms * model.latency_ms
    if as_json:
        print_json(
            {
                "task": task,
                "budget": str(limit),
                "bounds": limit.bounds,
                "budget_range_madds": [low, high],
                "seed": seed,
                "engine": engine,
                "threads": threads,
                "architecture": str(architecture),
                "input_size": model.input_size,
                "madds": model.madds,
                "parameters": model.parameters,
                "peak_activation_bytes": model.cost.peak_activation_bytes,
                "predicted_memory_bytes": model.memory_bytes,
                "expected_accuracy": model.expected_accuracy,
                "answers_of": answers_of(model.bundle) or None,
                "predicted_latency_ms": model.latency_ms,
                "predicted_energy_mj": energy_mj,
                "quick_latency_table": quick,
                "load_ms": load_ms,
                "select_ms": select_ms,
                "slice_and_compile_ms": compile_ms,
                "first_prediction_ms": first_ms,
                "labels": list(model.labels),
            }
        )
        return
    units = str(architecture).split(" | ")
    used = f", {model.madds / limit.madds:.1%} of the budget" if limit.madds else ""
    facts = {
        "task": f"{task}, {len(model.labels)} labels",
        "budget": f"{limit} (in MAdds useful from {madds(low, up=True)} to {madds(high, up=True)})",
        "MAdds": f"{madds(model.madds)}{used}",
        "parameters": f"{model.parameters:,}",
        "input": f"{model.input_size} x {model.input_size} px",
        "memory": f"{size(model.memory_bytes)} predicted, {size(model.cost.peak_activation_bytes)} of it activations",
    }
    if model.expected_accuracy is not None:
        by_whom = f"; labels are the answers of {whose!r}" if (whose := answers_of(model.bundle)) else ""
        facts["accuracy"] = (
            f"{percent(model.expected_accuracy)} expected, of images that show one of the labels{by_whom}"
        )
    if model.latency_ms is not None and costs.latency is not None and energy_mj is not None:
        facts["latency"] = f"{milliseconds(model.latency_ms)} predicted for {costs.latency.conditions.engine}{by}"
        default = ", numbers that nobody measured" if costs.power.is_default else ""
        facts["energy"] = f"{energy_mj:.3g} mJ: that time, at the power of {costs.power.name!r}{default}"
    facts |= {
        "architecture": "\n".join(f"unit {i}  {unit}" for i, unit in enumerate(units)),
        "": "(k: side of the depthwise kernel, e: expansion ratio)",
        "load bundle": milliseconds(load_ms),
        "select": milliseconds(select_ms),
        "slice, compile": milliseconds(compile_ms),
        "first image": milliseconds(first_ms),
        "labels": ", ".join(model.labels),
    }
    print_facts(facts)


def _routed(runtime: Runtime, limit: Budget, options: dict[str, Any], quick: bool, by: str, as_json: bool) -> None:
    """The task "auto"; `quick` and `by` say what latency is predicted by."""
    model = runtime.specialize("auto", limit, **options)
    router = model.router.router
    networks = {
        name: cost(runtime.bundle.space.structure(found, len(runtime.bundle.labels))).madds
        for name, found in model.architectures.items()
    }
    if as_json:
        print_json(
            {
                "task": "auto",
                "budget": str(limit),
                "bounds": limit.bounds,
                "budget_range_madds": list(runtime.budget_range("auto")),
                **options,
                "router_madds": router.cost.madds,
                "threshold": router.threshold,
                "madds": model.madds,
                "predicted_memory_bytes": model.memory_bytes,
                "predicted_latency_ms": model.latency_ms,
                "quick_latency_table": quick,
                "networks": {
                    name: {"architecture": str(found), "madds": networks[name]}
                    for name, found in model.architectures.items()
                },
            }
        )
        return
    low, high = runtime.budget_range("auto")
    facts = {
        "task": f"auto, one of {len(networks)} for each image",
        "budget": f"{limit} (in MAdds useful from {madds(low, up=True)} to {madds(high, up=True)})",
        "MAdds": f"{madds(model.madds)} at most, {madds(router.cost.madds)} of them the router's",
        "memory": f"{size(model.memory_bytes)} predicted",
        "threshold": f"{router.threshold:.1%}: an image whose task is less probable shows none of them",
    }
    if model.latency_ms is not None:
        facts["latency"] = f"{milliseconds(model.latency_ms)} predicted at most{by}"
    print_facts(facts)
    print_table(
        "Networks",
        ["task", "MAdds", "architecture<"],
        [[name, madds(networks[name]), str(found)] for name, found in model.architectures.items()],
    )
