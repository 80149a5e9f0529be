"""`eas specialize`: the network for a task and a budget, and how long it takes to get it."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from eas_sdk.budget import Budget
from eas_sdk.cli.common import bundle_option, json_option, open_runtime, timed
from eas_sdk.cli.output import madds, milliseconds, print_facts, print_json, size


@click.command()
@click.argument("task")
@click.argument("budget")
@bundle_option
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Seed of the selector's sampling.",
)
@json_option
def specialize(task: str, budget: str, bundle: Path | None, seed: int, as_json: bool) -> None:
    """Cut out the network for a task and a budget.

    TASK is a name that `eas info` lists. BUDGET is the most multiply-adds of one image: 4000000, 4M, 350k.

    \b
    Examples:
      eas specialize birds 4M
      eas specialize birds 4M --json
    """
    runtime, load_ms = timed(open_runtime, bundle)
    limit = Budget.parse(budget)
    (architecture,), select_ms = timed(runtime.architectures, [(task, limit)], seed=seed)
    model, compile_ms = timed(runtime.build, task, architecture)
    blank = np.zeros((1, model.input_size, model.input_size, 3), np.uint8)
    _, first_ms = timed(model.predict, blank)
    low, high = runtime.budget_range(task)
    if as_json:
        print_json(
            {
                "task": task,
                "budget_madds": limit.madds,
                "budget_range_madds": [low, high],
                "seed": seed,
                "architecture": str(architecture),
                "madds": model.madds,
                "parameters": model.parameters,
                "peak_activation_bytes": model.cost.peak_activation_bytes,
                "load_ms": load_ms,
                "select_ms": select_ms,
                "slice_and_compile_ms": compile_ms,
                "first_prediction_ms": first_ms,
                "labels": list(model.labels),
            }
        )
        return
    units = str(architecture).split(" | ")
    print_facts(
        {
            "task": f"{task}, {len(model.labels)} labels",
            "budget": f"{limit} MAdds (useful from {madds(low)} to {madds(high)})",
            "MAdds": f"{madds(model.madds)}, {model.madds / limit.madds:.1%} of the budget",
            "parameters": f"{model.parameters:,}",
            "peak memory": f"{size(model.cost.peak_activation_bytes)} of activations",
            "architecture": "\n".join(f"unit {i}  {unit}" for i, unit in enumerate(units)),
            "": "(k: side of the depthwise kernel, e: expansion ratio)",
            "load bundle": milliseconds(load_ms),
            "select": milliseconds(select_ms),
            "slice, compile": milliseconds(compile_ms),
            "first image": milliseconds(first_ms),
            "labels": ", ".join(model.labels),
        }
    )
