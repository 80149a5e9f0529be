"""Policies: which rule decides, hysteresis, and their files."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
from device_states import SHARES, STATES
from hypothesis import assume, given
from hypothesis import strategies as st

from eas_sdk.budget import Budget
from eas_sdk.device.policy import DEFAULT_POLICY, MARGINS, OTHERWISE, Decision, Policy, Rule, decide
from eas_sdk.device.rule import CONDITIONS
from eas_sdk.device.state import THERMAL, DeviceState
from eas_sdk.errors import TableError

BUDGETS = st.sampled_from(["0%", "40%", "100%", "12ms", "4M", "8ms and 20MB", "0.5 mJ"])
NAMES = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=6).filter(lambda name: name != OTHERWISE)
MOST = {"battery": 1.0, "load": 1.0, "headroom": 9.0}
NUMBERS = MOST.keys()
LOW = Policy((Rule("low", "40%", battery_below=0.3),), "100%")


@st.composite
def policies(draw: st.DrawFn, most: int = 5) -> Policy:
    """Policies of any rules whose thresholds leave room for the margins."""
    margins = {name: draw(st.just(0.0) | st.floats(0.001, 0.4)) for name in MARGINS.values()}
    conditions = st.fixed_dictionaries(
        {},
        optional={
            "battery_below": st.floats(0, 1 - margins["battery_margin"], exclude_min=True),
            "charging": st.booleans(),
            "power_saving": st.booleans(),
            "thermal_at_least": st.sampled_from(THERMAL),
            "headroom_at_least": st.floats(margins["headroom_margin"], 2, exclude_min=True),
            "load_at_least": st.floats(margins["load_margin"], 1, exclude_min=True),
        },
    ).filter(bool)
    names = draw(st.lists(NAMES, max_size=most, unique=True))
    rules = []
    for name in names:
        given_ = draw(conditions)
        assume(given_.get("battery_below", 0) + margins["battery_margin"] <= 1)  # rounding
        rules.append(Rule(name, draw(BUDGETS), **given_))
    return Policy(tuple(rules), draw(BUDGETS), **margins)


def rank(policy: Policy, decision: Decision) -> int:
    """The place of the rule that decided."""
    return [*(rule.name for rule in policy.rules), OTHERWISE].index(decision.rule_name)


@given(policies(), STATES, st.none() | STATES)
def test_every_state_is_decided(policy: Policy, state: DeviceState, before: DeviceState | None) -> None:
    current = None if before is None else decide(policy, before)
    decision = decide(policy, state, current)
    texts = {rule.name: rule.budget for rule in policy.rules} | {OTHERWISE: policy.otherwise}
    assert decision.budget == Budget.parse(texts[decision.rule_name])
    assert decision.reason
    assert decide(policy, state, current) == decision


@given(policies(), STATES)
def test_the_first_rule_that_holds_decides(policy: Policy, state: DeviceState) -> None:
    holding = [rule.name for rule in policy.rules if rule.holds(state)]
    assert decide(policy, state).rule_name == [*holding, OTHERWISE][0]


@given(policies())
def test_what_is_unknown_fulfils_no_condition(policy: Policy) -> None:
    assert decide(policy, DeviceState()).rule_name == OTHERWISE


@pytest.mark.parametrize(
    ("condition", "holds", "fails"),
    [
        ({"battery_below": 0.15}, {"battery": 0.149}, {"battery": 0.15}),
        ({"charging": False}, {"charging": False}, {"charging": True}),
        ({"charging": True}, {"charging": True}, {"charging": False}),
        ({"power_saving": True}, {"power_saving": True}, {"power_saving": False}),
        ({"power_saving": False}, {"power_saving": False}, {"power_saving": True}),
        ({"thermal_at_least": "severe"}, {"thermal": "severe"}, {"thermal": "moderate"}),
        ({"thermal_at_least": "severe"}, {"thermal": "shutdown"}, {"thermal": "none"}),
        ({"headroom_at_least": 1.0}, {"headroom": 1.0}, {"headroom": 0.99}),
        ({"load_at_least": 0.9}, {"load": 0.9}, {"load": 0.89}),
        (
            {"battery_below": 0.15, "charging": False},
            {"battery": 0.1, "charging": False},
            {"battery": 0.1, "charging": True},
        ),
        ({"battery_below": 0.15, "charging": False}, {"battery": 0.1, "charging": False}, {"battery": 0.1}),
    ],
)
def test_conditions(condition: dict[str, Any], holds: dict[str, Any], fails: dict[str, Any]) -> None:
    rule = Rule("it", "40%", **condition)
    assert rule.holds(DeviceState(**holds))
    assert not rule.holds(DeviceState(**fails))


def test_reasons_are_for_people() -> None:
    state = DeviceState(battery=0.12, charging=False, load=0.5)
    decision = decide(DEFAULT_POLICY, state)
    assert decision == Decision("battery nearly empty", Budget(level=0.15), "battery below 15% (now 12%), not charging")
    better = dataclasses.replace(state, battery=0.17)
    assert decide(DEFAULT_POLICY, better, decision).reason == "kept while battery below 20% (now 17%), not charging"
    assert decide(DEFAULT_POLICY, DeviceState()).reason == "no rule holds"


@pytest.mark.parametrize(
    ("condition", "field", "enter", "keep", "leave"),
    [
        ({"battery_below": 0.3}, "battery", 0.29, 0.34, 0.36),
        ({"load_at_least": 0.9}, "load", 0.9, 0.81, 0.79),
        ({"headroom_at_least": 0.9}, "headroom", 0.9, 0.86, 0.84),
        ({"thermal_at_least": "severe"}, "thermal", "severe", "critical", "moderate"),
        ({"power_saving": True}, "power_saving", True, True, False),
    ],
)
def test_a_rule_is_left_only_beyond_its_margin(
    condition: dict[str, Any], field: str, enter: object, keep: object, leave: object
) -> None:
    policy = Policy((Rule("it", "40%", **condition),), "100%")
    inside = decide(policy, DeviceState(**{field: enter}))
    assert inside.rule_name == "it"
    assert decide(policy, DeviceState(**{field: keep}), inside).rule_name == "it"
    outside = decide(policy, DeviceState(**{field: leave}), inside)
    assert outside.rule_name == OTHERWISE
    if isinstance(keep, float):
        assert decide(policy, DeviceState(**{field: keep}), outside).rule_name == OTHERWISE
    assert decide(policy, DeviceState(), inside).rule_name == OTHERWISE


def test_a_rule_ahead_of_the_current_one_takes_over_at_once() -> None:
    low = decide(DEFAULT_POLICY, DeviceState(battery=0.35, charging=False))
    assert low.rule_name == "battery low"
    hot = decide(DEFAULT_POLICY, DeviceState(battery=0.35, charging=False, thermal="severe"), low)
    assert hot.rule_name == "severe heat"


def test_a_decision_of_another_policy_is_no_hindrance() -> None:
    other = Decision("gone", Budget(level=0.1), "")
    assert decide(LOW, DeviceState(battery=0.32), other).rule_name == OTHERWISE


@st.composite
def hovering(draw: st.DrawFn, policy: Policy) -> list[DeviceState]:
    """States around one rule's thresholds; numbers stay within nine tenths of their margins, the rest is constant."""
    base = draw(STATES)
    rules = [draw(st.sampled_from(policy.rules))] if policy.rules else []
    fixed = {CONDITIONS[name]: limit for rule in rules for name, limit in rule.conditions.items()}
    lows = {field: fixed.get(field, getattr(base, field)) for field in NUMBERS}
    widths = {field: 0.9 * getattr(policy, f"{field}_margin") for field in NUMBERS}
    for field in NUMBERS & fixed.keys():
        lows[field] = max(0.0, lows[field] - draw(st.floats(0, widths[field])))
    states = []
    for _ in range(draw(st.integers(2, 12))):
        now = {f: min(MOST[f], low + draw(st.floats(0, widths[f]))) for f, low in lows.items() if low is not None}
        states.append(dataclasses.replace(base, **{**fixed, **now}))
    return states


