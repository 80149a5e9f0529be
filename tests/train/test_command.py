"""Training from Python: what it gives, and that nobody goes on in the folder of another training without being told why
it cannot be."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from recipes import TINY

torch = pytest.importorskip("torch")

import eas_sdk  # noqa: E402
import eas_train  # noqa: E402
from eas_sdk.cli.app import cli  # noqa: E402
from eas_sdk.cli.train import train as command  # noqa: E402
from eas_sdk.errors import EasError, InputError, TrainingError  # noqa: E402
from eas_train.inventory import FILE  # noqa: E402


def paint(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, eas_train.Report]:
    """A folder with images, `tiny.toml` and `run`, and the report of its training."""
    top = tmp_path_factory.mktemp("made")
    for i, place in enumerate(("birds/duck", "birds/owl", "tools/axe", "tools/saw")):
        for j in range(3):
            paint(top / "images" / place / f"{j}.png", 3 * i + j)
    (top / "tiny.toml").write_text(TINY)
    return top, train(top)


def train(top: Path, **changes: object) -> eas_train.Report:
    given = {"recipe": top / "tiny.toml", "out": top / "run", "device": "cpu", "attributions": "me"}
    return eas_train.train(top / "images", **(given | changes))


def test_a_report_says_what_came_of_a_training(made: tuple[Path, eas_train.Report]) -> None:
    top, report = made
    assert [stage["stage"] for stage in report.stages] == [
        *("supernet", "statistics", "predictor", "selector", "router", "bundle"),
    ]
    runtime = report.runtime()
    assert (report.bundle, report.page) == (top / "run" / "bundle.safetensors", top / "run" / "report.html")
    assert runtime.tasks == ("birds", "tools")
    assert runtime.bundle.attributions == ("me",)
    assert list(report.test) == ["smallest", "middle", "largest"]
    assert [row["budget_fraction"] for row in report.accuracy] == [0, 1]
    text = repr(report)
    assert re.fullmatch(r"<Report '.*run': top-1 of the smallest [\d.]+%, middle [\d.]+%, largest [\d.]+%>", text)
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.folder = top  # type: ignore[misc]


def test_a_notebook_shows_the_page_as_a_part_of_itself(made: tuple[Path, eas_train.Report]) -> None:
    html = made[1]._repr_html_()
    assert html.count("<table") >= 3
    assert html.count("<img") >= 2
    assert not re.search(r"<(html|head|body|script)\b", html)
    for selector in re.findall(r"([^{}]+)\{", re.search(r"<style>(.*?)</style>", html)[1]):
        assert all(part.startswith(".eas") for part in re.split(r",(?![^(]*\))", selector)), "else the notebook changes"
    part = eas_train.Report(made[0] / "run", made[1].stages[:2])
    assert "stages: supernet, statistics" in repr(part)
    assert "stages: supernet, statistics" in part._repr_html_()
    assert "<table" not in part._repr_html_()
    assert (part.test, part.accuracy) == ({}, [])


def test_what_is_done_is_not_done_again_from_python_or_the_command_line(made: tuple[Path, eas_train.Report]) -> None:
    top, report = made
    written = {path: path.stat().st_mtime_ns for path in (top / "run").iterdir() if path.suffix == ".pt"}
    assert json.loads(json.dumps(train(top).stages)) == json.loads(json.dumps(report.stages))
    options = ("--recipe", top / "tiny.toml", "--data", top / "images", "--attribution", "me", "--device", "cpu")
    said = CliRunner().invoke(cli, ["train", *map(str, options), "--out", str(top / "run"), "--json"])
    assert json.loads(said.stdout) == {"folder": str(top / "run"), "stages": json.loads(json.dumps(report.stages))}
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_the_command_and_the_function_take_the_same() -> None:
    options = {parameter.name for parameter in command.params} - {"as_json"}
    assert options == set(inspect.signature(eas_train.train).parameters)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"stages": "bundel"}, "did you mean 'bundle'"),
        ({"device": "cudo"}, "did you mean 'cuda'"),
        ({"threads": 0}, "from 1; got 0"),
        ({"layout": "heap"}, "got 'heap'"),
        ({"data": None}, "--attribution is for images of --data"),
        ({"recipe": "emojy"}, "did you mean 'emoji'"),
    ],
)
def test_what_cannot_be_trained_is_told(tmp_path: Path, arguments: dict[str, object], said: str) -> None:
    paint(tmp_path / "images" / "a" / "b.png", 0)
    given = {"data": tmp_path / "images", "out": tmp_path / "run", "attributions": ["me"]}
    with pytest.raises(EasError, match=re.escape(said)):
        eas_train.train(**(given | arguments))
    assert not (tmp_path / "run").exists()


def test_without_torch_it_is_said_what_to_install() -> None:
    code = "import sys; sys.modules['torch'] = None; import eas_train; eas_train.train('photos')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingDependency" in done.stderr.splitlines()[-1]
    assert "install the extra `train`" in done.stderr.splitlines()[-1]


def replaced(old: str, new: str) -> Callable[[Path], None]:
    """A change of the recipe."""

    def change(top: Path) -> None:
        text = (top / "tiny.toml").read_text()
        assert old in text
        (top / "tiny.toml").write_text(text.replace(old, new, 1))

    return change


def added(top: Path) -> None:
    for i in range(3):
        paint(top / "images" / "birds" / "owl" / f"new {i}.png", 90 + i)
    (top / "images" / "tools" / "axe" / "2.png").unlink()
    paint(top / "images" / "tools" / "axe" / "4.png", 93)


def changed(top: Path) -> None:
    for path in (top / "images" / "birds" / "duck").iterdir():
        paint(path, 99)


def moved(top: Path) -> None:
    (top / "images" / "birds" / "owl").rename(top / "images" / "tools" / "owl")


def new(top: Path) -> None:
    shutil.copytree(top / "images" / "birds" / "owl", top / "images" / "birds" / "jay")
    changed(top)


DIFFERENCES = [
    (replaced("batch_size = 4", "batch_size = 2"), "supernet.pt", "supernet.batch_size is 2 here and 4 in {run};"),
    (replaced("steps = 1,", "steps = 2,"), "supernet.pt", "supernet.phases['all'].steps is 2 here and 1 in {run};"),
    (
        replaced("phases = [", "phases = [{ name = 'one', steps = 1, learning_rate = 0.1 }, "),
        "supernet.pt",
        "supernet.phases is 2 tables here and 1 tables in {run};",
    ),
    (replaced("requests = 1", "requests = 2"), "selector.pt", "generator.requests is 2 here and 1 in {run};"),
    (replaced("[router]", "[router]\nseed = 3"), "router.pt", "router.seed is 3 here and 0 in {run};"),
    (replaced("networks = 11", "networks = 12"), "measured.json", "predictor.networks is 12 here and 11 in {run};"),
    (
        added,
        "supernet.pt",
        "data set: images of --data: 4 added (first: birds/owl/new 0.png), 1 removed (first: tools/axe/2.png);",
    ),
    (changed, "supernet.pt", "data set: images of --data: 3 changed (first: birds/duck/0.png);"),
    (moved, "supernet.pt", "data set: class 'owl' moved from 'birds' to 'tools';"),
    (
        new,
        "supernet.pt",
        "data set: class 'jay' is new; images of --data: 3 changed (first: birds/duck/0.png);",
    ),
]


@pytest.mark.parametrize(("change", "file", "said"), DIFFERENCES, ids=[said for _, _, said in DIFFERENCES])
def test_it_is_told_in_what_a_training_differs_from_that_of_the_folder(
    made: tuple[Path, eas_train.Report], tmp_path: Path, change: Callable[[Path], None], file: str, said: str
) -> None:
    top = tmp_path / "copy"
    shutil.copytree(made[0], top)
    change(top)
    before = {path: path.read_bytes() for path in (top / "run").iterdir()}
    for _ in range(2):  # the first time changes nothing
        with pytest.raises(TrainingError) as caught:
            train(top)
        text = str(caught.value)
        assert text.startswith(f"{top / 'run' / file} belongs to another recipe or ")
        assert said.format(run=top / "run") in text
        assert (f"--from {top / 'run'} --out ANOTHER" in text) == ("data set: " in said)
        assert "\n" not in text
    assert {path: path.read_bytes() for path in (top / "run").iterdir()} == before


def test_a_folder_that_keeps_no_listing_is_refused_as_well(made: tuple[Path, eas_train.Report], tmp_path: Path) -> None:
    top = tmp_path / "copy"
    shutil.copytree(made[0], top)
    added(top)
    for content in (None, b"", b"no gzip", (top / "run" / FILE).read_bytes()[:50]):
        (top / "run" / FILE).unlink(missing_ok=True)
        if content is not None:
            (top / "run" / FILE).write_bytes(content)
        with pytest.raises(TrainingError, match="another recipe or data set, its superclasses included; train into"):
            train(top)


def test_what_a_result_does_not_depend_on_may_change(made: tuple[Path, eas_train.Report], tmp_path: Path) -> None:
    top = tmp_path / "copy"
    shutil.copytree(made[0], top)
    replaced('preset = "small"', 'preset = "small"\nworkers = 0\ncheckpoint_every_s = 5')(top)
    train(top, stages=("supernet", "statistics"))
    replaced("requests = 1", "requests = 2")(top)
    train(top, stages="statistics")
    with pytest.raises(InputError, match="a stage is one of"):
        train(top, stages="")
    assert eas_sdk.load(top / "run").tasks == ("birds", "tools")


OWN = """
name = "own"
[supernet]
pretrained = "bundle"
normalisation = "learned"
classifier = { views = 1 }
"""


def test_a_training_that_began_with_a_bundle_goes_on_with_new_photos_from_its_own(
    made: tuple[Path, eas_train.Report], tmp_path: Path
) -> None:
    top = tmp_path / "copy"
    shutil.copytree(made[0], top)
    (top / "own.toml").write_text(OWN)
    given = {"recipe": top / "own.toml", "start": top / "run", "stages": "supernet"}
    train(top, **given, out=top / "own")
    with pytest.raises(TrainingError, match=r"another recipe or data set: not the same bundle of --from; train into"):
        train(top, **(given | {"start": "emoji"}), out=top / "own")
    shutil.copy(top / "run" / "bundle.safetensors", top / "own")
    added(top)
    with pytest.raises(TrainingError) as caught:
        train(top, **given, out=top / "own")
    assert str(caught.value).endswith(
        f"1 removed (first: tools/axe/2.png); train into another folder, or delete it to "
        f"start afresh, or go on from its bundle with --from {top / 'own'} --out ANOTHER"
    )
    train(top, **(given | {"start": top / "own"}), out=top / "more")
