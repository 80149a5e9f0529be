"""What may import what.

- ``import eas_sdk`` loads the standard library and numpy, nothing else; ``import eas_train`` no more than that.
- At module level, eas_sdk imports only those two; eas_sdk.cli may also import click and rich.
- eas_sdk never imports eas_exporters or eas_train, and eas_exporters never eas_train, not even inside a function. Two
  exceptions: functions of eas_sdk.cli (a command loads what it runs), and "module:function" strings that are
  resolved at run time.
- No modules import each other in a circle. Only what runs at import counts: neither functions nor
  ``if TYPE_CHECKING``.
"""

from __future__ import annotations

import ast
import graphlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    *("torch", "torchvision", "onnx", "onnxruntime", "coremltools", "tflite_runtime", "ai_edge_litert"),
    *("click", "rich", "PIL", "safetensors", "matplotlib"),
}
MODULE_LEVEL = {"eas_sdk": {"numpy", "eas_sdk"}, "eas_sdk.cli": {"numpy", "eas_sdk", "click", "rich"}}
NEVER = {"eas_sdk": {"eas_exporters", "eas_train"}, "eas_exporters": {"eas_train"}}
LIES_IN = {"eas_exporters": "exporters"}

# Notes every module that is looked for, found or not: a guarded `try: import torch` is an import too.
# "org" is the standard library's own: pickle and copy look for Jython's org.python.core.
PROBE = """
import importlib, json, sys
import numpy
wanted, loaded = set(), set(sys.modules)
class Recorder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        wanted.add(name)
sys.meta_path.insert(0, Recorder)
sys.path.insert(0, sys.argv[1])
importlib.import_module(sys.argv[2])
names = {name.partition(".")[0] for name in wanted | (set(sys.modules) - loaded)}
print(json.dumps(sorted(names - sys.stdlib_module_names - {"numpy", "org", sys.argv[2]})))
"""


def foreign_imports(folder: Path, package: str) -> set[str]:
    """Top-level names beyond the standard library and numpy that a fresh ``import package`` asks for."""
    command = [sys.executable, "-I", "-c", PROBE, str(folder), package]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def modules(folder: Path, package: str) -> dict[str, ast.Module]:
    """The parsed modules of a package, by dotted name; a package's ``__init__`` has the package's name."""
    found = {}
    folder = folder / LIES_IN.get(package, "")
    for path in sorted((folder / package).rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """What runs when the module is imported: everything outside functions and ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        yield node
        yield from statements(node)


def imported(nodes: Iterator[ast.AST]) -> set[str]:
    """Dotted names that the statements import; ``from a import b`` gives "a.b", a module or a name in one."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute in this project"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def direction_faults(folder: Path) -> list[str]:
    """Breaches of the rules on direction and on module-level imports, in the words "module imports name"."""
    faults = []
    for package, never in NEVER.items():
        for name, tree in modules(folder, package).items():
            in_cli = f"{name}.".startswith("eas_sdk.cli.")
            at_import = {i.partition(".")[0] for i in imported(statements(tree))}
            anywhere = {i.partition(".")[0] for i in imported(ast.walk(tree))}
            bad = never & (at_import if in_cli else anywhere)
            if package == "eas_sdk":
                allowed = MODULE_LEVEL["eas_sdk.cli" if in_cli else "eas_sdk"]
                bad |= at_import - allowed - sys.stdlib_module_names
            faults += [f"{name} imports {i}" for i in sorted(bad)]
    return faults


def import_cycle(folder: Path, package: str) -> list[str]:
    """One circle of modules that import each other at module level, or an empty list."""
    trees = modules(folder, package)
    edges = {}
    for name, tree in trees.items():
        targets = imported(statements(tree))
        edges[name] = {i if i in trees else i.rpartition(".")[0] for i in targets} & trees.keys()
    try:
        graphlib.TopologicalSorter(edges).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("package", ["eas_sdk", "eas_train"])
def test_importing_loads_only_the_standard_library_and_numpy(package: str) -> None:
    assert foreign_imports(ROOT, package) <= {"eas_sdk"}


@pytest.mark.parametrize("name", sorted(FORBIDDEN))
def test_the_probe_catches_an_import_even_when_guarded(tmp_path: Path, name: str) -> None:
    guarded = f"try:\n    import {name}\nexcept ImportError:\n    pass\n"
    write(tmp_path, {"fake/__init__.py": "from fake import deep\n", "fake/deep.py": guarded})
    assert name in foreign_imports(tmp_path, "fake")


def test_the_probe_allows_the_standard_library_numpy_and_lazy_imports(tmp_path: Path) -> None:
    write(tmp_path, {"fake/__init__.py": "import json, numpy.linalg\ndef later():\n    import torch\n"})
    assert foreign_imports(tmp_path, "fake") == set()


def test_imports_go_one_way() -> None:
    assert direction_faults(ROOT) == []


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("eas_sdk/a.py", "import torch.nn", "eas_sdk.a imports torch"),
        ("eas_sdk/a.py", "try:\n    import PIL\nexcept ImportError:\n    pass", "eas_sdk.a imports PIL"),
        ("eas_sdk/a.py", "def f():\n    from eas_train import data", "eas_sdk.a imports eas_train"),
        ("eas_sdk/a.py", "def f():\n    import eas_exporters.onnx", "eas_sdk.a imports eas_exporters"),
        ("eas_sdk/cli/a.py", "from eas_exporters import onnx", "eas_sdk.cli.a imports eas_exporters"),
        ("eas_sdk/client.py", "import click", "eas_sdk.client imports click"),
        ("exporters/eas_exporters/a.py", "def f():\n    import eas_train", "eas_exporters.a imports eas_train"),
    ],
)
def test_the_direction_check_catches(tmp_path: Path, file: str, text: str, fault: str) -> None:
    write(tmp_path, {file: text})
    assert direction_faults(tmp_path) == [fault]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("eas_sdk/a.py", "import json, numpy as np\nfrom eas_sdk import b\ndef f():\n    import PIL"),
        ("eas_sdk/a.py", "ENGINES = {'onnx': 'eas_exporters.onnx:load'}"),
        ("eas_sdk/cli/a.py", "import click\ndef f():\n    import eas_train, eas_exporters"),
        ("exporters/eas_exporters/a.py", "import onnx\nfrom eas_sdk.graph import nodes"),
    ],
)
def test_the_direction_check_allows(tmp_path: Path, file: str, text: str) -> None:
    write(tmp_path, {file: text})
    assert direction_faults(tmp_path) == []


@pytest.mark.parametrize("package", ["eas_sdk", "eas_exporters", "eas_train"])
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    assert modules(ROOT, package), f"no module found in {package}"
    assert import_cycle(ROOT, package) == []


def test_the_cycle_check_catches_a_circle(tmp_path: Path) -> None:
    write(tmp_path, {"p/__init__.py": "", "p/a.py": "from p import b", "p/b.py": "from p.c.d import x"})
    write(tmp_path, {"p/c/__init__.py": "", "p/c/d.py": "import p.a"})
    assert {"p.a", "p.b", "p.c.d"} == set(import_cycle(tmp_path, "p"))


@pytest.mark.parametrize("back", ["def f():\n    import p.a", "if TYPE_CHECKING:\n    import p.a", "X = 'p.a:x'"])
def test_the_cycle_check_allows_what_does_not_run_at_import(tmp_path: Path, back: str) -> None:
    write(tmp_path, {"p/__init__.py": "from p.a import x", "p/a.py": "import p.b", "p/b.py": back})
    assert import_cycle(tmp_path, "p") == []