@given(policies(), st.data())
def test_a_state_that_hovers_within_the_margins_never_switches_back(policy: Policy, data: st.DataObject) -> None:
    current, ranks = None, []
    for state in data.draw(hovering(policy)):
        current = decide(policy, state, current)
        ranks.append(rank(policy, current))
    assert ranks == sorted(ranks, reverse=True), "a rule that was left decided again"


@given(st.lists(st.floats(0.27, 0.33), min_size=2, max_size=30), st.floats(0.061, 0.5))
def test_one_threshold_flips_once(charges: list[float], margin: float) -> None:
    policy = dataclasses.replace(LOW, battery_margin=margin)
    current, names = None, []
    for charge in charges:
        current = decide(policy, DeviceState(battery=charge), current)
        names.append(current.rule_name)
    assert sum(a != b for a, b in itertools.pairwise(names)) <= 1


@given(STATES, SHARES, st.booleans(), st.booleans(), st.sampled_from(THERMAL), st.floats(0, 3), SHARES)
def test_a_colder_fuller_calmer_device_never_gets_less(
    state: DeviceState,
    battery: float,
    charging: bool,
    power_saving: bool,
    thermal: str,
    headroom: float,
    load: float,
) -> None:
    def better(field: str, other: Any, key: Any, best: Any) -> Any:
        known = getattr(state, field)
        return None if known is None else best(known, other, key=key)

    good = dataclasses.replace(
        state,
        battery=better("battery", battery, float, max),
        charging=better("charging", charging, bool, max),
        power_saving=better("power_saving", power_saving, bool, min),
        thermal=better("thermal", thermal, THERMAL.index, min),
        headroom=better("headroom", headroom, float, min),
        load=better("load", load, float, min),
    )
    less, more = (decide(DEFAULT_POLICY, each).budget.level for each in (state, good))
    assert less is not None
    assert more is not None
    assert less <= more


