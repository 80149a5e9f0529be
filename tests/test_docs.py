"""What the documentation says exists: links, paths, commands, fields, and code that runs."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bundles import SIZES, SPACE, random_bundle
from cell_spaces import SPACES as CELLS
from documents import FENCE, PAGES, ROOT, blocks, command_fault, eas_commands, inline
from pydantic import BaseModel

from eas_sdk.bank import bundle as bundles
from eas_sdk.space.protocol import Space

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDERS = ("android_demo", "eas_sdk", "eas_train", "exporters", "benchmarks", "docs", "examples", "tests")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ +(.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """Relative links of a page that lead nowhere."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    return broken


def missing_paths(text: str) -> list[str]:
    """Files and folders of this repository that inline code names and that do not exist."""
    paths = [code for code in inline(text) if re.fullmatch(rf"(?:{'|'.join(FOLDERS)})/[\w./-]*", code)]
    return [path for path in paths if not (ROOT / path).exists()]


def module_fault(line: str) -> str:
    """Why `python -m benchmarks.<name> --option` cannot work; "" where nothing speaks against it."""
    words = shlex.split(line, comments=True)
    spec = importlib.util.find_spec(words[2])
    if spec is None or spec.origin is None:
        return f"no module {words[2]}"
    source = Path(spec.origin).read_text(encoding="utf-8")
    unknown = [word for word in words[3:] if word.startswith("--") and f'"{word}"' not in source]
    return f"no option {unknown[0]}" if unknown else ""


def module_commands(text: str) -> list[str]:
    lines = [line.strip() for code in blocks(text, "") for line in code.splitlines()]
    return [line for line in (*lines, *inline(text)) if line.startswith("python -m benchmarks")]


