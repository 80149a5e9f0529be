"""`eas specialize`: the network for a task and a budget, and how long it takes to get it."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from eas_sdk.cli.common import (
    bundle_option,
    engine_option,
    json_option,
    latency_option,
    open_runtime,
    threads_option,
    timed,
)
from eas_sdk.cli.output import madds, milliseconds, print_facts, print_json, size
from eas_sdk.runtime import read_budget


@click.command()
@click.argument("task")
@click.argument("budget")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the selector's sampling."
)
@engine_option
@threads_option
@latency_option
@bundle_option
@json_option
def specialize(
    task: str,
    budget: str,
    seed: int,
    engine: str,
    threads: int,
    latency: Path | None,
    bundle: Path | None,
    as_json: bool,
) -> None:
    """Cut out the network for a task and a budget.

    TASK is a name that `eas info` lists. BUDGET is what one image may take: multiply-adds (4000000, 4M, 350k), time
    (12ms), energy (0.5mJ), memory (20MB), 40% of the way from the smallest network to the largest, several of them
    joined by "and"; or auto: what the device's state allows (see `eas device`).

    \b
    Examples:
      eas specialize birds 4M
      eas specialize birds "0.4ms and 20MB" --engine litert    (after `eas lut build --engine litert`)
      eas specialize birds auto --json
    """
    runtime, load_ms = timed(open_runtime, bundle, latency)
    limit = read_budget(budget)
    costs = runtime.costs(limit, engine, threads)
    (architecture,), select_ms = timed(
        runtime.architectures, [(task, limit)], seed=seed, engine=engine, threads=threads
    )
    model, compile_ms = timed(runtime.build, task, architecture, engine=engine, threads=threads, latency=costs.latency)
    blank = np.zeros((1, model.input_size, model.input_size, 3), np.uint8)
    _, first_ms = timed(model.predict, blank)
    low, high = runtime.budget_range(task)
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
                "madds": model.madds,
                "parameters": model.parameters,
                "peak_activation_bytes": model.cost.peak_activation_bytes,
                "predicted_memory_bytes": model.memory_bytes,
                "predicted_latency_ms": model.latency_ms,
                "predicted_energy_mj": energy_mj,
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
        "budget": f"{limit} (in MAdds useful from {madds(low)} to {madds(high)})",
        "MAdds": f"{madds(model.madds)}{used}",
        "parameters": f"{model.parameters:,}",
        "memory": f"{size(model.memory_bytes)} predicted, {size(model.cost.peak_activation_bytes)} of it activations",
    }
    if model.latency_ms is not None and costs.latency is not None and energy_mj is not None:
        facts["latency"] = f"{milliseconds(model.latency_ms)} predicted for {costs.latency.conditions.engine}"
        default = ", by default numbers" if costs.power.is_default else ""
        facts["energy"] = f"{energy_mj:.3g} mJ predicted for {costs.power.name!r}{default}"
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