@pytest.mark.parametrize(
    ("state", "level"),
    [
        ({}, 1.0),
        (
            {"battery": 1.0, "charging": False, "power_saving": False, "thermal": "none", "headroom": 0.3, "load": 0.2},
            1,
        ),
        ({"thermal": "light"}, 1.0),
        ({"thermal": "moderate"}, 0.4),
        ({"thermal": "severe"}, 0.15),
        ({"thermal": "critical"}, 0.0),
        ({"thermal": "shutdown"}, 0.0),
        ({"headroom": 0.95}, 0.4),
        ({"headroom": 1.1, "thermal": "none"}, 0.15),
        ({"power_saving": True}, 0.25),
        ({"battery": 0.1, "charging": False}, 0.15),
        ({"battery": 0.1, "charging": True}, 1.0),
        ({"battery": 0.1}, 1.0),
        ({"battery": 0.3, "charging": False}, 0.5),
        ({"load": 0.95}, 0.5),
    ],
)
def test_the_default_policy(state: dict[str, Any], level: float) -> None:
    assert decide(DEFAULT_POLICY, DeviceState(**state)).budget == Budget(level=float(level))


@given(policies())
def test_a_policy_survives_json(policy: Policy) -> None:
    assert Policy.from_json(json.loads(json.dumps(policy.to_json(), allow_nan=False))) == policy