def recipe_fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names of all fields of a recipe, with their defaults (None for required fields and tables)."""
    from eas_train.supernet.recipe import Phase

    tables = {"supernet.phases": Phase}
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        table = tables.get(path, field.annotation)
        if isinstance(table, type) and issubclass(table, BaseModel):
            if path in tables:
                yield path, None
            yield from recipe_fields(table, f"{path}.")
        else:
            required = field.is_required() or not isinstance(field.default, (str, bool, int, float, tuple))
            yield path, None if required else json.loads(json.dumps(field.default))


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


@pytest.mark.parametrize("link", ["absent.md", "page.md#absent", "#absent", "folder/absent.md"])
def test_the_link_check_catches(tmp_path: Path, link: str) -> None:
    page = tmp_path / "page.md"
    fine = "[fine](#a-title-here) [fine](page.md)"
    page.write_text(f"# A `title`, here\n\n{fine} [broken]({link})\n", encoding="utf-8")
    assert broken_links(page) == [link]


@each_page
def test_paths_in_the_text_exist(page: Path) -> None:
    assert missing_paths(page.read_text(encoding="utf-8")) == []


def test_the_path_check_catches() -> None:
    assert missing_paths("`eas_sdk/bank/` `eas_sdk/bank/absent.py` `a/b.py`") == ["eas_sdk/bank/absent.py"]


@each_page
def test_commands_are_accepted_by_the_command_line(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for needed in ("benchmark_model", "pixel.json"):
        (tmp_path / needed).touch()
    monkeypatch.chdir(tmp_path)
    found = list(eas_commands(page.read_text(encoding="utf-8")))
    faults = {line: fault for line, whole in found if (fault := command_fault(line, whole))}
    assert faults == {}
    if page in (ROOT / "README.md", ROOT / "docs" / "training.md"):
        assert len(found) >= 5


@pytest.mark.parametrize(
    ("line", "whole"),
    [
        ("eas spezialize birds 4M", True),
        ("eas specialize birds", True),
        ("eas specialize birds 4M --sead 1", True),
        ("eas --absent info", True),
        ("eas train --stage supernets", True),
        ("eas evaluate --images", True),
        ("eas evaluate --imagse", False),
        ("eas absent", False),
        ("eas lut biuld", True),
        ("eas lut build --pause", True),
        ("eas lut check --netwroks 3", False),
    ],
)
def test_the_command_check_catches(line: str, whole: bool) -> None:
    assert command_fault(line, whole) != ""


@pytest.mark.parametrize("line", ["eas evaluate --images", "eas predict", "eas --version", "eas demo --out FILE"])
def test_the_command_check_allows_a_part_in_the_text(line: str) -> None:
    assert command_fault(line, whole=False) == ""


@each_page
def test_benchmarks_in_the_text_exist(page: Path) -> None:
    found = module_commands(page.read_text(encoding="utf-8"))
    faults = {line: fault for line in found if (fault := module_fault(line))}
    assert faults == {}
    assert found or page.name != "benchmarks.md"


@pytest.mark.parametrize("line", ["python -m benchmarks.absent", "python -m benchmarks.documents --chekc"])
def test_the_benchmark_check_catches(line: str) -> None:
    assert module_fault(line) != ""


@each_page
def test_tables_of_results_are_those_of_the_stored_ones(page: Path) -> None:
    pytest.importorskip("torch")
    from benchmarks.documents import renewed

    text = page.read_text(encoding="utf-8")
    assert renewed(text) == text, "run: python -m benchmarks.documents"
    assert renewed(text.replace("95% interval)", "95%)")) == text


def test_stored_figures_of_the_strategies_are_those_of_the_stored_runs() -> None:
    pytest.importorskip("torch")
    from benchmarks.documents import figures
    from benchmarks.record import RESULTS
    from eas_train.study.records import kept
    from eas_train.study.run import Run

    stored = figures("strategies")
    runs = [kept(Run, path) for path in (RESULTS / "strategies" / "runs").iterdir()]
    budgets = list(dict.fromkeys(row["budget"] for row in stored["rows"]))
    for row in stored["rows"]:
        mine = [run for run in runs if run and run.method == row["method"] and run.seed in stored["seeds"]]
        assert len(mine) == len(stored["supernet_seeds"]) * len(stored["seeds"])
        at = budgets.index(row["budget"])
        assert row["mean_madds"] == round(sum(sum(r.madds[at]) / len(r.madds[at]) for r in mine) / len(mine))
        assert all(len(run.scores[at]) == stored["test_drawings"] for run in mine)


@each_page
def test_code_blocks_are_valid(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for code in blocks(text, "python"):
        compile(code, str(page), "exec")
    for code in blocks(text, "json"):
        json.loads(code)
    for code in blocks(text, "toml"):
        tomllib.loads(code)


@pytest.mark.parametrize("space", [SPACE, *CELLS.values()], ids=["elastic", *CELLS])
@pytest.mark.parametrize(
    ("page", "check"), [("add-an-engine.md", "compare.py"), ("add-an-exporter.md", "check_export.py")]
)
def test_a_recipe_for_an_extension_works_as_written(tmp_path: Path, page: str, check: str, space: Space) -> None:
    for code in blocks((ROOT / "docs" / page).read_text(encoding="utf-8"), "python"):
        name = re.match(r"# (\w+\.py)\n", code)
        assert name, "a block of these pages begins with its file's name"
        (tmp_path / name[1]).write_text(code, encoding="utf-8")
    bundle = random_bundle(tmp_path, {"birds": ("duck", "owl")}, space=space)
    command = [sys.executable, "-W", "error", check, bundle.name]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "of the largest logit" in done.stdout


def test_the_recipes_in_the_training_guide_are_valid() -> None:
    """The whole one, and it with each of the parts that are shown alone."""
    from eas_train.recipe import Recipe

    found = [
        tomllib.loads(text) for text in blocks((ROOT / "docs" / "training.md").read_text(encoding="utf-8"), "toml")
    ]
    (whole,) = (block for block in found if "name" in block)
    assert Recipe.model_validate(whole).supernet.phases[0].largest_only
    parts = [block["supernet"] for block in found if "name" not in block]
    assert {name for part in parts for name in part} == {"preset", "space", "augmentation", "phases"}
    for part in parts:
        changed = {**whole, "supernet": {**whole["supernet"], **part}}
        Recipe.model_validate(changed)


def test_the_training_guide_lists_every_field_of_a_recipe_with_its_default() -> None:
    from eas_train.recipe import Recipe

    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    section = text.split("## Recipes")[1].split("### A space of your own")[0]
    rows = re.findall(r"^\| `([\w.]+)` \| (?:`(.+?)`)? ?\|", section, re.MULTILINE)
    told = {name: json.loads(default) if default else None for name, default in rows}
    assert told == dict(recipe_fields(Recipe))


@pytest.mark.parametrize(
    ("title", "kind"), [("GreedyNAS", "GreedyRecipe"), ("Cream", "CreamRecipe"), ("NSE", "NseRecipe")]
)
def test_the_strategies_page_lists_every_field_with_its_default(title: str, kind: str) -> None:
    from eas_train.strategy import recipe

    text = (ROOT / "docs" / "strategies.md").read_text(encoding="utf-8")
    section = text.split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (?:`(.+?)`)? ?\|", section, re.MULTILINE)
    told = {name: json.loads(default) if default else None for name, default in rows}
    assert {"kind": None, **told} == dict(recipe_fields(getattr(recipe, kind)))


def test_the_format_page_lists_every_field_and_tensor_of_a_bundle(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "bundle-format.md").read_text(encoding="utf-8")
    fields, tensors = text.split("| field of `eas`")[1].split("| tensor  ")
    bundle = bundles.read(
        random_bundle(tmp_path, space=SIZES, adapters=[SIZES.input_sizes[:1]], temperatures=[2.0, 1.5, 1.0])
    )
    told = {name for row in re.findall(r"^\| (`\w+`.*?)\|", fields, re.MULTILINE) for name in inline(row)}
    assert told == set(bundle.metadata())
    names = {n for row in re.findall(r"^\| (`\w+/.*?)\|", tensors, re.MULTILINE) for n in inline(row)}
    patterns = {name: re.compile(re.escape(name).replace("<node>", r"[\w.]+")) for name in names}
    assert [t for t in bundle.tensors if not any(p.fullmatch(t) for p in patterns.values())] == []
    assert [name for name, p in patterns.items() if not any(p.fullmatch(t) for t in bundle.tensors)] == []


def test_the_security_page_names_every_program_that_is_started() -> None:
    starts = re.compile(
        r"\bsubprocess\.[a-zP]\w*\(|\bos\.(?:system|popen|fork|exec|spawn|posix_spawn)\w*\("
        r"|^ *(?:from|import) (?:multiprocessing|webbrowser|pty)\b",
        re.MULTILINE,
    )
    sources = [path for folder in ("eas_sdk", "exporters", "eas_train") for path in (ROOT / folder).rglob("*.py")]
    found = {str(path.relative_to(ROOT)) for path in sources if starts.search(path.read_text(encoding="utf-8"))}
    programs = {
        "eas_sdk/device/macos.py": "`pmset`",
        "eas_sdk/latency/adb.py": "`adb`",
        "eas_sdk/bench/apart.py": "`eas bench` measures each network",
        "eas_train/data/packages.py": "npm",
        "eas_train/study/run.py": "a study",
    }
    assert found == set(programs)
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    assert [named for named in programs.values() if named not in page] == []
