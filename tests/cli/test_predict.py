"""`eas predict`: the pixels that reach the network are those of the files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import eas_sdk
from eas_sdk.bank import container
from eas_sdk.bank.container_writer import write
from eas_sdk.image_file import read_image

SIZE = 32
Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    """A picture whose corners differ, of few enough colours for a palette."""
    return np.random.default_rng(1).integers(0, 256, (4, 4, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)


@pytest.fixture
def predict(eas, bundle: Path) -> Callable[..., dict]:
    def run(*paths: Path, code: int = 0) -> dict:
        result = eas("predict", *paths, "--task", "tools", "--budget", "2M", "--bundle", bundle, "--json")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    return run


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize("task", ["tools", "auto"])
@pytest.mark.parametrize("part", ["bank", "router"])
@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_weights_that_overflow_are_told(
    eas: Callable[..., Any], bundle: Path, tmp_path: Path, pixels: Pixels, options: list[str], task: str, part: str
) -> None:
    if (task, part) == ("tools", "router"):
        return
    found = container.read(bundle)
    name = f"{part}/classifier.weight"
    huge = {name: np.full_like(found.tensors[name], np.finfo(found.tensors[name].dtype).max)}
    write(tmp_path / "huge.safetensors", {**found.tensors, **huge}, found.metadata)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    arguments = ["--task", task, "--budget", "60%", "--bundle", tmp_path / "huge.safetensors"]
    result = eas("predict", tmp_path / "a.png", *arguments, *options)
    assert result.exit_code == 2
    assert "those for 1 of 1 images are not: the weights of its bundle overflow" in result.stderr


def expected(bundle: Path, images: Pixels) -> list[list[tuple[str, float]]]:
    model = eas_sdk.load(bundle).specialize("tools", "2M")
    return [list(p.top) for p in model.predict(images)]


def tops(report: dict) -> list[list[tuple[str, float]]]:
    return [[(t["label"], t["probability"]) for t in p["top"]] for p in report["predictions"]]


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.gif", "a.ppm", "a.tga", "no suffix"])
def test_the_answers_are_those_of_the_api_in_any_lossless_format(
    predict, bundle: Path, pixels: Pixels, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    Image.fromarray(pixels).save(path, None if path.suffix else "PNG")
    report = predict(path)
    assert [p["image"] for p in report["predictions"]] == [str(path)]
    ((got,), (wanted,)) = tops(report), expected(bundle, pixels[None])
    assert [label for label, _ in got] == [label for label, _ in wanted]
    assert [p for _, p in got] == pytest.approx([p for _, p in wanted], rel=1e-5)


def saved(folder: Path, image: Image.Image, name: str = "x.png", **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


def test_files_of_any_size_are_brought_to_the_network_s_as_pillow_does(predict, bundle: Path, tmp_path: Path) -> None:
    paths, wanted = [], []
    for i, (height, width) in enumerate([(8 * SIZE, 5 * SIZE), (90, 100), (10, 12)]):
        photo = Image.fromarray(np.random.default_rng(i).integers(0, 256, (height, width, 3), np.uint8))
        paths.append(saved(tmp_path, photo, f"{i}.png"))
        side = min(height, width)
        assert read_image(paths[-1]).shape == (height, width, 3)
        left, top = (width - side) // 2, (height - side) // 2
        square = photo.crop((left, top, left + side, top + side))
        wanted.append(np.asarray(square.resize((SIZE, SIZE), Image.Resampling.BICUBIC)))
    for got, best in zip(tops(predict(*paths)), expected(bundle, np.stack(wanted)), strict=True):
        assert [label for label, _ in got] == [label for label, _ in best]
        assert [p for _, p in got] == pytest.approx([p for _, p in best], rel=1e-5)


def test_unreadable_images_are_told_after_the_others(
    eas, predict, bundle: Path, pixels: Pixels, tmp_path: Path
) -> None:
    good, other = saved(tmp_path, Image.fromarray(pixels)), saved(tmp_path, Image.fromarray(255 - pixels), "y.png")
    cut = tmp_path / "cut.png"
    cut.write_bytes(good.read_bytes()[:-30])
    text = tmp_path / "text.png"
    text.write_text("no image")
    empty = tmp_path / "empty"
    empty.mkdir()
    bad = [empty, cut, text, tmp_path / "missing.png"]
    report = predict(cut, good, text, empty, other, tmp_path / "missing.png", code=2)
    assert [p["image"] for p in report["predictions"]] == [str(good), str(other)]
    assert [e["image"] for e in report["errors"]] == [str(path) for path in bad]

    result = eas("predict", good, *bad, "--task", "tools", "--budget", "2M", "--bundle", bundle)
    assert result.exit_code == 2
    assert str(good) in result.stdout
    lines = result.stderr.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["error"] * 4
    for line, path in zip(lines, bad, strict=True):
        assert str(path) in line
    assert "folder without images" in lines[0]
    assert "no such file" in lines[3]


def test_of_a_folder_every_image_is_shown(predict, pixels: Pixels, tmp_path: Path) -> None:
    shown = [tmp_path / "a.png", tmp_path / "b" / "c" / "d.JPG"]
    for path in (*shown, tmp_path / "._a.png", tmp_path / ".ipynb_checkpoints" / "a.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    (tmp_path / "notes.txt").write_text("no image")
    assert [p["image"] for p in predict(tmp_path)["predictions"]] == [str(path) for path in shown]


def test_no_table_where_nothing_could_be_read(eas, bundle: Path, tmp_path: Path) -> None:
    result = eas("predict", tmp_path / "no.png", "--task", "tools", "--budget", "2M", "--bundle", bundle)
    assert (result.exit_code, result.stdout) == (2, "")


def test_top_k_is_cut_to_the_labels(eas, bundle: Path, drawings: Path) -> None:
    image = drawings / "birds" / "owl.png"
    for top_k, count in ((1, 1), (2, 2), (99, 3)):
        options = ("--task", "birds", "--budget", "1M", "--top-k", top_k, "--bundle", bundle)
        (prediction,) = json.loads(eas("predict", image, *options, "--json").stdout)["predictions"]
        assert len(prediction["top"]) == count
        row = next(line for line in eas("predict", image, *options).stdout.splitlines() if str(image) in line)
        assert row.count("%") == count
    assert eas("predict", image, *options[:4], "--top-k", 0).exit_code == 2
