"""Every command that a document or a help text gives is tried as it stands, or it is said here why not."""

from __future__ import annotations

import glob
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from bundles import TINY, random_bundle
from click.testing import CliRunner
from documents import PAGES, ROOT, command_fault, command_lines, eas_commands, help_commands
from latency.tables import CONDITIONS
from PIL import Image
from scenes import tree

import eas_sdk
from eas_sdk.bank.shipped import bundle_file
from eas_sdk.cli.app import cli
from eas_sdk.cli.drawings import shipped_folder
from eas_sdk.graph.cost import madds
from eas_sdk.graph.nodes import Graph
from eas_sdk.latency.quick import quick_table
from eas_sdk.latency.store import Networks
from eas_sdk.latency.table import write

PROGRAMS = {
    "adb": "needs a phone",
    "cd": "goes with gradlew",
    "cp": "goes with gradlew",
    "mkdir": "makes a folder, and Gradle's wrapper in it",
    "./gradlew": "needs Android's SDK",
    "make": "sets up this repository, and runs the tests",
    "pip": "installs",
    "python": "benchmarks take minutes to hours (tests/test_docs.py reads their options); the stand-in serves on "
    "(tests/android)",
    "torchrun": "trains on several processes: tests/train/test_distributed.py",
}
"""Other programs than `eas` that documents start, and why they are not started here."""

NOT_TRIED = {
    r"eas (train|data|study|diagnose|rounds)\b": "takes hours, and images that are fetched: tests/train and tests/cli",
    r"eas import\b|lite0": "needs published weights: tests/cli/test_import.py",
    r"--adb\b": "needs a phone: tests/cli/test_lut.py has one that computes its times",
    r"--watch\b": "goes on until it is interrupted: tests/cli/test_device.py",
    r"export auto\b": "writes a file for each of 35 superclasses: tests/router/test_export.py",
    r"\.mlpackage\b": "needs Core ML's tools: tests/exporters/test_coreml.py",
}
"""Commands that are not tried, and why."""

SHORTER = {
    "demo": ["--images", "few"],
    "evaluate": ["--images", "few", "--budgets", "2"],
    "bench": ["--runs", "2", "--batch", "2", "--engines", "numpy"],
    "lut build": ["--bundle", "small.safetensors"],
    "lut check": ["--bundle", "small.safetensors", "--networks", "2"],
}
"""What is added to commands that take a minute on all that ships."""

BEFORE = {"lut check": "lut build"}
"""What has to be done first, with the same engine."""


def commands() -> list[str]:
    """All of `eas` that are whole, each once."""
    pages = (line for page in PAGES for line, _ in eas_commands(page.read_text(encoding="utf-8")))
    written = {re.split(r"  +#| #", line)[0].strip() for line in (*pages, *help_commands())}
    return sorted(line for line in written if line.startswith("eas ") and len(shlex.split(line)) > 1)


def why_not(line: str) -> str:
    """Why a command is not tried; "" where it is."""
    return next((reason for pattern, reason in NOT_TRIED.items() if re.search(pattern, line)), "")


TRIED = [line for line in commands() if not why_not(line) and command_fault(line, whole=True) == ""]
PARTS = ["eas check", "eas evaluate --images", "eas export", "eas lut", "eas lut build --pause", "eas predict"]
"""What texts give that is no whole command."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands of the documents find: photos, folders of them, bundles, latency tables of phones."""
    made = tmp_path_factory.mktemp("user")
    rng = np.random.default_rng(0)
    runtime = eas_sdk.load()
    with bundle_file() as shipped:
        for copy in ("mine.safetensors", "runs/mine/bundle.safetensors", "runs/my_photos/bundle.safetensors"):
            (made / copy).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(shipped, made / copy)
    for name in ("photo.jpg", "photo.png"):
        Image.fromarray(rng.integers(0, 256, (90, 120, 3), np.uint8)).save(made / name)
    for task in shipped_folder(runtime.tasks).iterdir():
        if task.name in runtime.tasks:
            for images in ("few", "photos/test", "my_images/test"):
                for picture in sorted(task.rglob("*.*"))[:1]:
                    target = made / images / picture.relative_to(task.parent)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(picture, target)
    tree(made / "my_photos", "duck", "owl", each=3)
    networks = Networks(runtime.bundle.space, runtime.checked_router().nodes)
    phone = quick_table(lambda graph: [times_ms(graph)] * 3, CONDITIONS, networks.space, networks.parts)
    for name in ("pixel.json", "phone.json"):
        write(phone.table, made / name)
    return made


def times_ms(graph: Graph) -> float:
    """On a phone that has never been: the whole published networks within 3 ms."""
    return 1e-3 * len(graph.nodes) + 1e-9 * sum(map(madds, graph.nodes))


@pytest.mark.parametrize("line", TRIED)
def test_a_command_of_a_document_does_what_it_says(
    line: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    random_bundle(tmp_path, space=TINY).rename(tmp_path / "small.safetensors")
    monkeypatch.chdir(tmp_path)
    words = [w for word in shlex.split(line)[1:] for w in (sorted(glob.glob(word)) if "*" in word else [word])]
    name = " ".join(words[:2]) if words[0] == "lut" else words[0]
    if "litert" in line or name == "export":
        pytest.importorskip("ai_edge_litert")
    if "--plot" in words:
        pytest.importorskip("matplotlib")
    if name in BEFORE:
        run(BEFORE[name], [word for word in words if word in ("--engine", "litert")])
    run(name, words[len(name.split()) :])


def run(name: str, words: list[str]) -> None:
    done = CliRunner().invoke(cli, [*name.split(), *words, *SHORTER.get(name, [])], prog_name="eas")
    assert done.exit_code == 0, done.output


def test_what_is_not_tried_is_said() -> None:
    left = [line for line in commands() if line not in TRIED and not why_not(line)]
    assert left == PARTS
    unused = [pattern for pattern in NOT_TRIED if not any(re.search(pattern, line) for line in commands())]
    assert unused == []
    assert len(TRIED) > 30


def test_other_programs_are_known() -> None:
    lines = [line for page in PAGES for line in command_lines(page.read_text(encoding="utf-8"))]
    assert {line.split()[0] for line in lines} - {"eas"} == {*PROGRAMS}


def code_commands(text: str) -> list[str]:
    """What messages and comments of code tell to run, where it is spelt out."""
    joined = re.sub(r'"\s*\n\s*f?"|\n#? *', "", re.sub(r"\n\s*", "\n ", text))
    return [" ".join(code.split()) for code in re.findall(r"`(eas [a-z][^`{}()]*)`", joined)]


@pytest.mark.parametrize("package", ["eas_sdk", "eas_train", "exporters", "android_demo", "examples"])
def test_commands_in_messages_are_accepted(package: str) -> None:
    found = [
        line for file in (ROOT / package).rglob("*.py") for line in code_commands(file.read_text(encoding="utf-8"))
    ]
    assert {line: fault for line in found if (fault := command_fault(line, whole=False))} == {}
    assert found or package not in ("eas_sdk", "eas_train")


def test_commands_in_messages_are_found() -> None:
    assert code_commands('raise E(\n    "none: train one (`eas train "\n    f"--stage router`)")') == [
        "eas train --stage router"
    ]


@pytest.mark.parametrize("recipe", sorted((ROOT / "eas_train" / "recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_commands_of_recipes_are_accepted(recipe: Path) -> None:
    lines = re.findall(r"^# +(eas .*)$", recipe.read_text(encoding="utf-8"), re.MULTILINE)
    assert [fault for line in lines if (fault := command_fault(line, whole=True))] == []
