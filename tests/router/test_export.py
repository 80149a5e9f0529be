"""A router and its networks as a folder of files that work together."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from bundles import SUPERCLASSES, patches, random_bundle
from sizes import LARGE, ROUTER, SMALL, runtime_of_sizes

import eas_sdk
from eas_sdk import Runtime
from eas_sdk.errors import ExportError, InputError
from eas_sdk.images import to_square
from eas_sdk.router.export import MANIFEST, export_family, file_stems
from eas_sdk.router.network import NONE

IMAGES = patches(30, 100, seed=1)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return eas_sdk.load(random_bundle(tmp_path_factory.mktemp("bundle")))


def test_a_phone_that_follows_the_manifest_gets_the_models_answers(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    from eas_exporters.tflite.interpreter import Interpreter

    (tmp_path / "bundle").mkdir()
    runtime = runtime_of_sizes(tmp_path / "bundle")
    models = {"low": runtime.specialize("auto", "1M"), "high": runtime.specialize("auto", "2.6M")}
    made = export_family(models, tmp_path / "family")
    assert made.folder == tmp_path / "family"
    assert sorted(f.name for f in made.folder.iterdir()) == sorted(
        [MANIFEST, "router.tflite", *(f"{name}.tflite" for name in SUPERCLASSES)]
    )
    assert made.bytes == sum(f.stat().st_size for f in made.folder.glob("*.tflite"))
    manifest = json.loads((made.folder / MANIFEST).read_text())
    assert (manifest["version"], manifest["input"]) == (2, {"type": "uint8", "range": [0, 255]})
    assert manifest["router"]["input_size"] == ROUTER
    sizes = {n["input_size"] for s in manifest["superclasses"].values() for n in s["networks"].values()}
    assert sizes == {SMALL, LARGE}
    assert manifest["router"]["labels"] == [*SUPERCLASSES, NONE]
    assert manifest["attributions"] == list(runtime.bundle.attributions)

    def run(file: str, signature: str, image: np.ndarray, size: int) -> np.ndarray:
        return Interpreter(made.folder / file, signature=signature).run(to_square(image, size)[None])[0]

    answered = set()
    for signature, model in models.items():
        for image, expected in zip(IMAGES, model.predict(IMAGES, 1), strict=True):
            router = manifest["router"]
            probabilities = run(router["file"], "serving_default", image, router["input_size"])
            of_superclass = dict(zip(router["labels"], probabilities.tolist(), strict=True))
            of_superclass.pop(router["none"])
            best = max(of_superclass, key=lambda name: of_superclass[name])
            answered.add(expected.superclass)
            if of_superclass[best] < router["threshold"]:
                assert expected.label == ""
                continue
            behind = manifest["superclasses"][best]
            network = behind["networks"][signature]
            assert network["madds"] == model.network(best).madds
            found = run(behind["file"], signature, image, network["input_size"])
            found = found * [of_superclass[name] for name in manifest["superclass_of_label"]]
            assert manifest["labels"][int(found.argmax())] == expected.label
            assert found.max() / found.sum() == pytest.approx(expected.probability, abs=1e-3)
    assert len(answered) >= 3


@pytest.mark.parametrize("suffix", [".onnx"])
def test_other_formats(runtime: Runtime, tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("onnx")
    made = runtime.specialize("auto", "1M").export(tmp_path, suffix=suffix, precision="float32")
    assert made.router.path == tmp_path / f"router{suffix}"
    assert {name: file.path.name for name, file in made.networks.items()} == {n: f"{n}{suffix}" for n in SUPERCLASSES}
    assert json.loads((tmp_path / MANIFEST).read_text())["precision"] == "float32"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_an_export_that_is_refused_leaves_the_old_family(runtime: Runtime, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    model = runtime.specialize("auto", "1M")
    model.export(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(InputError, match="precision"):
        model.export(tmp_path, precision="int3")
    dark = np.zeros((20, 32, 32, 3), np.uint8)
    dark[:, 8:24] = 9
    with pytest.raises(ExportError):  # by one of the networks, after others
        model.export(tmp_path, precision="int8", calibration=dark)
    assert contents(tmp_path) == before


def test_nothing_is_replaced_but_what_an_export_wrote(runtime: Runtime, tmp_path: Path) -> None:
    model = runtime.specialize("auto", "1M")
    (tmp_path / MANIFEST).write_text('{"mother": "Ada"}')
    with pytest.raises(InputError, match=r"family\.json.* is another file"):
        model.export(tmp_path)
    (tmp_path / MANIFEST).unlink()
    (tmp_path / "birds.tflite").mkdir()
    (tmp_path / "birds.tflite" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"replace nothing but their like.*birds\.tflite"):
        model.export(tmp_path)
    assert contents(tmp_path) == {"birds.tflite/notes.txt": b"mine"}


def test_no_name_of_a_superclass_leads_elsewhere_or_to_another_s_file() -> None:
    names = ["birds", "../../birds", "router", "Router", "a/b", "a b", "Birds", "..", "été"]
    stems = file_stems(names)
    assert stems[0] == "birds"
    assert stems[-1] == "été"
    assert len({stem.casefold() for stem in [*stems, "router"]}) == len(names) + 1
    assert all(Path(stem).name == stem and "." not in stem for stem in stems)


def test_names_that_some_file_system_takes_for_something_else() -> None:
    names = ["con", "Aux", "lpt1", "a:b", "e\u0301te\u0301", "\xe9t\xe9", "x" * 300, "x" * 301, "\U0001f98a" * 300]
    stems = file_stems(names)
    assert stems[:4] == ["con_", "Aux_", "lpt1_", "a_b"]
    assert len({unicodedata.normalize("NFD", stem).casefold() for stem in stems}) == len(names)
    assert all(len(f"{stem}.tflite".encode()) <= 255 for stem in stems)


def test_a_superclass_may_be_called_router(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    runtime = eas_sdk.load(random_bundle(tmp_path, {"router": ("a", "b"), "birds": ("owl", "duck")}))
    made = runtime.specialize("auto", "100%").export(tmp_path / "family")
    assert made.router.path.name == "router.tflite"
    assert made.networks["router"].path.name == "router_.tflite"
    manifest = json.loads((made.folder / MANIFEST).read_text())
    assert [s["file"] for s in manifest["superclasses"].values()] == ["router_.tflite", "birds.tflite"]


def test_what_is_refused(runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one model"):
        export_family({}, tmp_path / "new")
    with pytest.raises(InputError, match="suffix"):
        runtime.specialize("auto", "1M").export(tmp_path / "new", suffix=".pt")
    assert not (tmp_path / "new").exists()
    with pytest.raises(InputError, match="a path is text"):
        runtime.specialize("auto", "1M").export(b"new")
