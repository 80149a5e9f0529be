"""What the repository promises: no file names a machine or a registry, and public names are documented."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import eas_sdk
from eas_sdk._version import DISTRIBUTION
from eas_sdk.errors import MissingDependency

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
TEXT = {".md", ".py", ".toml", ".txt", ".json", ".yml", ".yaml", ".cfg", ".ipynb", ""}
MACHINE = re.compile(
    r"(?<![\w.])/(?:work|root|tmp|opt|home|Users)/\w"  # folders of one machine
    r"|[A-Z]:\\\\?Users"
    r"|\b(?:pypi|pythonhosted|npmjs|debian|docker)\.(?:org|com|io)\b"  # registry hosts
    r"|--(?:extra-)?index-url\b|--find-link[s]\b"
)


def tracked_files() -> list[Path]:
    """Files that are or would be committed."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in names.split("\0") if name and (path := ROOT / name).is_file()]


def undocumented(module: object, names: list[str]) -> list[str]:
    """Names that the module lacks, and classes, functions and modules without a docstring of their own."""
    faults = []
    for name in names:
        value = getattr(module, name, None)
        documents_itself = inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value)
        doc = inspect.getdoc(value) if documents_itself else "a constant"
        # A dataclass without a docstring is given its signature as one.
        if value is None or not doc or doc.startswith(f"{name}("):
            faults.append(name)
    return faults


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = []
    for path in tracked_files():
        if path.suffix in TEXT and path.name != "LICENSE":
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                if MACHINE.search(line):
                    found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []


@pytest.mark.parametrize("folder", ["benchmarks", "benchmarks/peers", "examples"])
def test_no_script_takes_the_name_of_a_module_that_others_import(folder: str) -> None:
    """A script's folder comes first where Python looks for modules."""
    scripts = list((ROOT / folder).glob("*.py"))
    assert scripts
    trees = [ast.parse(script.read_text(encoding="utf-8")) for script in scripts]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    taken = sys.stdlib_module_names | set(importlib.metadata.packages_distributions()) | {"requests"}
    taken |= {name.partition(".")[0] for name in imported}
    assert {script.stem for script in scripts} & taken <= {"__init__"}


@pytest.mark.parametrize("folder", ["work", "root", "tmp", "opt", "home", "Users"])
def test_the_machine_check_catches_paths(folder: str) -> None:
    assert MACHINE.search(f"see `/{folder}/x.md`")


@pytest.mark.parametrize("host", ["pypi", "pythonhosted", "npmjs"])
def test_the_machine_check_catches_hosts(host: str) -> None:
    assert MACHINE.search("https://files." + host + ".org/simple")


@pytest.mark.parametrize("line", ["pip install numpy", "docs/work/plan.md", "a/tmp/b", "madds / root / 2"])
def test_the_machine_check_allows(line: str) -> None:
    assert not MACHINE.search(line)


def test_every_public_name_exists_and_has_a_docstring() -> None:
    assert eas_sdk.__all__, "eas_sdk.__all__ lists the public names"
    assert undocumented(eas_sdk, list(eas_sdk.__all__)) == []


def test_the_docstring_check_catches_missing_names_and_docstrings() -> None:
    class Fake:
        @staticmethod
        def bare() -> None: ...

        @staticmethod
        def told() -> None:
            """Documented."""

        size = 224

    assert undocumented(Fake, ["bare", "told", "size", "absent"]) == ["bare", "absent"]


def test_the_name_to_install_is_ours_and_the_only_one() -> None:
    """`eas-sdk` on the public index is another project: nothing here may tell anyone to install it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == DISTRIBUTION
    foreign = re.compile(r"pip install\b[^\n]*\beas[-_]sdk\b")
    found = [
        str(p.relative_to(ROOT)) for p in tracked_files() if p.suffix in TEXT and foreign.search(p.read_text("utf-8"))
    ]
    assert found == []


def test_the_wheel_claims_no_names_but_ours() -> None:
    """`exporters`, for one, is a name that others may have."""
    setuptools = pytest.importorskip("setuptools")
    find = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"][
        "find"
    ]
    assert not find["namespaces"]
    found = [
        name for folder in find["where"] for name in setuptools.find_packages(ROOT / folder, include=find["include"])
    ]
    assert {name.partition(".")[0] for name in found} == {"eas_sdk", "eas_exporters", "eas_train"}


@pytest.mark.parametrize("extra", ["cli", "train", "litert"])
def test_a_missing_package_names_the_extra_that_brings_it(extra: str) -> None:
    error = MissingDependency("running needs it", extra)
    assert f"pip install '{DISTRIBUTION}[{extra}]'" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
