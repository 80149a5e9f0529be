"""`eas info` and `eas specialize`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from bundles import SUPERCLASSES, random_bundle

import eas_sdk
from eas_sdk.cli.app import cli

ROW = {
    "budget_fraction": 0.5,
    "mean_madds": 1_230_000,
    "validation_top1": 0.701,
    "test_top1": 0.652,
    "test_top1_of_all": 0.413,
    "test_top1_by_superclass": {"birds": 0.875},
}


def test_info_tells_what_a_bundle_holds(eas, bundle: Path) -> None:
    facts = json.loads(eas("info", "--bundle", bundle, "--json").stdout)
    runtime = eas_sdk.load(bundle)
    assert facts["size_bytes"] == bundle.stat().st_size
    assert {t["name"]: tuple(t["labels"]) for t in facts["tasks"]} == SUPERCLASSES
    assert [tuple(t["budget_range_madds"]) for t in facts["tasks"]] == [
        runtime.budget_range(task) for task in runtime.tasks
    ]
    assert facts["space"] == json.loads(json.dumps(runtime.bundle.space.to_json()))
    assert facts["accuracy"] == []
    text = eas("info", "--bundle", bundle).stdout
    for part in ("birds", "insects", "tools", "476.25k", "2.37M", str(bundle), "Random numbers by numpy"):
        assert part in text


def test_a_bundle_may_be_given_by_its_file_alone_or_by_the_folder_of_its_training(
    eas, bundle: Path, tmp_path: Path
) -> None:
    shown = eas("info", "--bundle", bundle).stdout
    assert eas("info", bundle).stdout == shown
    run = tmp_path / "runs"
    run.mkdir()
    assert_told(eas("info", run), str(run), "bundle.safetensors", "holds none")
    shutil.copy(bundle, run / "bundle.safetensors")
    assert eas("info", run).stdout == shown.replace(str(bundle), str(run / "bundle.safetensors"))
    assert eas("specialize", "birds", "1M", "--bundle", run, "--json").exit_code == 0
    assert eas_sdk.load(run).tasks == eas_sdk.load(bundle).tasks
    assert "one bundle" in eas("info", bundle, "--bundle", bundle).stderr


def assert_told(result, *parts: str) -> None:
    assert result.exit_code == 2
    assert all(part in result.stderr for part in parts), result.stderr


@pytest.mark.parametrize("given", ["./emoji", "emoji/"])
def test_a_folder_of_the_name_of_a_shipped_bundle_is_the_folder(
    eas, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "emoji").mkdir()
    shutil.copy(bundle, tmp_path / "emoji" / "bundle.safetensors")
    for words in (("info", given), ("info", "--bundle", given)):
        assert json.loads(eas(*words, "--json").stdout)["size_bytes"] == bundle.stat().st_size
    assert json.loads(eas("info", "emoji", "--json").stdout)["name"] == "emoji"


@pytest.mark.parametrize("flag", ["-o", "--out", "--output"])
@pytest.mark.parametrize(
    "command", [["export"], ["demo"], ["import"], ["lut", "build"], ["train"], ["study"]], ids=lambda words: words[-1]
)
def test_every_command_that_writes_takes_the_place_by_the_same_names(command: list[str], flag: str) -> None:
    found = cli
    for word in command:
        found = found.commands[word]
    assert any(flag in parameter.opts for parameter in found.params)


@pytest.mark.parametrize("command", ["demo", "evaluate"])
@pytest.mark.parametrize(
    "superclasses",
    [{"gears": ("cog", "worm"), "bolts": ("hex", "eye")}, {"birds": ("cog", "worm"), "bolts": ("hex", "eye")}],
    ids=["other tasks", "other labels"],
)
def test_a_bundle_of_things_that_no_shipped_image_shows_asks_for_images(
    eas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, superclasses: dict
) -> None:
    monkeypatch.chdir(tmp_path)
    path = random_bundle(tmp_path, superclasses)
    result = eas(command, "--bundle", path)
    assert_told(result, "--images DIR")
    assert "site-packages" not in result.stderr
    assert "assets" not in result.stderr


def test_info_shows_the_accuracy_figures_of_the_training(eas, tmp_path: Path) -> None:
    path = random_bundle(tmp_path, training={"accuracy": [{**ROW, "budget_fraction": 0.0}, ROW]})
    assert json.loads(eas("info", "--bundle", path, "--json").stdout)["accuracy"][1] == ROW
    text = eas("info", "--bundle", path).stdout
    for part in ("1.23M", "70.1%", "65.2%", "87.5%"):
        assert part in text


@pytest.mark.parametrize(
    "accuracy",
    [
        "good",
        [1, None],
        [{}],
        [{**ROW, "mean_madds": "many", "test_top1": None}],
        [{**ROW, "test_top1_by_superclass": [1]}],
        [{**ROW, "test_top1_by_superclass": {"birds": "good"}}],
    ],
)
def test_info_survives_figures_of_another_form(eas, tmp_path: Path, accuracy: object) -> None:
    path = random_bundle(tmp_path, training={"accuracy": accuracy})
    result = eas("info", "--bundle", path)
    assert result.exit_code == 0
    assert "birds" in result.stdout


def test_specialize_gives_the_network_of_the_api(eas, bundle: Path) -> None:
    runtime = eas_sdk.load(bundle)
    shown = set()
    for seed in (0, 1):
        result = eas("specialize", "tools", "2M", "--seed", seed, "--bundle", bundle, "--json")
        report = json.loads(result.stdout)
        model = runtime.specialize("tools", "2M", seed=seed)
        assert report["architecture"] == str(model.architecture)
        assert report["madds"] == model.madds <= report["bounds"]["madds"] == 2_000_000
        assert report["parameters"] == model.parameters
        assert report["peak_activation_bytes"] == model.cost.peak_activation_bytes
        assert report["labels"] == list(model.labels)
        assert all(report[name] > 0 for name in report if name.endswith("_ms") and not name.startswith("predicted"))
        shown.add(report["architecture"])
    assert len(shown) == 2, "the seed changes nothing"


def test_specialize_prints_one_unit_a_line(eas, bundle: Path) -> None:
    text = eas("specialize", "tools", "2M", "--bundle", bundle).stdout
    model = eas_sdk.load(bundle).specialize("tools", "2M")
    for index, unit in enumerate(str(model.architecture).split(" | ")):
        (line,) = [line for line in text.splitlines() if f"unit {index}" in line]
        assert line.split(f"unit {index}")[1].strip() == unit
    assert f"{model.parameters:,}" in text
    assert "axe, hammer, hook, saw, wrench" in text


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["info"], "birds"),
        (["specialize", "birds", "1G"], "birds"),
        (["evaluate", "--budgets", "2", "--tasks", "birds"], "birds"),
        (["demo", "--out", "{}/a.png"], "49 that may be redistributed"),
    ],
)
def test_without_options_the_shipped_bank_and_photos_are_used(
    eas, tmp_path: Path, arguments: list[str], shown: str
) -> None:
    result = eas(*[a.format(tmp_path) for a in arguments])
    assert result.exit_code == 0, result.output
    assert shown in result.stdout


def test_a_shipped_bundle_is_asked_for_by_its_name(eas) -> None:
    facts = json.loads(eas("info", "--bundle", "emoji", "--json").stdout)
    assert facts["name"] == "emoji"
    assert len(facts["tasks"]) == 14
