"""The Swift example: it parses, its rules are the policy's, and it reads what a package has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import tree_sitter_swift
from bundles import random_bundle
from tree_sitter import Language, Node, Parser

import eas_sdk
from eas_sdk.device.policy import DEFAULT_POLICY, decide
from eas_sdk.device.state import DeviceState
from eas_sdk.export import export

FOLDER = Path(__file__).parent.parent / "examples" / "ios"
SOURCES = FOLDER / "Sources" / "ElasticClassifier"
SWIFT = sorted(FOLDER.rglob("*.swift"))


def broken(text: bytes) -> list[str]:
    """Lines of a Swift text that do not parse."""
    found: list[str] = []

    def visit(node: Node) -> None:
        if node.type == "ERROR" or node.is_missing:
            found.append(f"line {node.start_point[0] + 1}: {(node.text or b'')[:60]!r}")
        for child in node.children:
            visit(child)

    visit(Parser(Language(tree_sitter_swift.language())).parse(text).root_node)
    return found


@pytest.mark.parametrize("path", SWIFT, ids=lambda path: path.name)
def test_every_file_parses(path: Path) -> None:
    assert broken(path.read_bytes()) == []


def test_the_manifest_is_of_the_package_that_lies_here() -> None:
    """What a Mac reads first: the tools' version on the first line, and a folder of sources for every target."""
    manifest = (FOLDER / "Package.swift").read_text(encoding="utf-8")
    assert re.match(r"// swift-tools-version: \d+\.\d+\n", manifest)
    targets = re.findall(r'\.target\(name: "(\w+)"', manifest)
    assert targets == sorted(path.name for path in (FOLDER / "Sources").iterdir())
    assert re.findall(r'targets: \["(\w+)"\]', manifest) == targets
    system = dict(re.findall(r"\.(iOS|macOS)\(\.v(\d+)\)", manifest))
    assert system == {"iOS": "18", "macOS": "15"}


def test_what_an_app_calls_is_public() -> None:
    readme, source = (FOLDER / "README.md").read_text(), "\n".join(path.read_text() for path in SOURCES.glob("*.swift"))
    for name in {
        "ElasticClassifier",
        "DeviceBudget",
        *re.findall(r"(?:classifier|DeviceBudget)\.(?!swift)(\w+)", readme),
    }:
        assert re.search(rf"public (static )?(actor|enum|func|var) {name}\b", source), name


def test_a_broken_file_is_seen() -> None:
    assert broken(b"func use(budget: Int -> String { }") != []


def test_the_example_reads_what_a_package_of_several_networks_has(tmp_path: Path) -> None:
    ct = pytest.importorskip("coremltools")
    runtime = eas_sdk.load(random_bundle(tmp_path))
    low, high = runtime.budget_range("birds")
    models = {f"budget_{i}": runtime.specialize("birds", budget) for i, budget in enumerate((low, high))}
    export(models, tmp_path / "birds.mlpackage", precision="float16")
    description = ct.utils.load_spec(str(tmp_path / "birds.mlpackage")).description
    source = (SOURCES / "ElasticClassifier.swift").read_text()
    (key,) = re.findall(r'facts\?\["(\w+)"\]', source)
    madds = json.loads(description.metadata.userDefined[key])
    assert madds == {name: model.madds for name, model in models.items()}
    (image,) = set(re.findall(r'inputDescriptionsByName\["(\w+)"\]|dictionary: \["(\w+)"', source)[0]) - {""}
    for function in description.functions:
        assert function.name in madds
        assert [entry.name for entry in function.input] == [image]
        assert function.predictedProbabilitiesName


@pytest.mark.parametrize(
    ("state", "condition"),
    [
        (DeviceState(thermal="critical"), r"case \.critical: return ([\d.]+)"),
        (DeviceState(thermal="severe"), r"case \.serious: return ([\d.]+)"),
        (DeviceState(battery=0.1, charging=False), r"battery < 0\.15 \{ return ([\d.]+)"),
        (DeviceState(power_saving=True), r"isLowPowerModeEnabled \{ return ([\d.]+)"),
        (DeviceState(thermal="moderate"), r"thermalState == \.fair \{ return ([\d.]+)"),
        (DeviceState(battery=0.3, charging=False), r"battery < 0\.4 \{ return ([\d.]+)"),
        (DeviceState(battery=1.0), r"return ([\d.]+)\n    \}\n"),
    ],
)
def test_the_rules_are_those_of_the_policy(state: DeviceState, condition: str) -> None:
    (level,) = re.findall(condition, (SOURCES / "DeviceBudget.swift").read_text())
    assert decide(DEFAULT_POLICY, state).budget.level == float(level)
