"""`eas info`: what a bundle holds."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import click
import numpy as np

from eas_sdk._version import __version__
from eas_sdk.bank import bundle as bundles
from eas_sdk.cli.common import bundle_argument, bundle_option, file_of, json_option, open_runtime
from eas_sdk.cli.output import (
    BY_SUPERCLASS,
    accuracy_rows,
    madds,
    percent,
    print_accuracy,
    print_facts,
    print_json,
    print_table,
    size,
)
from eas_sdk.expected import answers_of
from eas_sdk.runtime import Runtime


@click.command()
@bundle_argument
@bundle_option
@json_option
def info(given: Path | None, bundle: Path | None, as_json: bool) -> None:
    """Show what a bundle holds.

    Its tasks, the budgets that each can meet, how accurate the networks are, and whose work it is. BUNDLE is what
    --bundle takes.

    \b
    Examples:
      eas info
      eas info mine.safetensors --json
    """
    if given is not None and bundle is not None:
        raise click.UsageError(f"one bundle is shown; got {str(given)!r} and --bundle {str(bundle)!r}")
    bundle = given or bundle
    runtime = open_runtime(bundle)
    facts = describe(runtime, *file_of(bundle))
    if as_json:
        print_json(facts)
    else:
        _print(facts)


def describe(runtime: Runtime, path: str, size_bytes: int) -> dict[str, Any]:
    """What a loaded bundle holds, as JSON-able data."""
    held = runtime.bundle
    return {
        "name": held.name,
        "file": path,
        "size_bytes": size_bytes,
        "bank_numbers": sum(tensor.size for tensor in held.group("bank").values()),
        "space": held.space.to_json(),
        "input_sizes": [size for size in held.space.input_sizes if size <= held.input_size],
        "choices": held.space.in_words(),
        "selector": dict(held.selector),
        "tasks": [
            {
                "name": task,
                "labels": list(runtime.labels(task)),
                "budget_range_madds": list(runtime.budget_range(task)),
            }
            for task in runtime.tasks
        ],
        "router": None
        if runtime.router is None
        else {
            "madds": runtime.router.cost.madds,
            "threshold": runtime.router.threshold,
            "training": held.training.get("router"),
        },
        "accuracy": accuracy_rows(held.training.get("accuracy")),
        "answers_of": answers_of(held) or None,
        "attributions": list(held.attributions),
        "versions": {
            "eas_sdk": __version__,
            "bundle": bundles.VERSION,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def _print(facts: dict[str, Any]) -> None:
    space, sizes, versions = facts["space"], facts["input_sizes"], facts["versions"]
    print_facts(
        {
            "bundle": facts["name"],
            "file": f"{facts['file']} ({size(facts['size_bytes'])})",
            "images": f"RGB, of any size; networks of {' to '.join(map(str, (sizes[0], *sizes[1:][-1:])))} px",
            "space": f"{space['kind']}, width multiplier {space['width_multiplier']:g}",
            "choices": facts["choices"],
            "bank": f"{facts['bank_numbers'] / 1e6:.2f} million numbers",
            "selector": str(facts["selector"]["kind"]),
            "router": f"{madds(router['madds'])} multiply-adds" if (router := facts["router"]) else "none",
            "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        }
    )
    click.echo()
    last = facts["accuracy"][-1].get(BY_SUPERCLASS, {}) if facts["accuracy"] else {}
    print_table(
        "Tasks (budgets in multiply-adds of one image; test top-1 at the most useful budget)"
        if last
        else "Tasks (budgets in multiply-adds of one image)",
        ["task", "labels", "least budget", "most useful budget", *(["test top-1"] if last else [])],
        [
            [
                task["name"],
                str(len(task["labels"])),
                *(madds(end, up=True) for end in task["budget_range_madds"]),
                *([percent(last.get(task["name"]))] if last else []),
            ]
            for task in facts["tasks"]
        ],
    )
    print_accuracy(facts["accuracy"])
    if facts["accuracy"] and facts["answers_of"]:
        print_facts({"labels": f"the answers of {facts['answers_of']!r} at its full size, in place of people's"})
    if facts["attributions"]:
        print_facts({"trained on": "\n".join(facts["attributions"])})
