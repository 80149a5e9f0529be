"""`model.export` and `eas export`: what is written, proved and refused, whatever the format."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import eas_sdk
from eas_exporters.tflite.exporter import TFLiteExporter
from eas_sdk import export as module
from eas_sdk.cli.app import cli
from eas_sdk.errors import ExportError, ImageError, InputError
from eas_sdk.export import Options, export
from eas_sdk.graph.nodes import Graph
from eas_sdk.model import Model
from eas_sdk.proof import IMAGES


@pytest.fixture(scope="module")
def model() -> Model:
    return eas_sdk.load("emoji").specialize("birds", "4M")


class Wrong(TFLiteExporter):
    """Writes another network than the one it is given."""

    def write(self, networks: Mapping[str, Graph], path: Path, options: Options) -> None:
        changed = {
            name: Graph(graph.nodes, dict(graph.weights) | {"stem.bias": graph.weights["stem.bias"] + 1}, graph.labels)
            for name, graph in networks.items()
        }
        super().write(changed, path, options)


class Full(TFLiteExporter):
    """The disk is full half-way."""

    def write(self, networks: Mapping[str, Graph], path: Path, options: Options) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device", str(path))


@pytest.mark.parametrize(("exporter", "error"), [(Wrong, ExportError), (Full, OSError)])
def test_what_is_wrong_does_not_get_the_name(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exporter: type, error: type[Exception]
) -> None:
    pytest.importorskip("ai_edge_litert")
    monkeypatch.setattr(module, "load_exporter", lambda suffix: exporter())
    with pytest.raises(error):
        model.export(tmp_path / "new.tflite")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old.tflite").write_bytes(b"old")
    with pytest.raises(error):
        model.export(tmp_path / "old.tflite")
    assert [(f.name, f.read_bytes()) for f in tmp_path.iterdir()] == [("old.tflite", b"old")]


def test_without_a_runtime_the_file_is_written_and_said_to_be_unproved(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eas_exporters.tflite.interpreter.PACKAGES", ("no_such_package",))
    made = model.export(tmp_path / "a.tflite")
    assert made.proof is None
    assert "elastic-architecture-search[litert]" in made.unproved
    assert made.path.stat().st_size == made.bytes


def test_the_proof_is_measured(model: Model, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    made = [model.export(tmp_path / "a.tflite", precision=p) for p in ("float32", "float16")]
    assert all(m.proof is not None and m.proof.images == IMAGES for m in made)
    assert 0 < made[0].proof.error < 1e-5 < made[1].proof.error < 0.02
    assert made[0].proof.agreement == 1
    assert made[0].weight_bytes == sum(w.nbytes for w in model.graph.weights.values())


def test_what_cannot_be_exported_is_told(model: Model, tmp_path: Path) -> None:
    other = eas_sdk.load("emoji").specialize("mammals", "4M")
    grey = np.zeros((2, 64, 64, 1), np.uint8)
    cases: list[tuple[type[Exception], str, object]] = [
        (InputError, r"\.tflite.*'\.tflit'.*did you mean", lambda: model.export(tmp_path / "a.tflit")),
        (InputError, "precision.*int8.*'int4'", lambda: model.export(tmp_path / "a.tflite", precision="int4")),
        (InputError, "input.*uint8.*'int8'", lambda: model.export(tmp_path / "a.tflite", input="int8")),
        (InputError, "output.*logits.*'labels'", lambda: model.export(tmp_path / "a.tflite", output="labels")),
        (InputError, "at least one", lambda: export({}, tmp_path / "a.tflite")),
        (InputError, "signature.*'4M'", lambda: export({"4M": model}, tmp_path / "a.tflite")),
        (InputError, "same labels.*monkey.*chicken", lambda: export({"a": model, "b": other}, tmp_path / "a.tflite")),
        (ImageError, "H x W x 3", lambda: model.export(tmp_path / "a.tflite", calibration=grey)),
        (FileNotFoundError, "missing", lambda: model.export(tmp_path / "missing" / "a.tflite")),
    ]
    for error, match, act in cases:
        with pytest.raises(error, match=match):
            act()  # type: ignore[operator]
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_replaced_but_a_file(model: Model, tmp_path: Path) -> None:
    (tmp_path / "p.tflite").mkdir()
    (tmp_path / "p.tflite" / "notes.txt").write_text("mine")
    os.mkfifo(tmp_path / "f.tflite")
    for name in ("p.tflite", "f.tflite"):
        with pytest.raises(InputError, match=rf"replace nothing but their like.*{name}"):
            model.export(tmp_path / name)
    assert (tmp_path / "p.tflite" / "notes.txt").read_text() == "mine"
    assert (tmp_path / "f.tflite").is_fifo()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_link_is_followed(model: Model, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "model.bin").write_bytes(b"old")
    link = tmp_path / "a.tflite"
    link.symlink_to(Path("real", "model.bin"))
    made = model.export(link)
    assert link.is_symlink()
    assert made.path == link
    assert (tmp_path / "real" / "model.bin").stat().st_size == made.bytes
    assert [f.name for f in (tmp_path / "real").iterdir()] == ["model.bin"]


@pytest.mark.parametrize("path", [b"x.tflite", 3, None])
def test_a_path_is_text(model: Model, path: object) -> None:
    with pytest.raises(InputError, match=r"a path is text.*of type"):
        model.export(path)  # type: ignore[arg-type]


def eas(*arguments: object) -> object:
    return CliRunner().invoke(cli, [*(str(a) for a in arguments), "--bundle", "emoji"])


def test_the_command_writes_proves_and_reports(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    path = tmp_path / "birds.tflite"
    drawings = Path(eas_sdk.__file__).parent / "assets" / "drawings" / "birds"
    done = eas("export", "birds", "4M", "9M", "-o", path, "--precision", "int8", "--calibrate-on", drawings, "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["bytes"] == path.stat().st_size
    assert list(said["networks"]) == ["budget_4_00M", "budget_9_00M"]
    assert all(n["madds"] <= 9_000_000 for n in said["networks"].values())
    assert said["proof"]["images"] == IMAGES
    shown = eas("export", "birds", "4M", "-o", path)
    assert shown.exit_code == 0, shown.output
    for part in (str(path), "TFLite, float32", "differs from the numpy engine"):
        assert part in shown.stdout


def test_budgets_that_read_alike_are_networks_of_their_own(tmp_path: Path) -> None:
    done = eas("export", "birds", "5M", "5.001M", "9M", "100%", "99.9999%", "-o", tmp_path / "t.tflite", "--json")
    assert done.exit_code == 0, done.output
    assert list(json.loads(done.stdout)["networks"]) == [
        "budget_5000000_madds",
        "budget_5001000_madds",
        "budget_9_00M",
        "budget_1_0_level",
        "budget_0_999999_level",
    ]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["birds", "4M", "-o", "{tmp}/a.pt"], "suffix"),
        (["birds", "1k", "-o", "{tmp}/a.tflite"], "nearest feasible"),
        (["birds", "4M", "-o", "{tmp}/a.tflite", "--precision", "int4"], "int4"),
        (["birds", "4M", "-o", "{tmp}/a.tflite", "--calibrate-on", "{tmp}"], "--calibrate-on"),
    ],
)
def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path, arguments: list[str], part: str) -> None:
    done = eas("export", *[a.format(tmp=tmp_path) for a in arguments])
    assert done.exit_code == 2
    assert part in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