def test_a_policy_survives_a_file_that_people_edit(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    DEFAULT_POLICY.write(path)
    assert Policy.read(path) == DEFAULT_POLICY
    path.write_text(path.read_text().replace('"40%"', '"8 ms and 20 MB"'))
    decision = decide(Policy.read(path), DeviceState(thermal="moderate"))
    assert decision.budget == Budget(latency_ms=8.0, memory_bytes=20_000_000)
    assert [file.name for file in tmp_path.iterdir()] == ["policy.json"]


def test_margins_may_be_missing_in_a_file() -> None:
    data = {"schema": "eas_sdk policy", "version": 1, "rules": [], "otherwise": "4M"}
    assert Policy.from_json(data) == Policy((), "4M")


def changed(**members: object) -> dict[str, Any]:
    """A policy of two rules in JSON, with members of it or (beginning with r_) of its first rule; ... removes."""
    policy = Policy((Rule("low", "40%", battery_below=0.3), Rule("busy", "50%", load_at_least=0.9)), "100%")
    data = json.loads(json.dumps(policy.to_json()))
    for name, value in members.items():
        place = data["rules"][0] if name.startswith("r_") else data
        if value is ...:
            del place[name.removeprefix("r_")]
        else:
            place[name.removeprefix("r_")] = value
    return data


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (None, "a policy is an object"),
        ({}, "'schema' is missing"),
        (changed(version=2), "version 1; got .*2"),
        (changed(schema="eas_sdk power table"), "schema 'eas_sdk policy'"),
        (changed(rule=[]), r"'rule' \(did you mean 'rules'"),
        (changed(rules={}), "rules of a policy are a list; got {}"),
        (changed(rules=[3]), "a rule is an object"),
        (changed(rules=[{"name": f"{i}", "budget": "4M", "charging": True} for i in range(101)]), "at most 100"),
        (changed(otherwise=...), "'otherwise' is missing"),
        (changed(otherwise=""), "the budget of 'otherwise'.*got ''"),
        (changed(otherwise=4_000_000), "is a text such as '40%'.*got 4000000"),
        (changed(battery_margin=-0.1), "battery_margin is a number from 0 to 1; got -0.1"),
        (changed(load_margin=math.nan), "load_margin"),
        (changed(headroom_margin="0.1"), "headroom_margin"),
        (changed(load_margin=None), "load_margin"),
        (changed(r_name=...), "'name' is missing"),
        (changed(r_name=" "), "the name of a rule"),
        (changed(r_name="a\nb"), "the name of a rule"),
        (changed(r_name="x" * 81), "the name of a rule"),
        (changed(r_name=OTHERWISE), "other than 'otherwise'"),
        (changed(r_name="busy"), "different names"),
        (changed(r_budget="40 percent"), "the budget of rule 'low'.*got '40 percent'"),
        (changed(r_budget="400%"), "the budget of rule 'low'"),
        (changed(r_budget=None), "the budget of rule 'low'"),
        (changed(r_batery_below=0.2), r"'batery_below' \(did you mean 'battery_below'"),
        (changed(r_battery_below=30), r"above 0, at most 1 \(15% is 0.15\); got 30"),
        (changed(r_battery_below=0), "battery_below of rule 'low' is a number above 0"),
        (changed(r_battery_below=math.nan), "battery_below"),
        (changed(r_battery_below=True), "battery_below"),
        (changed(r_battery_below="30%"), "battery_below"),
        (changed(r_battery_below=0.97), "battery_below of rule 'low' is at most 1 - battery_margin"),
        (changed(r_load_at_least=0.1), "load_at_least of rule 'low' is above load_margin"),
        (changed(r_load_at_least=90), r"at most 1 \(90% is 0.9\); got 90"),
        (changed(r_headroom_at_least=0.05), "headroom_at_least of rule 'low' is above headroom_margin"),
        (changed(r_headroom_at_least=math.inf), "headroom_at_least"),
        (changed(r_charging="no"), "charging of rule 'low' is true or false; got 'no'"),
        (changed(r_power_saving=1), "power_saving of rule 'low' is true or false; got 1"),
        (changed(r_thermal_at_least="hot"), "one of none, light, moderate.*got 'hot'"),
        (changed(r_thermal_at_least=3), "thermal_at_least"),
        (changed(r_battery_below=...), "at least one of battery_below, charging"),
    ],
)
def test_what_is_no_policy_is_refused(data: object, part: str) -> None:
    with pytest.raises(TableError, match=part) as caught:
        Policy.from_json(data)
    assert len(str(caught.value)) < 500


def test_every_field_of_a_state_but_its_source_is_open_to_conditions() -> None:
    assert set(CONDITIONS.values()) == {field.name for field in dataclasses.fields(DeviceState)} - {"source"}
    assert set(CONDITIONS) == {field.name for field in dataclasses.fields(Rule)} - {"name", "budget"}
