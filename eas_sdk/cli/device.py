"""`eas device`: the state of this device, and the budget that a policy makes of it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from eas_sdk.cli.common import json_option
from eas_sdk.cli.output import percent, print_facts, print_json, print_table, printable
from eas_sdk.device.policy import DEFAULT_POLICY, OTHERWISE, Decision, Policy, decide
from eas_sdk.device.power import DEFAULT
from eas_sdk.device.state import DeviceState, read_state

A_DAY_S = 86_400
UNKNOWN = "unknown"


@click.command()
@click.option(
    "--policy",
    "policy_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The policy to follow.  [default: one in levels, such as 40%, that fits any device]",
)
@click.option(
    "--watch",
    "interval_s",
    type=click.IntRange(min=1, max=A_DAY_S),
    metavar="SECONDS",
    help="Look again after so many seconds, until interrupted.",
)
@click.option(
    "--write-policy",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the policy as JSON, to edit and to pass to --policy.",
)
@click.option(
    "--write-power",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the default power table as JSON, to fill in what your device draws.",
)
@json_option
def device(
    policy_path: Path | None,
    interval_s: int | None,
    write_policy: Path | None,
    write_power: Path | None,
    as_json: bool,
) -> None:
    """Show the state of this device and its budget.

    A policy is a list of rules; the first whose conditions hold decides. What cannot be read on this device is
    unknown, and fulfils no condition. While it watches, a rule is left only once the state has passed its threshold
    by a margin; with --json each look is one line.

    \b
    Examples:
      eas device
      eas device --write-policy mine.json
      eas device --policy mine.json --watch 5
    """
    policy = DEFAULT_POLICY if policy_path is None else Policy.read(policy_path)
    if write_policy is not None:
        policy.write(write_policy)
    if write_power is not None:
        DEFAULT.write(write_power)
    written = [str(path) for path in (write_policy, write_power) if path is not None]
    state = read_state()
    decision = decide(policy, state)
    if as_json:
        facts = {**_json(state, decision), "policy": policy.to_json(), "written": written}
        if interval_s is None:
            print_json(facts)
        else:
            _print_line(facts)
    else:
        _print(policy, state, decision, written)
    while interval_s is not None:
        time.sleep(interval_s)
        state = read_state()
        decision = decide(policy, state, decision)
        if as_json:
            _print_line(_json(state, decision))
        else:
            now = time.strftime("%H:%M:%S")
            click.echo(f"{now}  {decision.budget}  {printable(decision.rule_name)}: {printable(decision.reason)}")


def _json(state: DeviceState, decision: Decision) -> dict[str, Any]:
    return {
        "state": state.to_json(),
        "rule": decision.rule_name,
        "reason": decision.reason,
        "budget": str(decision.budget),
        "budget_bounds": decision.budget.bounds,
    }


def _print_line(facts: dict[str, Any]) -> None:
    click.echo(json.dumps(facts, allow_nan=False))


def _print(policy: Policy, state: DeviceState, decision: Decision, written: list[str]) -> None:
    print_facts(
        {
            "battery": _share(state.battery),
            "charging": _answer(state.charging),
            "power saving": _answer(state.power_saving),
            "heat": state.thermal or UNKNOWN,
            "headroom": UNKNOWN if state.headroom is None else f"{state.headroom:.2f} (severe heat begins at 1)",
            "load": _share(state.load),
            "read from": state.source,
        }
    )
    click.echo()
    rows = [(rule.name, rule.explain(), rule.budget) for rule in policy.rules]
    rows.append((OTHERWISE, "", policy.otherwise))
    print_table(
        "Policy (the first rule that holds decides)",
        ["", "rule<", "when<", "budget<"],
        [["->" if row[0] == decision.rule_name else "", *row] for row in rows],
    )
    print_facts({"budget": str(decision.budget), "because": decision.reason})
    if written:
        print_facts({"written": "\n".join(written)})


def _share(value: float | None) -> str:
    return UNKNOWN if value is None else percent(value)


def _answer(value: bool | None) -> str:
    return UNKNOWN if value is None else "yes" if value else "no"
